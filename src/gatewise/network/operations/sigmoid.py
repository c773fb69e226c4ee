"""Sigmoid (ONNX 13)."""

from dataclasses import dataclass

from gatewise.cell import sigmoid
from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Sigmoid(Elementwise):
    """1 / (1 + exp(-x))."""

    def value(self, x: Array) -> Array:
        return sigmoid(x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (grad * y * (1 - y),)
