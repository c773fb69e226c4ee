"""From logits to a verdict: probabilities, their scores against the truth, and the one number that accounts explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatewise.cell import Array

__all__ = ["Faith", "log_probabilities", "margin", "scores"]


@dataclass(frozen=True)
class Faith:
    """How faithful a method of accounting was to one model, over n sequences (see `gatewise.glassbox.faithfulness`).

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


def margin(logits: Array, predicted: int) -> Array:
    """What is explained (...), from logits (..., outputs): the one logit, or that of `predicted` less the mean of
    all. It is linear in the logits.
    """
    if logits.shape[-1] == 1:
        return logits[..., 0]
    gap: Array = logits[..., predicted] - logits.mean(axis=-1)
    return gap
