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


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+\s+(.*?)\s*#*$", _CODE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if not n else f"{slug}-{n}" for slug, count in found.items() for n in range(count + 1)}


def broken(page: Path) -> list[str]:
    wrong = []
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):  # https:, mailto:
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if (
            not path.exists()
            or not path.is_relative_to(ROOT)
            or (anchor and path.suffix == ".md" and anchor not in anchors(path))
        ):
            wrong.append(link)
    return wrong


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_would_be_found() -> None:
    page = ROOT / "CONTRIBUTING.md"
    assert page in pages()
    text = (
        '[a](nowhere.md) [b](LICENSE) [c](#no-such-heading) `[d](in-code.md)` ![e](no.svg "t")\n```\n[f](x.md)\n```\n'
    )
    assert links(text) == ["nowhere.md", "LICENSE", "#no-such-heading", "no.svg"]
