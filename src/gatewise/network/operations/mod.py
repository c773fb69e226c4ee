"""Mod (ONNX 28, where fmod = 0 takes floating-point numbers too)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Mod(Elementwise):
    """The remainder of a / b, with the sign of b, or, if fmod, with the sign of a."""

    formal = ("A", "B")
    needed = 2
    dtypes = NUMBERS
    fmod: int = 0

    def value(self, a: Array, b: Array) -> Array:
        if a.dtype.kind != "f":
            self.require(bool(np.all(b != 0)), "a whole number is divided by 0")
        return np.fmod(a, b) if self.fmod else np.mod(a, b)

    def gradients(self, grad: Array, remainder: Array, a: Array, b: Array) -> tuple[Array, Array]:
        quotient = np.trunc(a / b) if self.fmod else np.floor(a / b)
        return grad, -grad * quotient
