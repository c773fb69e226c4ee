"""Forecasts compared with the seasonal naive forecast, AutoARIMA, AutoETS and AutoTheta of statsforecast.

Each forecaster gets all but the last values and forecasts them, from one to three cutoffs. The peers run in the same
run, one series at a time, on one thread, with one season; AutoARIMA is approximated (contenders/statsforecast.py). The
set with promotions is measured apart: the peers do not read the promotions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import gatewise as gw
from benchmarks.contenders.base import Unavailable
from benchmarks.own_data.forecast_sets import Set, sets
from benchmarks.worker import Worker, python_with
from gatewise.types import Array

__all__ = ["line", "measured", "sets", "summary"]
MODELS = ("SeasonalNaive", "AutoARIMA", "AutoETS", "AutoTheta")
APART = "made: promotions"


class Test(NamedTuple):
    """The values of a series before a cutoff, and the rows and values after it. season: of MASE."""

    known: Array
    rows: pd.DataFrame
    future: Array
    season: int

    def mase(self, forecast: Array) -> float:
        """Mean absolute error, relative to that of the seasonal naive forecast one step ahead before the cutoff."""
        season = self.season if len(self.known) > self.season else 1
        scale = float(np.mean(np.abs(self.known[season:] - self.known[:-season])))
        return float(np.mean(np.abs(forecast - self.future))) / scale


def cutoffs(given: Set) -> Iterator[tuple[pd.DataFrame, list[Test]]]:
    """For each cutoff the rows before it and the tests, one for each series."""
    groups = [rows for _, rows in given.frame.groupby("id", sort=False)]
    for cut in range(given.windows * given.horizon, 0, -given.horizon):
        tests = []
        for rows in groups:
            values, after = rows["target"].to_numpy(), rows[len(rows) - cut : len(rows) - cut + given.horizon]
            tests.append(Test(values[: len(rows) - cut], after, after["target"].to_numpy(), given.season))
        yield pd.concat([rows[: len(rows) - cut] for rows in groups]), tests


def forecast_of(train: pd.DataFrame, tests: list[Test], given: Set) -> tuple[gw.Forecaster, list[pd.DataFrame]]:
    """A forecaster that is fitted to the rows, and its forecast for each test."""
    fitted = gw.Forecaster.fit(train, id="id", time="time", target="target", future=given.future, horizon=given.horizon)
    forecast = fitted.predict(future=pd.concat([one.rows for one in tests]) if given.future else None)
    return fitted, [forecast[forecast["id"] == one.rows["id"].iloc[0]] for one in tests]


def measured(given: Set, seeds: int, peers: Path | None) -> dict[str, Any]:
    """MASE, coverage of the 80% intervals and seconds per fit, means over series and cutoffs. failed: the peers for
    which the seasonal naive forecast stands in, and why.
    """
    names = ("gatewise", *MODELS) if peers else ("gatewise",)
    found: dict[str, dict[str, list[float]]] = {name: {"mase": [], "coverage": [], "seconds": []} for name in names}
    weights, failed = [], list[str]()
    worker = Worker("peers", "statsforecast", python_with("statsforecast", peers), 1, {}) if peers else None
    for train, tests in cutoffs(given):
        start = time.perf_counter()
        fitted, forecasts = forecast_of(train, tests, given)
        found["gatewise"]["seconds"].append(time.perf_counter() - start)
        weights.append(fitted.ensemble.lstm_weight)
        for test, one in zip(tests, forecasts, strict=True):
            answers = {"gatewise": {name: one[name].to_numpy() for name in ("forecast", "lo-80", "hi-80")}}
            for model in names[1:]:
                assert worker is not None
                settings = {"model": model, "horizon": given.horizon, "season": given.season}
                worker.load("forecast", settings, {"values": test.known})
                start = time.perf_counter()
                try:
                    answers[model] = worker.check()
                except Unavailable as error:  # too short for the model
                    answers[model] = answers["SeasonalNaive"]
                    failed.append(f"{model}: {error}")
                found[model]["seconds"].append(time.perf_counter() - start)
            for name, answer in answers.items():
                found[name]["mase"].append(test.mase(answer["forecast"]))
                inside = (answer["lo-80"] <= test.future) & (test.future <= answer["hi-80"])
                found[name]["coverage"].append(float(np.mean(inside)))
    if worker is not None:
        worker.close()
    count = given.frame["id"].nunique()
    sizes = {"series": count, "values": int(len(given.frame) / count), "horizon": given.horizon}
    about = {"cutoffs": given.windows, "failed": failed, "lstm_weight": float(np.mean(weights))}
    return sizes | about | {name: {key: float(np.mean(one)) for key, one in s.items()} for name, s in found.items()}


def line(name: str, result: dict[str, Any]) -> str:
    """The result of a set in one line."""
    shown = [f"{model} {result[model]['mase']:.3f}" for model in ("gatewise", *MODELS) if model in result]
    own = result["gatewise"]
    return f"{name:20} {'  '.join(shown)}  coverage {own['coverage']:.2f}  {own['seconds']:.1f} s"


def summary(results: dict[str, Any]) -> str:
    """The geometric mean of MASE per model, the sets where a peer is far better, and the coverage."""
    sets = {name: one for name, one in results.items() if name != APART and set(MODELS) <= set(one)}
    means = {
        name: round(math.exp(np.mean([math.log(max(one[name]["mase"], 1e-3)) for one in sets.values()])), 3)
        for name in ("gatewise", *MODELS)
    }
    far = []
    for name, one in sets.items():
        own, best = one["gatewise"]["mase"], min(one[model]["mase"] for model in MODELS)
        if own > 1.5 * best and own > best + 0.2:
            far.append(name)
    coverage = [one["gatewise"]["coverage"] for one in results.values()]
    return (
        f"geometric mean of MASE, {len(sets)} sets: {means}\nfar above the best peer: {far}\n"
        f"coverage: mean {np.mean(coverage):.3f}, least {min(coverage):.3f}"
    )
