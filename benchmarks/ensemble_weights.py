"""What an n-gram model adds to a network, and ensemble weights from few rows: the tables of docs/log/accuracy.md.

    python -m benchmarks.ensemble_weights MODEL [--data PATH]

MODEL: a network alone, of `gatewise train imdb --ngram-order 0` on the same data. The script makes the model's split
again, fits an n-gram model to the training part, and measures on the validation set: whole films that neither was
trained on. The first table has each part, their plain sum and the ensemble (cross-fitted: the weights of each half come
from the other half), with the expected calibration error over 15 bins of equal size. The second table has the ensemble
whose weights are fitted to n rows and measured on the others, means of 30 draws, by the penalty L2. The test half is
not read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import gatewise as gw
from gatewise.data import imdb
from gatewise.metrics import accuracy_and_loss
from gatewise.target import log_probabilities
from gatewise.training import recipe
from gatewise.training.members.ngrams import MIN_DF, NgramFeatures
from gatewise.training.stack import L2, fit_weights
from gatewise.training.training_data import prepare
from gatewise.types import Array

PENALTIES = (0.1, 1.0, 5.0, 10.0, 30.0)
ROWS = (30, 100, 500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", default="embedded", help="the IMDB archive or its folder")
    parser.add_argument("--ngram-l2", type=float, default=recipe("fast").ngrams.l2)
    options = parser.parse_args()
    model, data = gw.load(options.model), imdb(options.data).train
    assert not model.ensemble.others, "MODEL must be a network alone"
    assert model.metadata.fingerprint == data.fingerprint(), "the model was trained on other data"
    training_data = prepare(data, recipe(model.metadata.recipe, ngrams__order=3), model.metadata.seed)
    train, y = training_data.train, training_data.labels[training_data.validation]
    features = NgramFeatures.of(training_data.full(train), 3, MIN_DF, training_data.excluded_tokens)
    ngrams, validation = features.fit(training_data.targets(train), l2=options.ngram_l2), training_data.validation
    parts = [one.logits(training_data.full(validation)) for one in (model.ensemble, ngrams)]
    logits = np.stack(parts, axis=2)  # (n, 1, 2)
    print(f"{len(y):,} validation rows, {len(features.keys):,} n-grams, l2 {options.ngram_l2:g}\n")
    print("| logit | accuracy | loss | calibration error |\n|---|---:|---:|---:|")
    for name, weights in (("network", (1.0, 0.0)), ("n-grams", (0.0, 1.0)), ("plain sum", (1.0, 1.0))):
        _row(name, logits @ weights, y)
    order, crossed = np.random.default_rng(0).permutation(len(y)), np.zeros_like(parts[0])
    for test, fit in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        found, shift = _fit(logits[fit], y[fit], L2)
        crossed[test] = logits[test] @ found + shift
    _row("ensemble", crossed, y)
    print(f"\nweights and shift fitted to all rows: {_fit(logits, y, L2)}\n")
    print("| rows | L2 | accuracy | loss | worst loss | a | b |\n|---:|---:|---:|---:|---:|---:|---:|")
    for n in ROWS:
        for l2 in PENALTIES:
            _draws(n, l2, logits, y)


def _fit(logits: Array, y: Array, l2: float) -> tuple[Array, Array]:
    return fit_weights(logits, y[:, None].astype(np.float64), np.ones(2), l2, l2)


def _draws(n: int, l2: float, logits: Array, y: Array) -> None:
    rng, found = np.random.default_rng(n), []
    for _ in range(30):
        rows = rng.permutation(len(y))
        train, test = rows[:n], rows[n:]
        weights, shift = _fit(logits[train], y[train], l2)
        found.append((*accuracy_and_loss(log_probabilities(logits[test] @ weights + shift), y[test]), *weights))
    accuracy, loss, a, b = np.mean(found, axis=0)
    worst = max(loss for _, loss, *_ in found)
    print(f"| {n} | {l2:g} | {accuracy:.4f} | {loss:.4f} | {worst:.4f} | {a:.2f} | {b:.2f} |", flush=True)


def _row(name: str, logits: Array, y: Array) -> None:
    log_p = log_probabilities(logits)
    accuracy, loss = accuracy_and_loss(log_p, y)
    confidence, correct = np.exp(log_p.max(axis=1)), log_p.argmax(axis=1) == y
    bins = np.array_split(np.argsort(confidence, kind="stable"), 15)
    error = sum(abs(correct[rows].mean() - confidence[rows].mean()) * len(rows) for rows in bins) / len(y)
    print(f"| {name} | {accuracy:.4f} | {loss:.4f} | {error:.4f} |", flush=True)


if __name__ == "__main__":
    main()
