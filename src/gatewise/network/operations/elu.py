"""Elu (ONNX 6)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Elu(Elementwise):
    """x above 0, alpha (exp(x) - 1) below. Its gradient at 0 is alpha."""

    alpha: float = 1.0

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))  # exp would overflow above 0

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (np.where(x > 0, grad, grad * self.alpha * np.exp(np.minimum(x, 0))),)
