"""Entries of docs/log are short, and each names its date and its commit. `make docs` checks all links."""

import re

import pytest
from source_tree import ROOT

LOG = ROOT / "docs" / "log"
MAX_WORDS = 120  # of an entry with its heading, as `wc -w` counts: what is longer is not read
ENTRIES = [
    (path.name, entry)
    for path in sorted(LOG.glob("*.md"))
    if path.name != "README.md"
    for entry in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
]
DATE_AND_COMMIT = re.compile(r"^(\d{4}-\d\d-\d\d), [0-9a-f]{7,12}\b", re.MULTILINE)


@pytest.mark.parametrize(("page", "entry"), ENTRIES, ids=[f"{page}:{entry.splitlines()[0]}" for page, entry in ENTRIES])
def test_an_entry_has_date_commit_result_and_decision_in_few_words(page: str, entry: str) -> None:
    heading, text = entry.split("\n\n", 1)
    assert DATE_AND_COMMIT.match(text), f"{page}: '{heading}' does not begin with its date and commit"
    assert re.findall(r"^\*\*(\w+):\*\* ", text, re.MULTILINE) == ["Result", "Decision"]
    assert len(entry.split()) <= MAX_WORDS, f"{page}: '{heading}' has {len(entry.split())} words"


def test_a_page_lists_its_entries_from_the_newest_to_the_oldest() -> None:
    for page in {name for name, _ in ENTRIES}:
        dates = [date for name, entry in ENTRIES if name == page for date in DATE_AND_COMMIT.findall(entry)]
        assert dates == sorted(dates, reverse=True), page


def test_every_page_of_the_log_is_in_its_index() -> None:
    index = (LOG / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^- \[\w+\]\((\w+\.md)\)", index, re.MULTILINE)) == {page for page, _ in ENTRIES}
