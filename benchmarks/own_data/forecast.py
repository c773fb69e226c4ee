"""Forecasts of the Airline series compared with the seasonal naive forecast and Holt-Winters (statsmodels).

    python -m benchmarks.own_data forecast [--seeds N] [--peers VENV] [--json FILE] [--series NAME,...]

VENV: a virtual environment with sktime and statsmodels, whose files are the data. A run of all series writes
results/own_data_forecast.json. The forecaster gets all but the last values of a series and makes one forecast of all of
them; nothing is chosen on these values. The members of the forecaster and the rule for their weights were chosen on
earlier origins of the other series; Airline is measured only.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gatewise as gw
from benchmarks.machine import machine, now, revision
from gatewise.forecast.held_out import seasonal_naive

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "own_data_forecast.json"
PEERS = ROOT / ".venv-peers"
_SKTIME, _STATSMODELS = "sktime/datasets/data", "statsmodels/datasets"

# Name -> file inside site-packages, column, horizon, season of the peers.
FILES = {
    "Airline": (f"{_SKTIME}/Airline/Airline.csv", "Passengers", 36, 12),
    "sunspots": (f"{_STATSMODELS}/sunspots/sunspots.csv", "SUNACTIVITY", 12, 11),
    "nile": (f"{_STATSMODELS}/nile/nile.csv", "volume", 10, 1),
    "macrodata realgdp": (f"{_STATSMODELS}/macrodata/macrodata.csv", "realgdp", 8, 4),
    "lynx": (f"{_SKTIME}/Lynx/Lynx.csv", "0", 10, 10),
    "shampoo": (f"{_SKTIME}/ShampooSales/ShampooSales.csv", "Sales", 6, 1),
    "uschange": (f"{_SKTIME}/Uschange/Uschange.csv", "Consumption", 8, 4),
    "seatbelts": (f"{_SKTIME}/seatbelts/seatbelts.csv", "KSI", 24, 12),
}
MEASURED = ("Airline",)


def read(name: str, packages: Path) -> NDArray[np.float64]:
    """The values of a series. Raises OSError for a package that is not installed."""
    path, column, _, _ = FILES[name]
    with open(packages / path, newline="", encoding="utf-8-sig") as file:
        return np.array([float(row[column]) for row in csv.DictReader(file)])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data forecast")
    parser.add_argument("--series", default="", help="names, separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=PEERS, help="virtual environment with the peers and the data")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    names = options.series.split(",") if options.series else list(FILES)
    if unknown := set(names) - set(FILES):
        parser.error(f"no series is called {min(unknown)}; there are {', '.join(FILES)}")
    packages = next(options.peers.glob("lib/python3*/site-packages"))
    results: dict[str, Any] = {}
    for name in names:
        y, horizon, season = read(name, packages), *FILES[name][2:]
        train, future = y[:-horizon], y[-horizon:]
        runs = [_measure(train, future, horizon, seed) for seed in range(options.seeds)]
        naive = seasonal_naive(train[None], horizon, season)[0]
        holt = _holt_winters(train, horizon, season, options.peers)
        results[name] = {
            "n": len(y),
            "horizon": horizon,
            "measured": name in MEASURED,
            "gatewise": runs,
            "seasonal_naive": _scores(naive, future),
            "holt_winters": None if holt is None else _scores(holt, future),
        }
        print(_line(name, results[name]), flush=True)
    path = options.json or (None if options.series else RESULTS)
    if path is not None:
        about = {"machine": machine(), "date": now(), "revision": revision(), "seeds": options.seeds}
        path.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")
    return 0


def _measure(train: NDArray[np.float64], future: NDArray[np.float64], horizon: int, seed: int) -> dict[str, Any]:
    start = time.perf_counter()
    found = gw.Forecaster(horizon, seed=seed).fit(train)
    one = found.forecast(level=0.8)
    inside = (one.lower <= future) & (future <= one.upper)
    return {
        **_scores(one.mean, future),
        "held_out_mase": found.held_out.scores.mase,
        "held_out_mase_naive": found.held_out.naive_scores.mase,
        "coverage_80": float(inside[np.isfinite(one.lower)].mean()),
        "season": found.season,
        "lstm_weight": found.ensemble.lstm_weight,
        "seconds": time.perf_counter() - start,
    }


def _scores(forecast: NDArray[np.float64], future: NDArray[np.float64]) -> dict[str, Any]:
    error = forecast - future
    mape = None if (future == 0).any() else float(np.mean(np.abs(error / future)))
    return {"mae": float(np.mean(np.abs(error))), "mape": mape, "rmse": float(np.sqrt(np.mean(error**2)))}


def _holt_winters(train: NDArray[np.float64], horizon: int, season: int, peers: Path) -> NDArray[np.float64] | None:
    """None without a season or with values that are not above 0."""
    if season == 1 or (train <= 0).any():
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.npz"
        np.savez(path, y=train)
        script = str(Path(__file__).with_name("forecast_peer.py"))
        command = [str(peers / "bin" / "python"), "-W", "ignore", script, str(path), str(horizon), str(season)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the peer failed: {done.stderr[-500:]}")
    return np.array(json.loads(done.stdout.splitlines()[-1]))


def _line(name: str, result: dict[str, Any]) -> str:
    def shown(scores: Sequence[dict[str, Any]], what: str) -> str:
        values = [one[what] for one in scores]
        if None in values:
            return "-"
        return f"{np.mean(values):.4f}" if what == "mape" else f"{np.mean(values):.4g}"

    ours, naive, holt = result["gatewise"], [result["seasonal_naive"]], result["holt_winters"]
    parts = []
    for what in ("mape", "mae"):
        peer = "-" if holt is None else shown([holt], what)
        parts.append(f"{what.upper()} {shown(ours, what)}, seasonal naive {shown(naive, what)}, Holt-Winters {peer}")
    mark = "measured" if result["measured"] else "tuned on"
    return f"{name:18} ({mark}) {'  '.join(parts)}  {np.mean([one['seconds'] for one in ours]):.0f} s"
