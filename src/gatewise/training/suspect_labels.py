"""Labels that are probably wrong: those that models of the other rows predict otherwise, the clearest first."""

from typing import NamedTuple

import numpy as np

from gatewise.data.labelled import Labelled
from gatewise.data.splits import cross_validation_folds
from gatewise.errors import InputError
from gatewise.explain.evaluation import excerpt_of
from gatewise.ragged import flat
from gatewise.target import ClassificationTarget
from gatewise.text.tokens import TokenEncoding
from gatewise.training.ngram_comparison import FOLDS, PRIOR
from gatewise.training.ngram_features import MIN_DF, NgramFeatures, Scaling
from gatewise.training.weighted_targets import WeightedTargets

_ORDER = 2  # of the n-grams
_SCALINGS: tuple[Scaling, ...] = ("nb", "tfidf")
_ROUNDS = 2
_LEFT_OUT = 20  # rows, of which the most suspect one is left out of the second round


class SuspectLabel(NamedTuple):
    """A row whose label is not the prediction of models that were not trained on it."""

    row: int
    """Its number in the data, from 0."""
    label: str
    predicted: str
    probability: float
    """That the models give to the label."""
    excerpt: str


def suspect_labels(data: Labelled, seed: int = 0) -> list[SuspectLabel]:
    """The rows whose label is not the predicted one, by the probability of their label, the smallest first. A row of
    weight 0 counts as absent.

    The predictions are the mean of both n-gram models of `gatewise.training.ngram_features`, cross-validated in five
    folds that keep duplicates and groups together, as in confident learning (Northcutt et al. 2021); then again without
    the most suspect twentieth of the rows, from which the others would learn. Raises InputError for
    anything but texts with one class each, and as `cross_validation_folds`.
    """
    numbers = data.present_rows
    data = data.present
    target = data.target
    needed = "suspect labels are found among texts with one class each"
    texts = data.input_kind.texts(data.inputs, needed)
    if not isinstance(target, ClassificationTarget):
        raise InputError(needed)
    encoding = TokenEncoding.fit(texts, vocab_size=30_000)
    sequences = list(encoding.encode_batch(texts))
    features = NgramFeatures.of(sequences, _ORDER, MIN_DF, (encoding.unknown,))
    targets = WeightedTargets(target.encode(flat(data.labels)), target.each.loss, data.sample_weight)
    folds = cross_validation_folds(data, FOLDS, seed)
    used = np.ones(len(data), dtype=bool)
    for _ in range(_ROUNDS):
        logits = np.zeros_like(targets.values)
        for train, held_out in folds:
            rows = train[used[train]]
            of_rows = targets.take(rows).normalised
            for scaling in _SCALINGS:
                fitted = features.fit(of_rows, scaling, rows=rows)
                logits[held_out] += PRIOR[scaling] / len(_SCALINGS) * features.logits(fitted, held_out)
        probabilities = data.target.probabilities(logits)
        of_label = probabilities[np.arange(len(data)), data.labels]
        best = probabilities.argmax(axis=1)
        order = np.argsort(of_label, kind="stable")
        used[order[: len(data) // _LEFT_OUT]] = False
    names = data.classes
    return [
        SuspectLabel(
            row=int(numbers[row]),
            label=names[data.labels[row]],
            predicted=names[best[row]],
            probability=round(float(of_label[row]), 6),
            excerpt=excerpt_of(texts[row]),
        )
        for row in order.tolist()
        if best[row] != data.labels[row]
    ]
