"""Reciprocal (ONNX 13)."""

from dataclasses import dataclass

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Reciprocal(Elementwise):
    """1 / x."""

    def value(self, x: Array) -> Array:
        return 1 / x

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (-grad * y * y,)
