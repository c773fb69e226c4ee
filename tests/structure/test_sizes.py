"""A file holds one noun, as long as the noun needs. Above 500 lines it deserves a second look.

The warning does not fail the test (`filterwarnings` in pyproject.toml); pytest prints it below "warnings summary".
"""

from __future__ import annotations

import warnings

import pytest
from source_tree import PACKAGE, ROOT

LONG = 500


def warn_of_long_files(lines: dict[str, int]) -> None:
    """lines: the number of lines of each file."""
    for name, count in lines.items():
        if count > LONG:
            warnings.warn(f"long file: {name} has {count} lines", stacklevel=2)


def test_long_files_are_named() -> None:
    native = (ROOT / "src" / "native").glob("*")
    files = [*PACKAGE.rglob("*.py"), *native, *PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.css")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    for name in ("src/gatewise/cell.py", "src/native/tile.h", "src/gatewise/serve/page/main.js"):
        assert name in lines, "the sources are not where this test looks"
    warn_of_long_files(lines)


def test_a_long_file_would_be_named() -> None:
    with pytest.warns(UserWarning, match="long file: ") as caught:
        warn_of_long_files({"short.py": LONG, "long.py": LONG + 1})
    assert [str(warning.message) for warning in caught] == ["long file: long.py has 501 lines"]
