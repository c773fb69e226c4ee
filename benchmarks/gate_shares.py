"""How much of each gate lies below 0.1, between, and above 0.9, over real reviews; the table of docs/cell.md.

    python benchmarks/gate_shares.py MODEL [MODEL ...] [--data PATH] [--reviews 200]

The models are folders that `gatewise train` wrote. The reviews are the first of the test half (or of the hold-out, with
the embedded data) in an order fixed by a seed; every unit at every word counts once. The accuracies are those on the
model's card: run `gatewise evaluate` first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gatewise as gw
from gatewise.data import Labelled, imdb

GATES = {"i": "input", "f": "forget", "o": "output"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--data", default="embedded", help="the IMDB archive or its folder")
    parser.add_argument("--reviews", type=int, default=200)
    options = parser.parse_args()
    splits = imdb(options.data)
    assert splits.test is not None
    rows = np.random.default_rng(0).permutation(len(splits.test.inputs))[: options.reviews]
    print(f"{options.reviews} reviews of {splits.note}.\n")
    print("| model | gate | below 0.1 | between | above 0.9 | mean | accuracy on all of it |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for folder in options.models:
        for line in _lines(folder, splits.test.take(rows), splits.test):
            print(line)


def _lines(folder: Path, reviews: Labelled, whole: Labelled) -> list[str]:
    model = gw.load(folder)
    accuracy = f"{model.evaluate(whole).accuracy:.4f}"
    values: dict[str, list[np.ndarray]] = {gate: [] for gate in GATES}
    for text in reviews.inputs:
        seen = model.trace(text)
        for lstm in seen.lstms:
            for gate in GATES:
                values[gate].append(getattr(lstm, gate).ravel())
    lines = []
    for gate, name in GATES.items():
        found = np.concatenate(values[gate])
        low, high = (found < 0.1).mean(), (found > 0.9).mean()
        shares = f"{low:.2%} | {1 - low - high:.2%} | {high:.2%}"
        lines.append(f"| {folder.name} | {name} | {shares} | {found.mean():.3f} | {accuracy} |")
    return lines


if __name__ == "__main__":
    main()
