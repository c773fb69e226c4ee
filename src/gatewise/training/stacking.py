"""Stacked generalisation (Wolpert 1992): the teacher of the recipe `few-shot`.

Two classifiers learn from the labels: a logistic regression on LSA document vectors of all texts (`lsa`), and the
n-gram model (`ngrams`). They err on different texts. Cross-validation gives their logits for the labelled texts; on
these the weights are fitted, with a penalty towards the mean:

    logit = Σ_r w_r logit_r + c        min  Σ cross-entropy + L2/2 (Σ (w_r - 1/R)² + Σ c²)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gatewise.data.split import cross_validation_folds
from gatewise.kernels.threads import threads
from gatewise.target import log_probabilities
from gatewise.training.callback import Callback
from gatewise.training.dense_solver import fit_standardised_glm
from gatewise.training.ensemble import L2
from gatewise.training.lsa import LSA, LSA_L2
from gatewise.training.ngrams import MIN_DF, fit_ngrams
from gatewise.training.stack import fit_weights
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

FOLDS = 5

# (training rows, query rows) -> logits (m, outputs) of the m query rows
Classifier = Callable[[NDArray[np.int64], NDArray[np.int64]], Array]


def stacked_predictions(
    training_data: TrainingData,
    unlabelled: list[Array],
    lsa: LSA | None,
    query: NDArray[np.int64],
    seed: int,
    callback: Callback,
) -> NDArray[np.float64]:
    """Probabilities (m, K) of the m query rows of `unlabelled`, full sequences. The validation set is not read.

    lsa: of the training part and all unlabelled texts (`lsa.fit_lsa_of`); None where no n-gram is frequent enough.
    """
    train = training_data.train
    targets = training_data.targets(train)  # (n, outputs)
    texts = [training_data.full_sequences[row] for row in train] + unlabelled
    n, rows = len(train), np.arange(len(train))
    classifiers = _classifiers(training_data, texts, targets, lsa)
    held_out = np.zeros((n, targets.shape[1], len(classifiers)))
    for fitted, held in cross_validation_folds(training_data.data.take(train), FOLDS, seed):
        for r, classifier in enumerate(classifiers.values()):
            held_out[held, :, r] = classifier(fitted, held)
    weights, shift = fit_weights(held_out, targets, np.full(len(classifiers), 1 / len(classifiers)), L2, l2_shift=L2)
    logits = np.stack([classifier(rows, n + query) for classifier in classifiers.values()], axis=2)  # (m, outputs, R)
    parts = ", ".join(f"{name} x {weight:.2f}" for name, weight in zip(classifiers, weights, strict=True))
    callback.log(f"stacking on {n:,} labelled of {len(texts):,} texts: {parts}")
    return np.asarray(np.exp(log_probabilities(logits @ weights + shift)), dtype=np.float64)


def _classifiers(
    training_data: TrainingData, texts: list[Array], targets: Array, lsa: LSA | None
) -> dict[str, Classifier]:
    """The classifiers by name. texts: those with targets first."""
    recipe, classes, exclude = training_data.recipe, len(training_data.data.classes), training_data.excluded_tokens

    def by_lsa(rows: NDArray[np.int64], query: NDArray[np.int64]) -> Array:
        assert lsa is not None
        vectors = lsa.document_vectors
        weight, bias = fit_standardised_glm(vectors[rows], targets[rows], LSA_L2, shared_scale=True)
        return np.asarray(vectors[query] @ weight.T + bias)

    def ngrams(rows: NDArray[np.int64], query: NDArray[np.int64]) -> Array:
        train = [texts[row] for row in rows]
        model = fit_ngrams(
            train,
            targets[rows],
            classes,
            recipe.ngrams.order,
            MIN_DF,
            recipe.ngrams.l2,
            exclude=exclude,
            threads=threads(),
        )
        return model.logits([texts[row] for row in query])

    return {"n-grams": ngrams} if lsa is None else {"LSA": by_lsa, "n-grams": ngrams}
