"""ThresholdedRelu (ONNX 10)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class ThresholdedRelu(Elementwise):
    """x above alpha, 0 elsewhere. Its gradient at alpha is 0."""

    alpha: float = 1.0

    def value(self, x: Array) -> Array:
        return np.where(x <= self.alpha, 0, x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (np.where(x <= self.alpha, 0, grad),)
