"""Performance targets: the ratios that the project wants to reach, and how each is computed from the measured times."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

Cases = Mapping[str, Mapping[str, Any]]  # as in full.json

# Of the figures of several cases.
STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "lowest": min,
    "lowest but for a tenth": lambda figures: sorted(figures)[len(figures) // 10],
    "median": statistics.median,
}


@dataclass(frozen=True)
class Target:
    """One figure of the summary.

    goal: the value to reach, None for a figure without a goal; is_limit: the goal is an upper limit. case: where it is
    measured, * matches any text. numerator, denominator: the contenders whose times are divided; "sgemm" for the
    share of the sgemm rate. scale: the quotient is divided by it. over: a key of STATISTICS where `case` matches
    several.
    """

    name: str
    description: str
    goal: float | None
    case: str
    numerator: str
    denominator: str
    is_limit: bool = False
    scale: float = 1.0
    over: str = ""

    @property
    def unit(self) -> str:
        return "%" if self.numerator == "sgemm" else "x"


def _targets() -> list[Target]:
    """Those of targets.csv, and again with other instruction sets where the column avx2 has a goal or "none". The other
    libraries keep the instruction set that they choose, so only some figures of AVX2 have goals.
    """
    targets = []
    of_other_isas = []
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            target = Target(
                row["name"],
                row["description"],
                _goal(row["goal"]),
                row["case"],
                row["numerator"],
                row["denominator"],
                is_limit=row["at"] == "most",
                scale=float(row["scale"]),
                over=row["over"],
            )
            targets.append(target)
            if row["avx2"]:
                of_other_isas.append(_with_isa(target, "avx2", _goal(row["avx2"])))
                of_other_isas.append(_with_isa(target, "portable", None))
    return [*targets, *of_other_isas]


def _with_isa(target: Target, isa: str, goal: float | None) -> Target:
    """The target where gatewise is limited to an instruction set."""
    return replace(
        target,
        name=f"{isa}_{target.name}",
        description=f"{isa}: {target.description}",
        goal=goal,
        denominator=f"gatewise {isa}",
    )


def _goal(text: str) -> float | None:
    return None if text == "none" else float(text)


TARGETS = _targets()


def figure(target: Target, cases: Cases) -> float | None:
    """The measured value, of several cases the statistic `target.over`. None where a case did not run or one of the two
    contenders was unavailable.
    """
    # A missing ratio may be the lowest one, so a statistic needs all of them.
    figures = [_figure_of(target, case) for name, case in cases.items() if fnmatchcase(name, target.case)]
    known = [value for value in figures if value is not None]
    if not known or len(known) < len(figures):
        return None
    if target.over:
        return STATISTICS[target.over](known)
    (value,) = known
    return value


def _figure_of(target: Target, case: Mapping[str, Any]) -> float | None:
    """The median over the rounds of the ratio within a round, which cancels out what slows down a whole round. The
    share of the sgemm rate is the case's floating-point operations per second over those of its fastest sgemm.
    """
    times = {name: row["rounds"] for name, row in case["contenders"].items() if row.get("rounds")}
    products = [rounds for name, rounds in times.items() if name.startswith("sgemm")]
    fastest = min(products, key=statistics.median, default=None)
    numerator = fastest if target.unit == "%" else times.get(target.numerator)
    denominator = times.get(target.denominator)
    if numerator is None or denominator is None:
        return None
    value: float = statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))
    return value * float(case["scale"]) if target.unit == "%" else value / target.scale


def summary(cases: Cases) -> dict[str, float | None]:
    """The figure of every target by name, rounded to three decimal places."""
    figures = {target.name: figure(target, cases) for target in TARGETS}
    return {name: None if value is None else round(value, 3) for name, value in figures.items()}
