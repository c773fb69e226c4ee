"""Few labels: what several readers of the same text think, together, of texts without labels.

One reads the few directions in which the n-grams of all the texts vary most (`latent`), one n-grams themselves
(`ngrams`). Each is fitted to the labels alone, and they err on different texts. How much each is heard is fitted to
what it said of labelled texts that it had not seen, in folds (stacked generalisation, Wolpert 1992), with a penalty
that draws towards their mean:

    logit = Σ_r w_r logit_r + c        min  Σ cross-entropy + HELD/2 (Σ (w_r - 1/R)² + Σ c²)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels.threads import threads
from gatewise.metrics.evaluation import log_probabilities
from gatewise.training.callback import Callback
from gatewise.training.ensemble import L2, weights_of
from gatewise.training.linear_probe import fit_linear_probe
from gatewise.training.lsa import LATENT_L2, latent
from gatewise.training.ngrams import fit_ngrams, targets_of
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

__all__ = ["stacked_predictions"]

FOLDS = 5


@dataclass(frozen=True)
class _Reader:
    """name; reads(rows, asked) -> logits (m, outputs) of the texts `asked`, fitted to the labels of `rows`."""

    name: str
    reads: Callable[[NDArray[np.int64], NDArray[np.int64]], Array]


def stacked_predictions(
    training_data: TrainingData, whole: list[Array], asked: NDArray[np.int64], seed: int, callback: Callback
) -> NDArray[np.float64]:
    """Probabilities (m, K) of the m texts `asked` about, of those in `whole`; the validation part is not read."""
    rows, classes = training_data.train, len(training_data.data.classes)
    labels = targets_of(training_data.labels[rows], classes)  # (n, outputs)
    n = len(rows)
    every, others = np.arange(n), n + asked
    texts = [training_data.whole[row] for row in rows] + whole
    readers = _readers(training_data, texts, labels, seed)
    folds = np.random.default_rng([seed, 0xF01D]).permutation(n) % min(FOLDS, n)
    unseen = np.zeros((n, labels.shape[1], len(readers)))
    for fold in range(int(folds.max()) + 1):
        for r, reader in enumerate(readers):
            unseen[folds == fold, :, r] = reader.reads(every[folds != fold], every[folds == fold])
    start = np.full(len(readers), 1 / len(readers))
    heard, shift = weights_of(unseen, labels, start, L2)
    said = np.stack([reader.reads(every, others) for reader in readers], axis=2)  # (m, outputs, R)
    parts = ", ".join(f"{reader.name} x {weight:.2f}" for reader, weight in zip(readers, heard, strict=True))
    callback.note(f"readers of {len(texts):,} texts, {n:,} of them labelled: {parts}")
    return np.asarray(np.exp(log_probabilities(said @ heard + shift)), dtype=np.float64)


def _readers(training_data: TrainingData, texts: list[Array], labels: Array, seed: int) -> Sequence[_Reader]:
    """Over `texts`, the labelled ones first."""
    recipe, classes, unknown = training_data.recipe, len(training_data.data.classes), training_data.preprocessor.unknown
    without = [] if unknown is None else [unknown]
    directions = latent(texts, recipe.lsa_components, without=without, seed=seed, threads=threads()).coordinates

    def by_latent(rows: NDArray[np.int64], asked: NDArray[np.int64]) -> Array:
        weight, bias = fit_linear_probe(directions[rows], labels[rows], LATENT_L2, shared_scale=True)
        return np.asarray(directions[asked] @ weight.T + bias)

    def by_ngrams(rows: NDArray[np.int64], asked: NDArray[np.int64]) -> Array:
        some = [texts[row] for row in rows]
        order, minimum, l2 = recipe.ngram_order, recipe.ngram_min_df, recipe.ngram_l2
        fitted = fit_ngrams(some, labels[rows], classes, order, minimum, l2, without=without, threads=threads())
        return np.asarray(fitted.ngrams.logits([texts[place] for place in asked]) + fitted.bias)

    some = [_Reader("latent", by_latent)] if directions.shape[1] else []
    return [*some, _Reader("n-grams", by_ngrams)]
