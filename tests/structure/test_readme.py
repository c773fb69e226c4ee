"""README.md: its Python example prints what the page shows, and its file tree names what the repository contains."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any

import numpy as np
from source_tree import ROOT

PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
_NUMBER = re.compile(r"-?\d+\.\d+")


def block(kind: str, after: str) -> str:
    """The first code block of a kind after a heading."""
    found = re.search(rf"^```{kind}\n(.*?)^```", PAGE.split(f"\n{after}\n")[1], re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_example_prints_what_the_page_shows() -> None:
    """Words are equal. Numbers may differ by one unit of the last digit: instruction sets round differently."""
    printed = io.StringIO()
    scope: dict[str, Any] = {}
    with contextlib.redirect_stdout(printed):
        exec(compile(block("python", "## Example"), "README.md", "exec"), scope)
    shown, found = block("", "It prints"), printed.getvalue()
    assert re.sub(r"[\d.+\-\s]+", " ", found) == re.sub(r"[\d.+\-\s]+", " ", shown)
    numbers = [np.array([float(number) for number in _NUMBER.findall(text)]) for text in (found, shown)]
    np.testing.assert_allclose(*numbers, atol=0.011)


def test_the_search_with_scikit_learn_runs() -> None:
    (code,) = (
        code for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE) if "sklearn" in code
    )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert printed.getvalue().strip() == code.rstrip().rsplit("# ", 1)[1]


def test_the_file_tree_names_what_is_there() -> None:
    top, missing = ROOT, []
    lines = block("", "## Project layout").splitlines()
    for line in lines:
        name = line.split()[0]
        path = top / name if line.startswith(" ") else ROOT / name
        if not line.startswith(" "):
            top = path
        if not path.exists():
            missing.append(str(path.relative_to(ROOT)))
    assert missing == []
    units = {path.name for path in (ROOT / "src" / "gatewise").iterdir() if (path / "__init__.py").is_file()}
    assert units <= {line.split()[0].rstrip("/") for line in lines}
