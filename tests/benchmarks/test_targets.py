"""Figures are computed from times, and every target names an existing case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cases import cases
from benchmarks.reviews import Reviews
from benchmarks.tables import RESULTS
from benchmarks.targets import TARGETS, Target, figure, summary


def case(scale: float = 1.0, **rounds: list[float]) -> dict[str, Any]:
    rows = {name.replace("_", " "): {"seconds": sorted(t)[len(t) // 2], "rounds": t} for name, t in rounds.items()}
    return {"scale": scale, "contenders": rows}


# 6 GFLOP in 2 s, and 0.25 s for one GFLOP: 3 of 4 GFLOP/s
SGEMM = case(6.0, b=[2.0], sgemm_x=[0.25], sgemm_y=[1.0])


@pytest.mark.parametrize(
    ("target", "measured", "expected"),
    [
        (Target("n", "w", 2, "c", "a", "b"), case(a=[4, 9, 8], b=[2, 3, 2]), 3.0),
        (Target("n", "w", 1.1, "c", "a", "b", formula="scaled", scale=10), case(a=[22.0], b=[2.0]), 1.1),
        (Target("n", "w", None, "c", "a", "a", formula="first_round"), case(a=[9, 2, 4, 3]), 3.0),
        (Target("n", "w", None, "c", "a", "b", formula="idle"), case(a=[10.0], b=[8.0]), 0.75),
        (Target("n", "w", 0.7, "c", "sgemm", "b", formula="sgemm_share"), SGEMM, 0.75),
    ],
)
def test_figures(target: Target, measured: dict[str, Any], expected: float) -> None:
    assert figure(target, {"c": measured}) == pytest.approx(expected)


def test_an_unavailable_contender_has_no_figure() -> None:
    target = Target("n", "w", 2, "c", "a", "b")
    assert figure(target, {}) is None
    contenders = {"a": {"rounds": [1.0]}, "b": {"unavailable": "no such build"}}
    assert figure(target, {"c": {"contenders": contenders}}) is None


def test_every_target_names_a_case_and_two_of_its_contenders() -> None:
    tiny = Reviews([np.arange(1, 20, dtype=np.int32)] * 6400, np.arange(6400) % 2, 88_588, "none")
    made = {case.name: [contender.name for contender in case.contenders] for case in cases(tiny)}
    for target in TARGETS:
        assert target.denominator in made[target.case], target.name
        sgemm = target.formula == "sgemm_share" and any(n.startswith("sgemm") for n in made[target.case])
        assert sgemm or target.numerator in made[target.case], target.name
    assert len({target.name for target in TARGETS}) == len(TARGETS)


def test_the_stored_summary_matches_the_full_results() -> None:
    full, short = (Path(RESULTS / f"{name}.json") for name in ("full", "summary"))
    assert full.exists() == short.exists()
    if full.exists():
        expected = summary(json.loads(full.read_text(encoding="utf-8"))["cases"])
        assert json.loads(short.read_text(encoding="utf-8")) == expected
