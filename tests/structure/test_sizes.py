"""A file holds one noun and can be read at a sitting: 250 lines, and a reason for every one that is longer."""

from __future__ import annotations

from pathlib import Path

from source_tree import PACKAGE, ROOT

USUAL, MOST = 250, 400

# Path from the root, and why it is one file all the same.
LONG: dict[str, str] = {}


def lengths() -> dict[str, int]:
    """Lines of every source file, C++ included."""
    files = [
        *PACKAGE.rglob("*.py"),
        *(ROOT / "src" / "native").glob("*"),
        *PACKAGE.rglob("*.js"),
        *PACKAGE.rglob("*.css"),
    ]
    return {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}


def test_files_are_short() -> None:
    long = {name: lines for name, lines in lengths().items() if lines > (MOST if name in LONG else USUAL)}
    assert not long, f"split these, or give a reason in {Path(__file__).name} (never over {MOST}): {long}"


def test_the_list_holds_no_file_that_is_short_by_now() -> None:
    found = lengths()
    assert any(name.startswith("src/native/") for name in found)
    stale = [name for name in LONG if found.get(name, 0) <= USUAL]
    assert not stale, f"take {stale} off the list"
    assert all(len(reason) > 20 for reason in LONG.values())
