"""Decision thresholds with the best F1, from probabilities of rows that were held out.

The threshold with the highest F1 is uncertain where few rows are positive. So F1 is computed from (y + p) / 2 in place
of y, the mean of the label and its calibrated probability (Lipton et al. 2014 derive the threshold from p alone).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.types import Array

Threshold = float | str | Sequence[float]
"""Probabilities, or "f1"."""

POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the class weights, from none of their effect to all of it
SHARE = 0.5  # of the observed labels in the smoothed ones: docs/log/accuracy.md


def check_f1(threshold: str) -> None:
    """Raise InputError for another name than "f1"."""
    if threshold != "f1":
        raise InputError(f"threshold must be 'f1' or a probability, not {quote(threshold)}")


def best_threshold(probabilities: Array, positive: Array, weight: Array, share: float = SHARE) -> float:
    """The threshold of the highest smoothed F1, from probabilities (n,), positive rows 0 or 1 (n,), weights (n,).

    It lies halfway between the logits of two neighbouring rows; 0.5 where the probabilities are all equal or no row is
    positive.
    """
    if not positive.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    p = probabilities[order].astype(np.float64)
    w = weight[order]
    smoothed = w * (share * positive[order] + (1 - share) * p)
    f1 = 2 * np.cumsum(smoothed) / (np.cumsum(w) + smoothed.sum())  # of the first 1, 2, ... rows predicted positive
    cuts = np.flatnonzero(p[:-1] > p[1:])
    if not len(cuts):
        return 0.5
    best = cuts[np.argmax(f1[cuts])]
    above, below = np.clip(p[best : best + 2], 1e-9, 1 - 1e-9)
    return float(1 / (1 + np.sqrt((1 - above) * (1 - below) / (above * below))))  # the sigmoid of the mean logit


def macro_f1(predicted: Array, labels: Array, weight: Array, k: int) -> float:
    """The mean F1 of the classes that occur, of k, for classes (n,) predicted and true, with weights (n,)."""
    from gatewise.metrics import precision_recall_f1  # a prediction does without

    correct = np.bincount(labels, weight * (predicted == labels), minlength=k)
    predicted_rows = np.bincount(predicted, weight, minlength=k)
    true_rows = np.bincount(labels, weight, minlength=k)
    occurs = predicted_rows + true_rows > 0
    return float(precision_recall_f1(correct, predicted_rows, true_rows)[2][occurs].mean())
