"""Standardised targets of a regression: training sees numbers of mean 0 and variance 1, the model predicts in the unit.

    y = mean + scale z        weight ← scale weight,  bias ← mean + scale bias

At the end the scale is folded into the dense layer and into the linear model, so that the outputs of the network are
the numbers themselves, and attributions are in the unit of the numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gatewise.types import Array


@dataclass(frozen=True)
class TargetScaling:
    """mean, scale (M,) float64 of M numbers; scale is 1 for a constant number."""

    mean: Array
    scale: Array

    @classmethod
    def fit(cls, numbers: Array, sample_weight: Array | None = None) -> TargetScaling:
        """From numbers (n, M) and their weights (n,)."""
        mean = np.average(numbers, axis=0, weights=sample_weight)
        scale = np.sqrt(np.average(np.square(numbers - mean), axis=0, weights=sample_weight))
        # Rounding leaves a constant number with a deviation of some 1e-16 of its size.
        constant = scale <= 1e-12 * np.abs(numbers).max(axis=0)
        return cls(mean, np.where(constant, 1.0, scale))

    def transform(self, numbers: Array) -> Array:
        """z (n, M) from numbers (n, M)."""
        return np.asarray((numbers - self.mean) / self.scale)

    def fold(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Parameters whose network predicts numbers, from those of a network that predicts z."""
        weight, bias = parameters["dense.weight"], parameters["dense.bias"]  # (M, F), (M,)
        return {
            **parameters,
            "dense.weight": (self.scale[:, None] * weight).astype(weight.dtype),
            "dense.bias": (self.mean + self.scale * bias).astype(bias.dtype),
        }
