"""HardSigmoid (ONNX 6)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class HardSigmoid(Elementwise):
    """alpha x + beta, within 0 and 1. Its gradient where it reaches them is 0."""

    alpha: float = 0.2
    beta: float = 0.5

    def value(self, x: Array) -> Array:
        return np.clip(self.alpha * x + self.beta, 0, 1)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (np.where((y > 0) & (y < 1), self.alpha * grad, 0),)
