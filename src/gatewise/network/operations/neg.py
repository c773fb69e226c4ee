"""Neg (ONNX 13)."""

from dataclasses import dataclass

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Neg(Elementwise):
    """-x."""

    dtypes = NUMBERS

    def value(self, x: Array) -> Array:
        return -x

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (-grad,)
