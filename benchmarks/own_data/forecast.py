"""Forecasts compared with the seasonal naive forecast, AutoARIMA, AutoETS and AutoTheta of statsforecast.

    python -m benchmarks.own_data forecast --peers VENV [--json FILE] [--sets NAME,...]

VENV: a virtual environment with statsforecast, statsmodels, sktime, pydataset and vega_datasets, whose files are the
data (`forecast_data.py`). A run of all sets writes results/own_data_forecast.json. Each forecaster gets all but the
last values and forecasts them, from one to three cutoffs. The peers run in the same run, one series at a time, on one
thread, with one season; AutoARIMA is approximated (`forecast_peer.py`). The set with promotions is measured apart: the
peers do not read the promotions.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import gatewise as gw
from benchmarks.machine import machine, now, revision
from benchmarks.own_data.forecast_data import Set, read_sets

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "own_data_forecast.json"
PEERS = ROOT / ".venv-peers"
MODELS = ("SeasonalNaive", "AutoARIMA", "AutoETS", "AutoTheta")
APART = "made: promotions"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data forecast")
    parser.add_argument("--sets", default="", help="names, separated by commas")
    parser.add_argument("--peers", type=Path, default=PEERS, help="virtual environment with the peers and the data")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    sets = read_sets(next(options.peers.glob("lib/python3*/site-packages")))
    names = options.sets.split(",") if options.sets else list(sets)
    if unknown := set(names) - set(sets):
        parser.error(f"no set is called {min(unknown)}; there are {', '.join(sets)}")
    script = str(Path(__file__).with_name("forecast_peer.py"))
    command = [str(options.peers / "bin" / "python"), "-W", "ignore", script]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    results: dict[str, Any] = {}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=one_thread
    ) as peer:
        for name in names:
            results[name] = measure(sets[name], peer)
            print(line(name, results[name]), flush=True)
        assert peer.stdin is not None
        peer.stdin.close()
    summary = summarised(results)
    print("\n".join(f"{key}: {value}" for key, value in summary.items()))
    path = options.json or (None if options.sets else RESULTS)
    if path is not None:
        about = {"machine": machine(), "date": now(), "revision": revision(), "summary": summary}
        path.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")
    return 0


def measure(given: Set, peer: subprocess.Popen[str]) -> dict[str, Any]:
    """MASE, coverage of the 80% intervals and seconds per fit, means over series and cutoffs. failed: the peers for
    which the seasonal naive forecast stands in, and why.
    """
    found: dict[str, dict[str, list[float]]] = {
        name: {"mase": [], "coverage": [], "seconds": []} for name in ("gatewise", *MODELS)
    }
    groups = [rows for _, rows in given.frame.groupby("id", sort=False)]
    weights, failed = [], list[str]()
    for cut in range(given.windows * given.horizon, 0, -given.horizon):
        train = pd.concat([rows[: len(rows) - cut] for rows in groups])
        tests = [rows[len(rows) - cut : len(rows) - cut + given.horizon] for rows in groups]
        start = time.perf_counter()
        fitted = gw.Forecaster.fit(
            train, id="id", time="time", target="target", future=given.future, horizon=given.horizon
        )
        forecast = fitted.predict(future=pd.concat(tests) if given.future else None)
        found["gatewise"]["seconds"].append(time.perf_counter() - start)
        weights.append(fitted.ensemble.lstm_weight)
        for rows, test in zip(groups, tests, strict=True):
            known, future = rows["target"].to_numpy()[: len(rows) - cut], test["target"].to_numpy()
            one = forecast[forecast["id"] == test["id"].iloc[0]]
            season = given.season if len(known) > given.season else 1
            scale = float(np.mean(np.abs(known[season:] - known[:-season])))
            bounds = one["lo-80"].to_numpy(), one["hi-80"].to_numpy()
            add(found["gatewise"], one["forecast"].to_numpy(), *bounds, future, scale)
            assert peer.stdin is not None
            assert peer.stdout is not None
            peer.stdin.write(json.dumps([known.tolist(), given.horizon, given.season]) + "\n")
            peer.stdin.flush()
            for name, answer in json.loads(peer.stdout.readline()).items():
                mean, lower, upper = (np.array(answer[key], dtype=float) for key in ("mean", "lower", "upper"))
                add(found[name], mean, lower, upper, future, scale)
                found[name]["seconds"].append(answer["seconds"])
                if "failed" in answer:
                    failed.append(f"{name}: {answer['failed']}")
    values = {name: {key: float(np.mean(one)) for key, one in scores.items()} for name, scores in found.items()}
    about: dict[str, Any] = {
        "series": len(groups),
        "values": int(len(given.frame) / len(groups)),
        "horizon": given.horizon,
    }
    about |= {"cutoffs": given.windows, "failed": failed}
    return {**about, "lstm_weight": float(np.mean(weights)), **values}


def add(to: dict[str, list[float]], forecast: Any, lower: Any, upper: Any, future: Any, scale: float) -> None:
    """The mean absolute scaled error and the coverage of one forecast."""
    to["mase"].append(float(np.mean(np.abs(forecast - future))) / scale)
    to["coverage"].append(float(np.mean((lower <= future) & (future <= upper))))


def summarised(results: dict[str, Any]) -> dict[str, Any]:
    """The geometric mean of MASE per model, the sets where a peer is far better, and the coverage."""
    sets = {name: one for name, one in results.items() if name != APART}
    means = {
        name: round(math.exp(np.mean([math.log(max(one[name]["mase"], 1e-3)) for one in sets.values()])), 3)
        for name in ("gatewise", *MODELS)
        if sets
    }
    best = {name: min(one[model]["mase"] for model in MODELS) for name, one in sets.items()}
    far = [
        name
        for name, one in sets.items()
        if one["gatewise"]["mase"] > 1.5 * best[name] and one["gatewise"]["mase"] > best[name] + 0.2
    ]
    coverage = [one["gatewise"]["coverage"] for one in results.values()]
    found: dict[str, Any] = {"sets": len(sets), "geometric mean of MASE": means, "far above the best peer": far}
    return {**found, "coverage": round(float(np.mean(coverage)), 3), "least coverage": round(min(coverage), 3)}


def line(name: str, result: dict[str, Any]) -> str:
    """The result of a set in one line."""
    shown = [f"{model} {result[model]['mase']:.3f}" for model in ("gatewise", *MODELS)]
    own = result["gatewise"]
    return f"{name:20} {'  '.join(shown)}  coverage {own['coverage']:.2f}  {own['seconds']:.1f} s"
