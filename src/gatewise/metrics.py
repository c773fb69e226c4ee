"""Evaluation of predictions: probabilities, accuracy, loss, calibration error, and the score that attributions explain.

Expected calibration error and reliability bins: Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.types import Array

BINS = 15


@dataclass(frozen=True)
class Bin:
    """The n predictions with a confidence in (low, high], their mean confidence and accuracy (both 0 if n is 0)."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """Scores of n predictions against the labels.

    accuracy: 0..1, with its standard error. loss: mean cross-entropy in nats. confusion[true][predicted]: counts.

    calibration_error: the expected calibration error Σ_m n_m / n · |accuracy_m - confidence_m| over the bins of
    `reliability` (Guo et al. 2017, equation 3), 0..1. The confidence is the probability of the predicted class. The 15
    bins ((m - 1)/15, m/15] have equal width; with two classes the confidence is at least 1/2 and the lower seven bins
    are empty. The estimate is biased upwards for small n.

    brier: the mean of ½ Σ_k (p_k - [k is true])², 0..1 (Brier 1950, halved: with two classes the squared error of the
    one probability). It also decreases with accuracy.

    precision, recall, f1: one number per class, 0 where a class was never predicted or has no row. macro_f1: the mean
    of f1 over the classes that occur, in the labels or in the predictions. auc: the area under the ROC curve of each
    class against the others, averaged over the classes with rows on both sides; None if there is none.
    """

    n: int
    accuracy: float
    standard_error: float
    loss: float
    confusion: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]
    data: str
    calibration_error: float
    brier: float
    reliability: tuple[Bin, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    macro_f1: float
    auc: float | None

    @classmethod
    def of(cls, log_p: Array, truth: NDArray[np.int64], classes: Sequence[str], data: str) -> Evaluation:
        """From log p (n, K) and the true classes (n,), n at least 1. data: the data set in one line."""
        n, k = log_p.shape
        accuracy, loss = accuracy_and_loss(log_p, truth)
        confusion = np.bincount(truth * k + log_p.argmax(axis=1), minlength=k * k).reshape(k, k)
        p = np.exp(log_p.astype(np.float64))
        bins = _reliability(p, truth)
        gaps = np.array([abs(one.accuracy - one.confidence) for one in bins])
        calibration_error = float((np.array([one.n for one in bins]) / n * gaps).sum())
        areas = [area_under_roc(p[:, c], truth == c) for c in range(k)]
        known = [area for area in areas if area is not None]
        precision, recall, f1 = precision_recall_f1(confusion)
        occurs = confusion.sum(axis=0) + confusion.sum(axis=1) > 0
        p[np.arange(n), truth] -= 1
        return cls(
            n,
            accuracy,
            (accuracy * (1 - accuracy) / n) ** 0.5,
            loss,
            tuple(tuple(int(count) for count in row) for row in confusion),
            tuple(classes),
            data,
            calibration_error,
            float((p**2).sum(axis=1).mean() / 2),
            bins,
            tuple(precision.tolist()),
            tuple(recall.tolist()),
            tuple(f1.tolist()),
            float(f1[occurs].mean()),
            sum(known) / len(known) if known else None,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def top_confusions(self, most: int = 10) -> list[tuple[str, str, int]]:
        """The most frequent errors as (true class, predicted class, rows), at most `most`, the most rows first."""
        counts = np.array(self.confusion)
        np.fill_diagonal(counts, 0)
        order = np.argsort(-counts.ravel(), kind="stable")[:most]
        pairs = [(*divmod(int(place), len(counts)), int(counts.flat[place])) for place in order]
        return [(self.classes[true], self.classes[predicted], n) for true, predicted, n in pairs if n]


@dataclass(frozen=True)
class Faithfulness:
    """Faithfulness of an attribution method on n sequences (`gatewise.explain.attribution.faithfulness`).

    comprehensiveness: the drop of the predicted class's probability when the highest-ranked steps are deleted; higher
    is better. sufficiency: the drop when only those steps are kept; lower is better. Both are means over deleting 1, 5,
    10, 20 and 50% of the steps.
    """

    comprehensiveness: float
    sufficiency: float
    n: int

    @property
    def score(self) -> float:
        """Comprehensiveness minus sufficiency, by which methods are ranked."""
        return self.comprehensiveness - self.sufficiency


def log_probabilities(logits: Array) -> Array:
    """log p (n, K) float64 from logits (n, outputs). A single logit is that of class 1 against class 0."""
    z = logits.astype(np.float64)
    if z.shape[1] == 1:
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    z = z - z.max(axis=1, keepdims=True)
    log_p: Array = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return log_p


def accuracy_and_loss(log_p: Array, truth: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy (0..1) and mean cross-entropy (nats) of log p (n, K) against the true classes (n,)."""
    accuracy = float((log_p.argmax(axis=1) == truth).mean())
    return accuracy, float(-log_p[np.arange(len(truth)), truth].mean())


def precision_recall_f1(confusion: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """Precision, recall and F1 (K,) of each class from confusion[true][predicted]; 0 where the divisor is 0."""
    correct = np.diagonal(confusion).astype(np.float64)
    predicted, true = confusion.sum(axis=0), confusion.sum(axis=1)
    found = [
        np.divide(part, divisor, out=np.zeros_like(correct), where=divisor > 0)
        for part, divisor in ((correct, predicted), (correct, true), (2 * correct, predicted + true))
    ]
    return found[0], found[1], found[2]


def area_under_roc(scores: Array, positive: NDArray[np.bool_]) -> float | None:
    """The share of pairs (positive row, negative row) in which the positive row has the higher score; ties count half.

    scores, positive (n,). It is the area under the ROC curve (Hanley & McNeil 1982), from the rank sum of the positive
    rows (Mann & Whitney 1947). None without rows on both sides.
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return None
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # from 1; equal scores have their mean rank
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def target_score(logits: Array, predicted: int) -> Array:
    """The score that attributions explain (...), from logits (..., outputs): the single logit, or the logit of class
    `predicted` minus the mean logit. It is linear in the logits.
    """
    if logits.shape[-1] == 1:
        return logits[..., 0]
    difference: Array = logits[..., predicted] - logits.mean(axis=-1)
    return difference


def _reliability(p: Array, truth: NDArray[np.int64]) -> tuple[Bin, ...]:
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == truth  # (n,)
    edges = np.arange(BINS + 1) / BINS
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)  # clip: rounding above 1
    n = np.bincount(place, minlength=BINS)
    divisor = np.maximum(n, 1)
    means = np.bincount(place, confidence, BINS) / divisor
    accuracies = np.bincount(place, correct.astype(np.float64), BINS) / divisor
    return tuple(
        Bin(float(edges[m]), float(edges[m + 1]), int(n[m]), float(means[m]), float(accuracies[m])) for m in range(BINS)
    )
