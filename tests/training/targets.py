"""Targets of a fit."""

import numpy as np

from gatewise.losses import CROSS_ENTROPY, Loss
from gatewise.training.weighted_targets import WeightedTargets
from gatewise.types import Array


def targets_of(values: Array, loss: Loss = CROSS_ENTROPY, weight: Array | None = None) -> WeightedTargets:
    """Of values (n, outputs), by default with the weight 1."""
    if weight is None:
        weight = np.ones(len(values))
    return WeightedTargets(values, loss, weight)
