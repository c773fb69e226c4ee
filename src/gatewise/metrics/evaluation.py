"""From logits to a verdict: probabilities, their scores against the truth, and the one number that accounts explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.metrics.calibration import Bin, calibration_of
from gatewise.types import Array

__all__ = ["Evaluation", "Faithfulness", "log_probabilities", "scores", "target_score"]


@dataclass(frozen=True)
class Evaluation:
    """Accuracy (0..1), its standard error, mean cross-entropy or log loss (nats), and confusion[true][predicted] over n
    sequences.

    calibration_error, brier (both 0..1) and reliability, the bins of the calibration error: see
    `gatewise.metrics.calibration.Calibration`, which says exactly what they are.
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

    @classmethod
    def of(cls, log_p: Array, truth: NDArray[np.int64], classes: Sequence[str], data: str) -> Evaluation:
        """From log p (n, K) and the true classes (n,), n at least 1; `data` says in one line what they are."""
        accuracy, loss = scores(log_p, truth)
        n, k = log_p.shape
        confusion = np.bincount(truth * k + log_p.argmax(axis=1), minlength=k * k).reshape(k, k)
        error = (accuracy * (1 - accuracy) / n) ** 0.5
        rows = tuple(tuple(int(x) for x in row) for row in confusion)
        seen = calibration_of(log_p, truth)
        return cls(n, accuracy, error, loss, rows, tuple(classes), data, seen.error, seen.brier, seen.bins)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Faithfulness:
    """How faithful a method of accounting was to one model, over n sequences (`explain.attribution.faithfulness`).

    comprehensiveness: by how much the probability of the verdict fell when the steps that it ranks first were deleted;
    higher is better. sufficiency: by how much when they alone were kept; lower is better. Both are means over the
    shares 1, 5, 10, 20 and 50% of the steps.
    """

    comprehensiveness: float
    sufficiency: float
    n: int

    @property
    def better(self) -> float:
        """The one number that methods are ranked by: comprehensiveness less sufficiency."""
        return self.comprehensiveness - self.sufficiency


def log_probabilities(logits: Array) -> Array:
    """log p (n, K) float64 from logits (n, outputs): one logit is that of class 1 against class 0."""
    z = logits.astype(np.float64)
    if z.shape[1] == 1:
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    z = z - z.max(axis=1, keepdims=True)
    log_p: Array = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return log_p


def scores(log_p: Array, truth: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy (0..1) and mean cross-entropy (nats) of log p (n, K) against the true classes (n,)."""
    accuracy = float((log_p.argmax(axis=1) == truth).mean())
    return accuracy, float(-log_p[np.arange(len(truth)), truth].mean())


def target_score(logits: Array, predicted: int) -> Array:
    """What is explained (...), from logits (..., outputs): the one logit, or that of `predicted` less the mean of
    all. It is linear in the logits.
    """
    if logits.shape[-1] == 1:
        return logits[..., 0]
    gap: Array = logits[..., predicted] - logits.mean(axis=-1)
    return gap
