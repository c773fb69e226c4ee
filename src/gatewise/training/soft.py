"""Soft targets: classes as probabilities, which a teacher gave to texts without labels (Hinton et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["SoftTargets", "soft_loss"]


@dataclass(frozen=True)
class SoftTargets:
    """targets (n, K) float32: each row's probability of every class; weights (n,) float32: how much the row counts."""

    targets: NDArray[np.float32]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, labels: NDArray[np.int64], teacher: NDArray[np.float64], weight: float) -> SoftTargets:
        """Labels (n,) as certainties, each of weight 1, then a teacher's probabilities (m, K), each of `weight`."""
        certain = np.eye(teacher.shape[1], dtype=np.float32)[labels]  # (n, K)
        weights = np.concatenate([np.ones(len(labels)), np.full(len(teacher), weight)]).astype(np.float32)
        return cls(np.concatenate([certain, teacher.astype(np.float32)]), weights)


def soft_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean cross-entropy over B rows: logits (B, 1) or (B, K), targets (B, K), weights (B,)."""
    if logits.shape[1] == 1:
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], targets[:, 1], reduction="none")
    else:
        losses = -(targets * torch.log_softmax(logits, dim=1)).sum(dim=1)
    return (losses * weights).sum() / len(losses)
