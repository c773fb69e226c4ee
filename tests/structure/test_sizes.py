"""A file holds one noun, as long as the noun needs. Above 500 lines it deserves a second look: the test warns."""

from __future__ import annotations

import warnings

from source_tree import PACKAGE, ROOT

LONG = 500


def test_long_files_are_named() -> None:
    native = (ROOT / "src" / "native").glob("*")
    files = [*PACKAGE.rglob("*.py"), *native, *PACKAGE.rglob("*.js"), *PACKAGE.rglob("*.css")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert len(lines) > 100, "the sources are not where this test looks"
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for name, count in lines.items():
            if count > LONG:
                warnings.warn(f"{name} has {count} lines: one noun, or two?", stacklevel=1)
