"""The gain from ensembling an LSTM with the n-gram model, by the rows and the L2 penalty that fit the weights.

    python -m benchmarks.ensemble_weights MODEL [--data PATH]

MODEL: a model without n-grams, from `gatewise train imdb --ngram-order 0` on the same data. It repeats the split, fits
n-grams on the training part and evaluates on the validation part, which has other films. First: each model, their sum,
and the weighted sum, cross-fitted in two halves, with the expected calibration error over 15 bins of equal size. Then:
the weighted sum fitted on n rows and evaluated on the others, as the mean of 30 draws, by L2 penalty on (a - 1, b - 1).
The test half is not used. The tables are in docs/log/accuracy.md.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import gatewise as gw
from gatewise.data import imdb
from gatewise.metrics.evaluation import log_probabilities, scores
from gatewise.training import recipe
from gatewise.training.ensemble import EnsembleWeights, fit_ensemble_weights
from gatewise.training.ngrams import fit_ngrams
from gatewise.training.training_data import prepare
from gatewise.types import Array

L2_PENALTIES = (0.1, 1.0, 5.0, 10.0, 30.0)
ROWS = (30, 100, 500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", default="embedded", help="the IMDB archive or its folder")
    parser.add_argument("--l2", type=float, default=recipe("fast").ngram_l2)
    options = parser.parse_args()
    model, data = gw.load(options.model), imdb(options.data).train
    assert model.ngrams is None, "give a model without n-grams"
    assert model.metadata.fingerprint == data.fingerprint(), "the model was trained on different data"
    training_data = prepare(data, replace(recipe(model.metadata.recipe), ngram_order=3), model.metadata.seed)
    whole, labels = training_data.whole, training_data.labels
    without = [model.net.unknown] if model.net.unknown is not None else []
    fitted = fit_ngrams(
        [whole[n] for n in training_data.train], labels[training_data.train], 2, l2=options.l2, without=without
    )
    kept = [whole[n] for n in training_data.validation]
    u, v = model.logits_of(kept).astype(np.float64), fitted.ngrams.logits(kept) + fitted.bias
    y, none = labels[training_data.validation], np.zeros(1)
    print(f"{len(y):,} validation rows, {len(fitted.ngrams):,} n-grams, l2 {options.l2:g}\n")
    print("| model | accuracy | log loss | calibration error |\n|---|---:|---:|---:|")
    for name, w in (("network", (1.0, 0.0)), ("n-grams", (0.0, 1.0)), ("sum", (1.0, 1.0))):
        _row(name, _sum(EnsembleWeights(*w, none, 0), u, v), y)
    order, cross_fitted = np.random.default_rng(0).permutation(len(y)), np.zeros_like(u)
    for test, train in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        cross_fitted[test] = _sum(fit_ensemble_weights(u[train], v[train], y[train, None]), u[test], v[test])
    _row("weighted sum", cross_fitted, y)
    print(f"\nfitted on all rows: {fit_ensemble_weights(u, v, y[:, None])}\n")
    print("| rows | L2 | accuracy | loss | worst loss | a | b |\n|---:|---:|---:|---:|---:|---:|---:|")
    for n in ROWS:
        for l2 in L2_PENALTIES:
            _draws(n, l2, u, v, y)


def _draws(n: int, l2: float, u: Array, v: Array, y: Array) -> None:
    rng, found = np.random.default_rng(n), []
    for _ in range(30):
        rows = rng.permutation(len(y))
        some, rest = rows[:n], rows[n:]
        weights = fit_ensemble_weights(u[some], v[some], y[some, None], l2)
        measured = scores(log_probabilities(_sum(weights, u[rest], v[rest])), y[rest])
        found.append((*measured, weights.network, weights.ngrams))
    accuracy, loss, a, b = np.mean(found, axis=0)
    worst = max(one[1] for one in found)
    print(f"| {n} | {l2:g} | {accuracy:.4f} | {loss:.4f} | {worst:.4f} | {a:.2f} | {b:.2f} |", flush=True)


def _sum(weights: EnsembleWeights, u: Array, v: Array) -> Array:
    return np.asarray(weights.network * u + weights.ngrams * v + weights.shift)


def _row(name: str, logits: Array, y: Array) -> None:
    log_p = log_probabilities(logits)
    accuracy, loss = scores(log_p, y)
    confidence, correct = np.exp(log_p.max(axis=1)), log_p.argmax(axis=1) == y
    bins = np.array_split(np.argsort(confidence, kind="stable"), 15)
    error = sum(abs(correct[one].mean() - confidence[one].mean()) * len(one) for one in bins) / len(y)
    print(f"| {name} | {accuracy:.4f} | {loss:.4f} | {error:.4f} |", flush=True)


if __name__ == "__main__":
    main()
