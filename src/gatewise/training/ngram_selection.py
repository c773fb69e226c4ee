"""Choose the n-gram model of texts by held-out loss: its scaling and its order; then fit it on all rows.

Candidates are fitted on a part of the rows and predict the rest. Below `FEW_ROWS` rows this is cross-validation of all
rows, training and validation set, as where one of two classes with class weights has few validation rows; else the
training part predicts the validation set. The held-out logits of a
candidate are calibrated by a weight and a shift per class, which also turns the margins of a support vector machine
into logits. The candidate with the lowest loss is fitted on all rows, so that the model does not lose a tenth of few
rows; what is reported of the validation set are the held-out logits.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.data.split import cross_validation_folds
from gatewise.kernels.threads import threads
from gatewise.target import log_probabilities
from gatewise.training.callback import Callback
from gatewise.training.ngrams import MIN_DF, NgramFeatures, NgramModel, NgramScaling
from gatewise.training.stack import fit_weights
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

FEW_ROWS = 2_000  # below, candidates are cross-validated
RARE_ROWS = 30  # validation rows of one of two classes with class weights, below which candidates are cross-validated
FOLDS = 5
NB_ENTRIES = 10_000_000  # n-grams of all texts x outputs above which "nb" is not tried: many classes prefer "tfidf"
# The weight of the logits of a candidate without data; margins of 1 are some 3 logits.
PRIOR: dict[NgramScaling, float] = {"nb": 1.0, "tfidf": 3.0}
L2 = 1.0  # penalty of the calibration


class SelectedNgrams(NamedTuple):
    """model: fitted on all rows but a separate validation set. held_out (n, outputs): logits of the validation rows
    from models without them. held_out_train: those of the training rows, in their order, None but for cross-validation.
    """

    model: NgramModel
    held_out: Array
    held_out_train: Array | None = None


class Candidate(NamedTuple):
    """A scaling and an order of n-grams, with what it predicts for held-out rows."""

    scaling: NgramScaling
    order: int
    held_out: Array  # (rows, outputs), NaN for rows that no model held out
    losses: Array  # of the held-out rows
    loss: float  # their mean
    weight: float
    shift: Array

    def __str__(self) -> str:
        grams = "1-grams" if self.order == 1 else f"1- to {self.order}-grams"
        return f"{self.scaling}, {grams}: {self.loss:.4f}"


def selects(training_data: TrainingData) -> bool:
    """Whether `select_ngrams` chooses the n-gram model: of classes, without a pretrained model or unlabelled texts."""
    recipe, alone = training_data.recipe, training_data.lsa_classifier is None and training_data.transferred is None
    classes = training_data.data.task == "classification" and training_data.soft_targets is None
    return recipe.ngrams.order > 0 and recipe.ngrams.scaling != "nb" and classes and alone


class Candidates(NamedTuple):
    """Candidates for the rows (n,), positions in `features`."""

    rows: NDArray[np.int64]
    features: NgramFeatures
    found: list[Candidate]
    seconds: float

    @property
    def best(self) -> Candidate:
        """The candidate with the lowest loss."""
        return min(self.found, key=lambda one: one.loss)


def compare_ngrams(training_data: TrainingData) -> Candidates | None:
    """Candidates for the n-gram model of texts with classes; None where no n-gram is in enough texts."""
    recipe, start = training_data.recipe, time.perf_counter()
    rows = np.sort(np.concatenate([training_data.train, training_data.validation]))
    sequences = [training_data.full_sequences[n] for n in rows]
    features = NgramFeatures.of(sequences, recipe.ngrams.order, MIN_DF, training_data.excluded_tokens)
    if not len(features.keys):
        return None
    targets = training_data.targets(rows)
    weights = {scaling: _row_weights(training_data, rows, scaling) for scaling in PRIOR}
    folds = _folds(training_data, rows)
    found: list[Candidate] = []
    for scaling, order in _candidates(training_data, features):
        held_out = np.full(targets.shape, np.nan)
        for train, query in folds:
            part = features.up_to(order)
            model = part.fit(
                train, targets[train], weights[scaling][train], scaling, l2=recipe.ngrams.l2, threads=threads()
            )
            held_out[query] = part.logits(_without_class_weights(model, training_data, scaling), query)
        found.append(_calibrated(training_data, rows, scaling, order, held_out))
    return Candidates(rows, features, found, time.perf_counter() - start)


def select_ngrams(training_data: TrainingData, callback: Callback) -> SelectedNgrams | None:
    """The n-gram model for texts with classes; None where no n-gram is in enough texts."""
    recipe, candidates = training_data.recipe, training_data.ngram_candidates
    if candidates is None:
        candidates = compare_ngrams(training_data)
    if candidates is None:
        return None
    rows, best, start = candidates.rows, candidates.best, time.perf_counter()
    targets, weights = training_data.targets(rows), _row_weights(training_data, rows, best.scaling)
    part = candidates.features.up_to(best.order)
    # A separate validation set, and rows that are later in time, are not trained on.
    every = (
        np.searchsorted(rows, np.sort(training_data.train)) if training_data.own_validation else np.arange(len(rows))
    )
    model = part.fit(every, targets[every], weights[every], best.scaling, l2=recipe.ngrams.l2, threads=threads())
    model = _without_class_weights(model, training_data, best.scaling)
    scaled = replace(model.ngrams, weight=(best.weight * model.ngrams.weight).astype(np.float32))
    tried, seconds = "; ".join(map(str, candidates.found)), candidates.seconds + time.perf_counter() - start
    callback.log(f"n-grams, held-out loss of {tried}; {len(scaled):,} fitted in {seconds:.1f} s")
    held_out, held_out_train = (
        best.weight * best.held_out[np.searchsorted(rows, part)] + best.shift
        for part in (training_data.validation, training_data.train)
    )
    known = bool(np.isfinite(held_out_train).all())
    model = NgramModel(scaled, best.weight * model.bias + best.shift)
    return SelectedNgrams(model, held_out, held_out_train if known else None)


def _has_rare_class(training_data: TrainingData) -> bool:
    """Whether one of two classes with class weights has so few validation rows that they choose nothing well."""
    if training_data.class_weights is None or len(training_data.data.classes) != 2:
        return False
    return int(np.bincount(training_data.labels[training_data.validation], minlength=2).min()) < RARE_ROWS


def _row_weights(training_data: TrainingData, rows: NDArray[np.int64], scaling: NgramScaling) -> Array:
    """Weights (n,) of the rows in the fit. For a rare class "tfidf" leaves the class weights out: with them the scale
    of an n-gram in two or three rows of that class is as large as that of a frequent one (docs/log/accuracy.md).
    """
    if scaling == "tfidf" and _has_rare_class(training_data):
        return training_data.data.sample_weight[rows]
    return np.ones(len(rows)) if training_data.weights is None else training_data.weights[rows].astype(np.float64)


def _without_class_weights(model: NgramModel, training_data: TrainingData, scaling: NgramScaling) -> NgramModel:
    """The model for the frequencies of the data. The margins of a support vector machine do not depend on them in this
    way; their calibration is enough.
    """
    shift = training_data.logit_shift
    return model if shift is None or scaling == "tfidf" else model._replace(bias=model.bias - shift)


def _candidates(training_data: TrainingData, features: NgramFeatures) -> list[tuple[NgramScaling, int]]:
    """Scalings and orders to try."""
    recipe, outputs = training_data.recipe, training_data.architecture.outputs
    orders = range(1, min(2, recipe.ngrams.order) + 1)
    if _has_rare_class(training_data):
        orders = orders[-1:]  # 1-grams have a lower loss of all rows, and a lower F1 of the rare class
    tfidf: list[tuple[NgramScaling, int]] = [("tfidf", order) for order in orders]
    if recipe.ngrams.scaling == "tfidf":
        return tfidf
    if outputs > 1 and features.matrix.nnz * outputs > NB_ENTRIES:
        return tfidf
    return [("nb", recipe.ngrams.order), *tfidf]


def _folds(training_data: TrainingData, rows: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Positions in `rows` of those that are fitted and those that are predicted."""
    few = len(rows) < FEW_ROWS or _has_rare_class(training_data)
    if few and len(rows) == len(training_data.data) and not training_data.own_validation:
        return cross_validation_folds(training_data.data, FOLDS, 0)
    return [
        (np.searchsorted(rows, np.sort(part)), np.searchsorted(rows, np.sort(rest)))
        for part, rest in ((training_data.train, training_data.validation),)
    ]


def _calibrated(
    training_data: TrainingData, rows: NDArray[np.int64], scaling: NgramScaling, order: int, held_out: Array
) -> Candidate:
    """A candidate with the weight and shift of its held-out logits, and their loss after that."""
    known = np.flatnonzero(np.isfinite(held_out).all(axis=1))
    logits, targets = held_out[known], training_data.targets(rows[known])
    sample_weight = training_data.sample_weight(rows[known])
    prior = np.array([PRIOR[scaling]])
    weights, shift = fit_weights(logits[:, :, None], targets, prior, L2, l2_shift=L2, sample_weight=sample_weight)
    log_p = log_probabilities(weights[0] * logits + shift)
    truth = training_data.labels[rows[known]]
    losses = -log_p[np.arange(len(known)), truth]
    loss = float(np.average(losses, weights=sample_weight))
    return Candidate(scaling, order, held_out, losses, loss, float(weights[0]), shift)
