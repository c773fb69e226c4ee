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
from gatewise.training.ensemble import EnsembleWeights, fit_ensemble_weights
from gatewise.training.ngrams import fit_ngrams
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
    sequences, labels, train = training_data.full_sequences, training_data.labels, training_data.train
    ngram_model = fit_ngrams(
        [sequences[n] for n in train],
        labels[train],
        2,
        l2=options.ngram_l2,
        exclude=training_data.excluded_tokens,
    )
    validation = [sequences[n] for n in training_data.validation]
    network, ngrams = model.ensemble.logits(validation).astype(np.float64), ngram_model.logits(validation)
    y, zero = labels[training_data.validation], np.zeros(1)
    print(f"{len(y):,} validation rows, {len(ngram_model.ngrams):,} n-grams, l2 {options.ngram_l2:g}\n")
    print("| logit | accuracy | loss | calibration error |\n|---|---:|---:|---:|")
    for name, parts in (("network", (1.0, 0.0)), ("n-grams", (0.0, 1.0)), ("plain sum", (1.0, 1.0))):
        _row(name, EnsembleWeights(*parts, zero, 0).combine(network, ngrams), y)
    order, crossed = np.random.default_rng(0).permutation(len(y)), np.zeros_like(network)
    for test, fit in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        weights = fit_ensemble_weights(network[fit], ngrams[fit], y[fit, None])
        crossed[test] = weights.combine(network[test], ngrams[test])
    _row("ensemble", crossed, y)
    print(f"\nfitted to all rows: {fit_ensemble_weights(network, ngrams, y[:, None])}\n")
    print("| rows | L2 | accuracy | loss | worst loss | a | b |\n|---:|---:|---:|---:|---:|---:|---:|")
    for n in ROWS:
        for l2 in PENALTIES:
            _draws(n, l2, network, ngrams, y)


def _draws(n: int, l2: float, network: Array, ngrams: Array, y: Array) -> None:
    rng, found = np.random.default_rng(n), []
    for _ in range(30):
        rows = rng.permutation(len(y))
        train, test = rows[:n], rows[n:]
        weights = fit_ensemble_weights(network[train], ngrams[train], y[train, None], l2)
        measured = accuracy_and_loss(log_probabilities(weights.combine(network[test], ngrams[test])), y[test])
        found.append((*measured, weights.network, weights.ngrams))
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
