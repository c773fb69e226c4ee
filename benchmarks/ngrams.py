"""Cross-validate the linear n-gram model alone on the official train half; the tables of docs/log/accuracy.md.

    python -m benchmarks.ngrams [--data PATH] [--folds 5] [--threads 1]

Five folds grouped by film; the test half is not used. The vocabulary (30,000 tokens) is that of the train half; the
n-grams and their weights come from four folds and are evaluated on the fifth. Accuracy, log loss (nats) and number of
n-grams are means over the folds; seconds are the time of one fit including counting.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from gatewise.data import imdb
from gatewise.metrics import accuracy_and_loss
from gatewise.target import log_probabilities
from gatewise.text import TokenEncoding
from gatewise.training.members.ngrams import MIN_DF, NgramFeatures
from gatewise.types import Array

FITS: dict[str, dict[str, Any]] = {
    "order 1": {"order": 1},
    "order 2": {"order": 2},
    "order 3": {},
    "order 3, with the unknown word": {"exclude": ()},
    "in 3 texts at least": {"min_df": 3},
    "in 5 texts at least": {"min_df": 5},
    "l2 0.3": {"l2": 0.3},
    "l2 1": {"l2": 1.0},
    "l2 16": {"l2": 16.0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="embedded", help="the IMDB archive or its folder")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    data = imdb(options.data).train
    encoding = TokenEncoding.fit([str(text) for text in data.inputs], vocab_size=30_000)
    sequences: list[Array] = list(encoding.encode_batch([str(text) for text in data.inputs]))
    fold = _folds(data.groups, options.folds)
    print("| fit | accuracy | loss | n-grams | seconds |\n|---|---:|---:|---:|---:|")
    for name, changes in FITS.items():
        given = {"exclude": (encoding.unknown,), "threads": options.threads, **changes}
        found = np.array(list(_results(sequences, data.labels, fold, given)))
        accuracy, loss, kept, seconds = found.mean(axis=0)
        error = found[:, 0].std(ddof=1) / len(found) ** 0.5
        print(f"| {name} | {accuracy:.4f} ± {error:.4f} | {loss:.4f} | {kept:,.0f} | {seconds:.1f} |", flush=True)


def _folds(groups: Array, count: int) -> Array:
    """The fold of each row, drawn by film."""
    films, film = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(5).permutation(len(films))
    return np.asarray(order[film] % count)


def _results(sequences: list[Array], labels: Array, fold: Array, given: dict[str, Any]) -> Iterator[tuple[float, ...]]:
    """Accuracy, log loss, number of n-grams and seconds of each fold."""
    for k in range(int(fold.max()) + 1):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        began = time.perf_counter()
        order, min_df, exclude = given.get("order", 3), given.get("min_df", MIN_DF), given["exclude"]
        features = NgramFeatures.of([sequences[n] for n in train], order, min_df, exclude)
        fitted = features.fit(labels[train, None].astype(float), l2=given.get("l2", 4.0), threads=given["threads"])
        seconds = time.perf_counter() - began
        logits = fitted.logits([sequences[n] for n in test])
        yield *accuracy_and_loss(log_probabilities(logits), labels[test]), len(features.keys), seconds


if __name__ == "__main__":
    main()
