"""From times to figures, and that every bar can be measured at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.bars import BARS, Bar, figure, summary
from benchmarks.cases import cases
from benchmarks.reviews import Reviews
from benchmarks.tables import RESULTS


def case(scale: float = 1.0, **turns: list[float]) -> dict[str, Any]:
    rows = {name.replace("_", " "): {"seconds": sorted(t)[len(t) // 2], "turns": t} for name, t in turns.items()}
    return {"scale": scale, "contenders": rows}


@pytest.mark.parametrize(
    ("bar", "measured", "wanted"),
    [
        (Bar("n", "w", 2, "c", "a", "b"), case(a=[4, 9, 8], b=[2, 3, 2]), 3.0),
        (Bar("n", "w", 1.1, "c", "a", "b", how="per_step", worth=10), case(a=[22.0], b=[2.0]), 1.1),
        (Bar("n", "w", None, "c", "a", "a", how="first"), case(a=[9, 2, 4, 3]), 3.0),
        (Bar("n", "w", None, "c", "a", "b", how="idle"), case(a=[10.0], b=[8.0]), 0.75),
        # 6 GFLOP in 2 s, and 0.25 s for one GFLOP: 3 of 4 GFLOP/s
        (Bar("n", "w", 0.7, "c", "sgemm", "b", how="share"), case(6.0, b=[2.0], sgemm_x=[0.25], sgemm_y=[1.0]), 0.75),
    ],
)
def test_a_figure_comes_out_as_its_bar_says(bar: Bar, measured: dict[str, Any], wanted: float) -> None:
    assert figure(bar, {"c": measured}) == pytest.approx(wanted)


def test_there_is_no_figure_for_who_was_absent() -> None:
    bar = Bar("n", "w", 2, "c", "a", "b")
    assert figure(bar, {}) is None
    assert figure(bar, {"c": {"contenders": {"a": {"turns": [1.0]}, "b": {"absent": "no such build"}}}}) is None


def test_every_bar_names_a_case_and_two_of_its_contenders() -> None:
    tiny = Reviews([np.arange(1, 20, dtype=np.int32)] * 6400, np.arange(6400) % 2, 88_588, "none")
    made = {case.name: [entry.name for entry in case.entries] for case in cases(tiny)}
    for bar in BARS:
        assert bar.below in made[bar.case], bar.name
        above = bar.above in made[bar.case]
        assert above or (bar.how == "share" and any(n.startswith("sgemm") for n in made[bar.case])), bar.name
    assert len({bar.name for bar in BARS}) == len(BARS)


def test_a_yardstick_is_a_product_and_nothing_else_is() -> None:
    tiny = Reviews([np.arange(1, 20, dtype=np.int32)] * 6400, np.arange(6400) % 2, 88_588, "none")
    entries = [entry for case in cases(tiny) for entry in case.entries]
    assert any(entry.name.startswith("sgemm") for entry in entries)
    for entry in entries:
        assert entry.name.startswith("sgemm") == (entry.settings.get("kind") == "sgemm"), entry.name


def test_the_summary_is_flat_and_has_every_bar() -> None:
    assert list(summary({})) == [bar.name for bar in BARS]
    assert set(summary({}).values()) == {None}


def test_the_summary_in_the_repository_is_that_of_the_full_results() -> None:
    full, short = (Path(RESULTS / f"{name}.json") for name in ("full", "summary"))
    assert full.exists() == short.exists()
    if full.exists():
        wanted = summary(json.loads(full.read_text(encoding="utf-8"))["cases"])
        assert json.loads(short.read_text(encoding="utf-8")) == wanted
