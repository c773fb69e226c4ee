"""The entries of docs/log: each has the same parts, and the index lists it. `make docs` checks all links."""

import re
from pathlib import Path

import pytest
from source_tree import ROOT

LOG = ROOT / "docs" / "log"
PAGES = sorted(path for path in LOG.glob("*.md") if path.name != "README.md")
PARTS = ["Date", "Question", "Tried", "Result", "Decision"]


def entries(page: Path) -> list[tuple[str, str]]:
    """(heading, text) of each entry."""
    found = re.split(r"^## (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return list(zip(found[::2], found[1::2], strict=True))


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


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
