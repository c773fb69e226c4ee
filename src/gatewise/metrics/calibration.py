"""Whether probabilities mean what they say: of the verdicts given with 0.8, are eight in ten right?

Calibration error, reliability and temperature are those of Guo et al. 2017, "On Calibration of Modern Neural Networks".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatewise.types import Array

__all__ = ["BINS", "Bin", "Calibration", "calibration_of"]


BINS = 15


@dataclass(frozen=True)
class Bin:
    """The n verdicts whose confidence lies in (low, high]: their mean confidence, and the share that is right.

    Both are 0 where there is no such verdict.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from frequencies. Exactly:

    error: the expected calibration error, Σ_m n_m / n · |accuracy_m - confidence_m| over `bins` (Guo et al. 2017,
    equation 3). A verdict's confidence is the probability of the predicted class; the 15 bins ((m - 1)/15, m/15] are of
    equal width, so that with two classes, whose confidence is 1/2 or more, the lower seven are empty. It is 0 to 1, and
    on few sequences it is too high even where the probabilities are right.
    brier: the mean over sequences of ½ Σ_k (p_k - [k is true])², 0 to 1 (Brier 1950, halved; with two classes the
    squared error of the one probability). It falls with accuracy as well.
    """

    error: float
    brier: float
    bins: tuple[Bin, ...]


def calibration_of(log_p: Array, truth: NDArray[np.int64]) -> Calibration:
    """From log p (n, K) and the true classes (n,), n at least 1."""
    p = np.exp(log_p.astype(np.float64))
    confidence, right = p.max(axis=1), p.argmax(axis=1) == truth  # (n,)
    edges = np.arange(BINS + 1) / BINS
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)  # (low, high]; rounding above 1
    n = np.bincount(place, minlength=BINS)
    counted = np.maximum(n, 1)
    means = np.bincount(place, confidence, BINS) / counted
    rights = np.bincount(place, right.astype(np.float64), BINS) / counted
    bins = tuple(
        Bin(float(edges[m]), float(edges[m + 1]), int(n[m]), float(means[m]), float(rights[m])) for m in range(BINS)
    )
    wrong = p.copy()
    wrong[np.arange(len(truth)), truth] -= 1
    error = float((n / len(truth) * np.abs(rights - means)).sum())
    return Calibration(error, float((wrong**2).sum(axis=1).mean() / 2), bins)
