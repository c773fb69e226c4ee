"""Div (ONNX 14)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Div(Elementwise):
    """a / b. The quotient of whole numbers is rounded towards 0."""

    formal = ("A", "B")
    needed = 2
    dtypes = NUMBERS

    def value(self, a: Array, b: Array) -> Array:
        if a.dtype.kind == "f":
            return a / b
        self.require(bool(np.all(b != 0)), "a whole number is divided by 0")
        floor, remainder = np.divmod(a, b)
        # NumPy rounds down, which is away from 0 where the signs differ.
        down = (remainder != 0) & ((a < 0) != (b < 0))
        quotient: Array = floor + down
        return quotient

    def gradients(self, grad: Array, c: Array, a: Array, b: Array) -> tuple[Array, Array]:
        return grad / b, -grad * (c / b)
