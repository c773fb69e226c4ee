"""Celu (ONNX 12)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.network.operation import ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class Celu(Elementwise):
    """x above 0, alpha (exp(x / alpha) - 1) below."""

    alpha: float = 1.0

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        self.require(self.alpha != 0, "alpha may not be 0")
        return super().infer(*inputs)

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0) / self.alpha))

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (np.where(x > 0, grad, grad * np.exp(np.minimum(x, 0) / self.alpha)),)
