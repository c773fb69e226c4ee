"""The index of docs/log lists every entry. `make docs` checks all links."""

import re

from source_tree import ROOT

LOG = ROOT / "docs" / "log"
PAGES = sorted(path for path in LOG.glob("*.md") if path.name != "README.md")


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_index_lists_every_entry_once() -> None:
    index = (LOG / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \d{4}-\d\d-\d\d[^|]*\| \[([^\]]+)\]\((\w+\.md)#([^)]+)\) \|", index, re.MULTILINE)
    texts = {path.name: path.read_text(encoding="utf-8") for path in PAGES}
    found = [(one, name, anchor(one)) for name, text in texts.items() for one in re.findall(r"^## (.*)$", text, re.M)]
    assert sorted(listed) == sorted(found)
