"""Swish (ONNX 24)."""

from dataclasses import dataclass

from gatewise.cell import sigmoid
from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Swish(Elementwise):
    """x sigmoid(alpha x), SiLU where alpha is 1."""

    alpha: float = 1.0

    def value(self, x: Array) -> Array:
        return x * sigmoid(self.alpha * x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        factor = sigmoid(self.alpha * x)
        return (grad * factor * (1 + self.alpha * x * (1 - factor)),)
