"""Every link from one of our pages to another, or to a heading, leads somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from source_tree import ROOT

_LINK = re.compile(r"\[[^\]]*\]\(<?([^()<>\s]+)>?(?:\s+\"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")
_CODE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)


def pages() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:  # a source archive
        return [path for path in ROOT.rglob("*.md") if not {".venv", "build", "models", "runs"} & set(path.parts)]
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def links(text: str) -> list[str]:
    plain = re.sub(r"`[^`\n]*`", "", _CODE.sub("", text))
    return [a or b for a, b in _LINK.findall(plain)]


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+\s+(.*?)\s*#*$", _CODE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE):
        slug = anchor(heading)
        found[slug] = found.get(slug, -1) + 1
    return {slug if not n else f"{slug}-{n}" for slug, count in found.items() for n in range(count + 1)}


def broken(page: Path) -> list[str]:
    wrong = []
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):  # https:, mailto:
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        is_there = path.exists() and path.is_relative_to(ROOT)
        if not is_there or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            wrong.append(link)
    return wrong


def test_links_lead_somewhere() -> None:
    assert {str(page): found for page in pages() if (found := broken(page))} == {}


LOG = ROOT / "docs" / "log"
PAGES = sorted(path for path in LOG.glob("*.md") if path.name != "README.md")
PARTS = ["Date", "Question", "Tried", "Result", "Decision"]


def entries(page: Path) -> list[tuple[str, str]]:
    """(heading, text) of each entry."""
    found = re.split(r"^## (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return list(zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_entry_has_the_same_parts(page: Path) -> None:
    assert entries(page)
    for heading, text in entries(page):
        assert re.findall(r"^\*\*(\w+):\*\*", text, re.MULTILINE) == PARTS, f"{page.name}: {heading}"
    last = [re.findall(r"\d{4}-\d\d-\d\d", text.strip().splitlines()[0])[-1] for _, text in entries(page)]
    assert last == sorted(last, reverse=True), f"{page.name}: the newest first"


def test_the_index_lists_every_entry_once() -> None:
    index = (LOG / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \d{4}-\d\d-\d\d[^|]*\| \[([^\]]+)\]\((\w+\.md)#([^)]+)\) \|", index, re.MULTILINE)
    found = [(heading, page.name, anchor(heading)) for page in PAGES for heading, _ in entries(page)]
    assert sorted(listed) == sorted(found)
