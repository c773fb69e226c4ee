"""docs/architecture.md: the files and functions of each request exist, and a traced request calls them in that order.

A request is a section of `REQUESTS`. Its numbered items begin with a path relative to
src/gatewise and a function of that file: "1. `cli/predict.py` `predict`: reads the texts." Nested functions and methods
are written with dots: `Model.predict_proba`.
"""

import re
import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from source_tree import PACKAGE, ROOT

from tests.cli.conftest import Run

PAGE = ROOT / "docs" / "architecture.md"
REQUESTS = ("Predict", "Train", "Explain", "Forecast")
_ITEM = re.compile(r"^\d+\. \[?`([\w./]+\.\w+)`(?:\]\([^)]*\))? `([\w.]+)`", re.MULTILINE)


Step = tuple[str, str]  # file from src/gatewise, function


def steps(page: str, heading: str) -> list[Step]:
    """The files and functions of a request, which is a second-level section, in the order of the page."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert found is not None, f"docs/architecture.md has no section {heading!r}"
    return _ITEM.findall(found[1])


def out_of_order(described: list[Step], calls: list[Step]) -> list[str]:
    """What is wrong with the described steps, given the functions in the order of their first call."""
    first = {step: n for n, step in reversed(list(enumerate(calls)))}
    missing = [f"{path} `{name}` is not called" for path, name in described if (path, name) not in first]
    reached = [step for step in described if step in first]
    late = [f"{b[0]} `{b[1]}` is called before {a[0]} `{a[1]}`" for a, b in pairwise(reached) if first[b] < first[a]]
    return missing + late


def traced(run: Callable[[], object]) -> list[Step]:
    """The functions of the package that a call enters, in the order of their first call."""
    calls: dict[Step, None] = {}

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            code = frame.f_code
            if code.co_filename.startswith(str(PACKAGE)):
                name = code.co_qualname.replace(".<locals>", "")
                calls.setdefault((str(Path(code.co_filename).relative_to(PACKAGE)), name))

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return list(calls)


def request_of(heading: str, folder: Path) -> Callable[[], object]:
    """The request of a section: the bundled model predicts and explains, others are trained on tiny tables."""
    if heading == "Predict":
        return partial(Run(), "predict", "A warm, funny and honest film.")
    if heading == "Explain":
        return partial(Run(), "explain", "A warm, funny and honest film.")
    if heading == "Forecast":
        months = [f"{2000 + n // 12}-{n % 12 + 1:02},{100 + n + 20 * (n % 12)}\n" for n in range(96)]
        (folder / "sales.csv").write_text("month,sold\n" + "".join(months), encoding="utf-8")
        return partial(Run(), "forecast", folder / "sales.csv", "--time", "month", "--target", "sold", "--horizon", 12)
    table = folder / "reviews.csv"
    rows = [("good" if n % 3 else "bad", f"the film was {'good' if n % 3 else 'bad'} {n}") for n in range(24)]
    table.write_text("text,label\n" + "".join(f"{text},{label}\n" for label, text in rows), encoding="utf-8")
    small = ("--epochs", 1, "--set", "units=4", "--set", "batch_size=8")
    return partial(Run(), "train", table, "-o", folder / "trained", *small)


@pytest.mark.parametrize("heading", REQUESTS)
def test_the_request_calls_the_functions_in_order(heading: str, tmp_path: Path) -> None:
    described = steps(PAGE.read_text(encoding="utf-8"), heading)
    assert 5 <= len(described) <= 20, "the path of a request has five to twenty steps"
    calls = traced(request_of(heading, tmp_path))
    assert out_of_order(described, calls) == []


def test_paths_in_the_text_exist() -> None:
    """Every path to a file of the package or the repository that the page names in a code span."""
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)*/[\w.-]*)`", PAGE.read_text(encoding="utf-8"))
    missing = [path for path in named if not ((PACKAGE / path).exists() or (ROOT / path).exists())]
    assert missing == []
