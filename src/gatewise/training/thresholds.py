"""Decision thresholds: the probability from which a label is predicted, chosen for F1 on held-out logits: those of the
validation set and, for two classes with cross-validated n-grams, of the training rows as well.

The threshold of the highest F1 is known only as well as the few positive rows of the validation set tell. So F1 is
computed from (y + p) / 2 in place of y: half what the rows are, half what their calibrated probabilities expect
(Lipton et al. 2014 derive the threshold from p alone).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, quote
from gatewise.metrics import precision_recall_f1
from gatewise.target import Target
from gatewise.training.callback import Callback
from gatewise.training.stack import Stack
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

Threshold = float | str | Sequence[float]
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the class weights, from none of their effect to all of it
SHARE = 0.5  # of the observed labels in the smoothed ones: docs/log/accuracy.md


def check_threshold(target: Target, threshold: Threshold | None) -> None:
    """Raise InputError unless `threshold` is None, "f1", a probability, or for multi-label one per label."""
    if threshold is None:
        return
    if target.task == "regression":
        raise InputError("a threshold is for classes: a regression has none")
    if isinstance(threshold, str):
        if threshold != "f1":
            raise InputError(f"threshold must be 'f1' or a probability, not {quote(threshold)}")
    elif target.task == "classification" and len(target.classes) != 2:
        raise InputError(f"a number as threshold needs two classes, the data has {len(target.classes)}: use 'f1'")
    else:
        replace(target, thresholds=_given(target, threshold))


def choose_thresholds(
    data: TrainingData, found: Stack, threshold: Threshold | None, callback: Callback
) -> tuple[tuple[float, ...], str] | None:
    """The thresholds that are asked for, and how the validation set was used for them; None for none. By default: those
    of F1 for multi-label rows and for balanced classes, those of the costs for a weight per class, for which the
    predicted class has the largest w_k p_k, else none.

    "f1" is for two classes the F1 of the class with fewer training rows; the training rows choose too where their
    held-out logits are known. For more classes it is the macro F1, and the thresholds are in proportion to w^-a, with
    the class weights w, or balanced ones, and the best a of `POWERS`.
    """
    target, classes = data.data.target, data.data.task == "classification"
    if target.task == "regression" or (threshold is None and classes and data.class_weights is None):
        return None
    if threshold is not None and not isinstance(threshold, str):
        return _given(target, threshold), "with its thresholds"
    if threshold is None and classes and data.class_weights is not None and not data.balanced:
        return cost_thresholds(data.class_weights), "with its thresholds"
    rows, logits = data.validation, found.held_out
    if found.held_out_train is not None and classes and len(target.classes) == 2:
        rows, logits = np.concatenate([rows, data.train]), np.concatenate([logits, found.held_out_train])
    return _best(data, rows, target.probabilities(logits), callback), "used to choose the thresholds"


def cost_thresholds(weights: Array) -> tuple[float, ...]:
    """The thresholds with which the predicted class has the largest w_k p_k, for weights w (K,)."""
    if len(weights) == 2:
        return (float(weights[0] / weights.sum()),)
    return tuple((weights.min() / weights).tolist())


def _best(data: TrainingData, rows: NDArray[np.int64], p: Array, callback: Callback) -> tuple[float, ...]:
    """The thresholds for F1, from the probabilities (n, K) of these rows (n,), which were held out."""
    target = data.data.target
    k = len(target.classes)
    labels, sample_weight = data.labels[rows], data.sample_weight(rows)
    weight = np.ones(len(rows)) if sample_weight is None else sample_weight
    if target.task == "multilabel":
        thresholds = tuple(best_threshold(p[:, c], labels[:, c], weight) for c in range(k))
        callback.log(f"thresholds for F1: {min(thresholds):.3f} to {max(thresholds):.3f}")
        return thresholds
    trained = np.bincount(data.labels[data.train], minlength=k)
    if k == 2:
        rare = 0 if trained[0] < trained[1] else 1
        best = best_threshold(p[:, rare], (labels == rare).astype(np.int64), weight)
        at = best if rare == 1 else 1 - best
        name, rare_name = quote(target.classes[1]), quote(target.classes[rare])
        callback.log(f"threshold for {name}: {at:.3f}, which has the highest F1 of {rare_name}")
        return (at,)
    ratio = data.class_weights
    if ratio is None:
        ratio = trained.sum() / (k * trained)
    scores = [_macro_f1((p * ratio**power).argmax(axis=1), labels, weight, k) for power in POWERS]
    power = POWERS[int(np.argmax(scores))]
    if not power:
        callback.log("no thresholds: the most probable class has the highest macro F1")
        return ()
    callback.log(f"thresholds in proportion to class weight ^ -{power}, which has the highest macro F1")
    inverse = ratio**-power
    return tuple((inverse / inverse.max()).tolist())


def _macro_f1(predicted: Array, labels: Array, weight: Array, k: int) -> float:
    counts = [
        np.bincount(of, part, minlength=k)
        for of, part in ((labels, weight * (predicted == labels)), (predicted, weight), (labels, weight))
    ]
    occurs = counts[1] + counts[2] > 0
    return float(precision_recall_f1(*counts)[2][occurs].mean())


def best_threshold(probabilities: Array, positive: Array, weight: Array, share: float = SHARE) -> float:
    """The threshold of the highest smoothed F1, from probabilities (n,), positive rows 0 or 1 (n,), weights (n,).

    It lies halfway between the logits of two neighbouring rows; 0.5 where the probabilities are all equal or no row is
    positive.
    """
    if not positive.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    p, w = probabilities[order].astype(np.float64), weight[order]
    smoothed = w * (share * positive[order] + (1 - share) * p)
    f1 = 2 * np.cumsum(smoothed) / (np.cumsum(w) + smoothed.sum())  # of the first 1, 2, ... rows predicted positive
    cuts = np.flatnonzero(p[:-1] > p[1:])
    if not len(cuts):
        return 0.5
    best = cuts[np.argmax(f1[cuts])]
    above, below = np.clip(p[best : best + 2], 1e-9, 1 - 1e-9)
    return float(1 / (1 + np.sqrt((1 - above) * (1 - below) / (above * below))))  # the sigmoid of the mean logit


def _given(target: Target, threshold: float | Sequence[float]) -> tuple[float, ...]:
    count = len(target.classes) if target.task == "multilabel" else 1
    try:
        values = np.atleast_1d(np.asarray(threshold, dtype=np.float64))
    except (TypeError, ValueError):
        raise InputError(
            f"threshold must be 'f1', a probability or one per label, not {quote(str(threshold))}"
        ) from None
    if values.size == 1:
        values = np.full(count, values.flat[0])
    return tuple(values.tolist())
