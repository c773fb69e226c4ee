"""The accuracy of gates of exactly 0 or 1, compared with sigmoid gates in the same architecture.

    python benchmarks/binary_gates.py [--data PATH] [-o models]

One direction, mean pooling, no pads, no dropout, no n-grams, two epochs; the tutorial recipe leaves a binary model at
chance (docs/cell.md). Saves both models for `benchmarks/gate_shares.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gatewise.data import imdb
from gatewise.metrics import with_interval
from gatewise.training import recipe
from gatewise.training.train import train

CHANGES: dict[str, Any] = {
    "bidirectional": False,
    "pooling": "mean",
    "dropout_word": 0.0,
    "dropout_embedding": 0.0,
    "dropout_output": 0.0,
    "epochs": 2,
    "ngrams__order": 0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="embedded", help="the IMDB archive or its folder")
    parser.add_argument("-o", "--out", type=Path, default=Path("models"))
    options = parser.parse_args()
    splits = imdb(options.data)
    assert splits.test is not None
    for gate in ("sigmoid", "binary"):
        folder = options.out / f"mean-{gate}"
        model = train(splits.train, recipe=recipe("fast", gate=gate, **CHANGES), seed=0, out=folder, overwrite=True)
        evaluation = model.evaluate(splits.test)
        accuracy = with_interval(evaluation.accuracy, evaluation.n)
        print(f"{gate:8} accuracy {accuracy} on {splits.note}; saved to {folder}")


if __name__ == "__main__":
    main()
