"""Tables of measurements for the site, from the committed results of own_data and from tables in benchmarks/.

Each function returns Markdown. No page of docs/ holds them: a page has the sentence that a reader needs, and the marker
`<!-- site: benchmark-NAME -->` in the place of the table.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.own_data import text

RESULTS = ROOT / "benchmarks" / "results"
PEERS = ("SeasonalNaive", "AutoARIMA", "AutoETS", "AutoTheta")
ECE_ROWS = 150  # of the test part: with fewer the calibration error is mostly noise


def _results(name: str) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return results


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: bool = True) -> str:
    """numbers: all columns but the first one are aligned as numbers."""
    rule = ["---"] * len(header)
    if numbers:
        rule[1:] = ["---:"] * (len(header) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def _of_csv(path: Path) -> str:
    """A table whose first line is its header. Its cells are Markdown."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return _markdown(header, rows, numbers=False)


def _own_text() -> str:
    return text.summary(_results("own_data_text.json"))


def _own_series() -> str:
    """The data sets with classes, and the regression in its own row."""
    header = ["data set", "train", "test", "gatewise", "MiniRocket", "log loss", "ECE", "seconds"]
    rows = []
    for name, result in _results("own_data_series.json").items():
        runs = result["gatewise"]
        score = "rmse" if "rmse" in runs[0] else "accuracy"
        calibration_error = ""
        if score == "accuracy" and result["test"] >= ECE_ROWS:
            calibration_error = f"{_mean(runs, 'calibration_error'):.3f}"
        rows.append(
            [
                name + " (RMSE)" * (score == "rmse"),
                str(result["train"]),
                str(result["test"]),
                f"{_mean(runs, score):.3f}",
                f"{_mean(result['minirocket'], score):.3f}",
                f"{_mean(runs, 'loss'):.3f}" if score == "accuracy" else "",
                calibration_error,
                f"{_mean(runs, 'seconds'):.0f}",
            ]
        )
    return _markdown(header, rows)


def _mean(runs: Sequence[dict[str, float]], score: str) -> float:
    return statistics.mean(run[score] for run in runs)


def _gain() -> str:
    """The made tasks and the data sets with classes: the default, the LSTM alone, and the gain of the LSTM."""
    header = ["task", "default", "LSTM alone", "gain in accuracy", "gain in log loss"]
    rows = []
    for name, result in _results("own_data_gain.json").items():
        if "loss_gain" not in result:  # a regression
            continue
        gain = f"{result['gain']:+.3f} ± {result['gain_error']:.3f}"
        loss_gain = f"{result['loss_gain']:+.3f} ± {result['loss_error']:.3f}"
        rows.append([name, f"{result['default']:.3f}", f"{result['lstm']:.3f}", gain, loss_gain])
    return _markdown(header, rows)


def _forecast() -> str:
    """MASE of each set, the coverage of the 80% intervals, and seconds per fit and forecast."""
    header = ["set", "series", "gatewise", *PEERS, "coverage of 80%", "seconds"]
    rows = []
    for name, result in _results("own_data_forecast.json").items():
        errors = [f"{result[peer]['mase']:.2f}" if peer in result else "" for peer in PEERS]
        own = result["gatewise"]
        rows.append(
            [
                name,
                str(result["series"]),
                f"{own['mase']:.2f}",
                *errors,
                f"{own['coverage']:.2f}",
                f"{own['seconds']:.0f}",
            ]
        )
    return _markdown(header, rows)


def _forecast_gain() -> str:
    """MASE with the LSTM and without it."""
    header = ["set", "MASE", "without the LSTM", "gain", "weight of the LSTM"]
    rows = []
    for name, result in _results("own_data_forecast_gain.json").items():
        gain = f"{result['gain']:+.3f} ± {result['gain_error']:.3f}"
        weight = f"{result['lstm_weight']:.2f}"
        rows.append([name, f"{result['mase']:.3f}", f"{result['mase_without']:.3f}", gain, weight])
    return _markdown(header, rows)


# Tables that a benchmark printed at the commit which its page names.
_RECORDED = (
    "amx",
    "explain-speed",
    "faithfulness-fast",
    "faithfulness-tutorial",
    "few-labels",
    "gate-shares",
    "imported",
    "independent-sentences",
    "rules",
    "serving",
    "serving-attributions",
    "training-steps",
)

OTHER_TABLES: dict[str, Callable[[], str]] = {
    "own-data-text": _own_text,
    "own-data-series": _own_series,
    "gain": _gain,
    "forecast": _forecast,
    "forecast-gain": _forecast_gain,
    "published": partial(_of_csv, ROOT / "benchmarks" / "published.csv"),
    **{name: partial(_of_csv, RESULTS / f"{name.replace('-', '_')}.csv") for name in _RECORDED},
}
