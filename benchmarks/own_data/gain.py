"""Gain of the LSTM: the ensemble minus the best ensemble without it, fitted to the same held-out logits.

Both are measured on the test parts of a series set, of a made task (`memory_data`) or of a text set. Of a regression,
accuracy is minus the squared error in place of whether a row is right, and log loss that error.

    python -m benchmarks.own_data gain [--only NAME,...] [--seeds N] [--packages DIR] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import gatewise as gw
from benchmarks.machine import ROOT, machine, now, revision
from benchmarks.own_data.memory_data import TASKS, made
from benchmarks.own_data.series_data import FILES, read
from benchmarks.own_data.text_sets import TEXT_SETS, text_set
from gatewise.training.stack import stack

RESULTS = ROOT / "benchmarks" / "results" / "own_data_gain.json"


def parts(name: str, seed: int, packages: Path) -> list[tuple[Any, Any, Any, Any]]:
    """Inputs and labels of each training part, and those of its test part."""
    if name in (one.name for one in TEXT_SETS):
        return [(*cut.train, *cut.test) for cut in text_set(name).load(packages)]
    data, test = (made(name, part, seed) if name in TASKS else read(name, part, packages) for part in ("TRAIN", "TEST"))
    return [(data.inputs, data.labels, test.inputs, test.labels)]


def measured(name: str, seed: int, packages: Path) -> dict[str, Any]:
    """Accuracy and log loss (2, n) of the test rows with the LSTM, without it and of the LSTM alone."""
    runs = [measured_part(*one, seed) for one in parts(name, seed, packages)]
    means = {key: float(np.mean([run[key] for run in runs])) for key in ("seconds", "weight")}
    each = {key: np.concatenate([run[key] for run in runs], axis=1) for key in ("with", "without", "alone")}
    return means | each


def measured_part(inputs: Any, labels: Any, test: Any, test_labels: Any, seed: int) -> dict[str, Any]:
    """As `measured`, of one training part."""
    seen: list[Any] = []

    def keep(members: Any, *arguments: Any, **options: Any) -> Any:
        seen[:] = [members, stack(members[1:], *arguments, **options)]
        return stack(members, *arguments, **options)

    began = time.process_time()
    with patch("gatewise.training.train.stack", keep):
        task: Any = "regression" if isinstance(labels[0], float) else "classification"
        model = gw.train(inputs, labels, task=task, seed=seed, verbose=0)
    seconds, sequences = time.process_time() - began, model.preprocessor.encode_batch(test)
    members, without = seen
    others = sum(w * one.logits(sequences) for w, one in zip(without.weights, members[1:], strict=True)) + without.shift
    regression = model.task == "regression"
    truth = np.array(test_labels if regression else [list(model.classes).index(str(one)) for one in test_labels])
    found: dict[str, Any] = {"seconds": seconds, "weight": model.ensemble.lstm_weight}
    alone = model.ensemble.lstm.logits(sequences)
    for who, logits in (("with", model.ensemble.logits(sequences)), ("without", others), ("alone", alone)):
        if regression:
            squared = np.square(model.ensemble.target.predicted(logits)[:, 0] - truth)
            found[who] = np.stack([-squared, squared])
            continue
        p = model.ensemble.target.probabilities(logits)
        found[who] = np.stack([p.argmax(axis=1) == truth, -np.log(np.maximum(p[np.arange(len(p)), truth], 1e-15))])
    return found


def row(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Means over the seeds, and the gain with its standard error over the test rows."""
    each = {who: np.mean([run[who] for run in runs], axis=0) for who in ("with", "without", "alone")}  # (2, n)
    gain = each["with"] - each["without"]
    error = gain.std(axis=1, ddof=1) / np.sqrt(gain.shape[1])
    return {
        "default": float(each["with"][0].mean()),
        "lstm": float(each["alone"][0].mean()),
        "gain": float(gain[0].mean()),
        "gain_error": float(error[0]),
        "loss": float(each["with"][1].mean()),
        "loss_gain": float(-gain[1].mean()),
        "loss_error": float(error[1]),
        "weight": float(np.mean([run["weight"] for run in runs])),
        "cpu_seconds": float(np.mean([run["seconds"] for run in runs])),
    }


def main(arguments: Sequence[str]) -> int:
    names = [*FILES, *TASKS, *(one.name for one in TEXT_SETS)]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data gain")
    parser.add_argument("--only", default=",".join(names), help="sets, separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--packages", type=Path, default=Path(sysconfig.get_path("purelib")))
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    results: dict[str, Any] = json.loads(options.json.read_text()) if options.json.exists() else {}
    for name in options.only.split(","):
        found = row([measured(name, seed, options.packages) for seed in range(options.seeds)])
        results[name] = found | {"seeds": options.seeds, "machine": machine(), "date": now(), "revision": revision()}
        print(name, {key: round(value, 3) for key, value in found.items()}, flush=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
