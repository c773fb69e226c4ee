"""The share of gate values below 0.1, between, and above 0.9, over reviews; the table of docs/cell.md.

    python benchmarks/gate_shares.py MODEL [MODEL ...] [--data PATH] [--reviews 200]

The reviews are a random sample of the test half, or of the hold-out of the embedded data. Every unit at every word
counts once. The accuracy is measured on all of it.
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
    print("| model | gate | below 0.1 | between | above 0.9 | mean | accuracy |")
    print("|---|---|---:|---:|---:|---:|---:|")
    gate_values = {folder: _values(gw.load(folder), splits.test.take(rows)) for folder in options.models}
    for folder, gates in gate_values.items():
        accuracy = f"{gw.load(folder).evaluate(splits.test).accuracy:.4f}"
        for gate, values in gates.items():
            low, high = (values < 0.1).mean(), (values > 0.9).mean()
            shares = f"{low:.2%} | {1 - low - high:.2%} | {high:.2%}"
            print(f"| {folder.name} | {GATES[gate]} | {shares} | {values.mean():.3f} | {accuracy} |")
    print("\nHistogram in percent:\n")
    print("| model | gate | " + " | ".join(f"{k / 10:.1f} to {(k + 1) / 10:.1f}" for k in range(10)) + " |")
    print("|---|---|" + "---:|" * 10)
    for folder, gates in gate_values.items():
        for gate, values in gates.items():
            counts, _ = np.histogram(values, bins=10, range=(0, 1))
            histogram = " | ".join(f"{100 * count / len(values):.1f}" for count in counts)
            print(f"| {folder.name} | {GATES[gate]} | {histogram} |")


def _values(model: gw.Model, reviews: Labelled) -> dict[str, np.ndarray]:
    """All values of each gate, over reviews, steps, units and LSTMs."""
    values: dict[str, list[np.ndarray]] = {gate: [] for gate in GATES}
    for text in reviews.inputs:
        for lstm in model.trace(text).lstms:
            for gate in GATES:
                values[gate].append(getattr(lstm, gate).ravel())
    return {gate: np.concatenate(parts) for gate, parts in values.items()}


if __name__ == "__main__":
    main()
