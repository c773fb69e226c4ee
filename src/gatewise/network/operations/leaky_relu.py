"""LeakyRelu (ONNX 16)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class LeakyRelu(Elementwise):
    """x above 0, alpha x below. Its gradient at 0 is alpha."""

    alpha: float = 0.01

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (np.where(x > 0, grad, self.alpha * grad),)
