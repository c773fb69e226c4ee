"""Mul (ONNX 14)."""

from dataclasses import dataclass

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Mul(Elementwise):
    """a b, number by number."""

    formal = ("A", "B")
    needed = 2
    dtypes = NUMBERS

    def value(self, a: Array, b: Array) -> Array:
        return a * b

    def gradients(self, grad: Array, c: Array, a: Array, b: Array) -> tuple[Array, Array]:
        return grad * b, grad * a
