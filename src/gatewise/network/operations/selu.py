"""Selu (ONNX 6)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Selu(Elementwise):
    """gamma x above 0, gamma alpha (exp(x) - 1) below (Klambauer et al. 2017). Its gradient at 0 is gamma alpha."""

    alpha: float = 1.67326319217681884765625  # the float32 numbers of the specification
    gamma: float = 1.05070102214813232421875

    def value(self, x: Array) -> Array:
        below = self.alpha * np.expm1(np.minimum(x, 0))  # exp would overflow above 0
        return self.gamma * np.where(x > 0, x, below)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        slope = np.where(x > 0, 1, self.alpha * np.exp(np.minimum(x, 0)))
        return (grad * self.gamma * slope,)
