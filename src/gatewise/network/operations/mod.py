"""Mod (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.network.operation import ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class Mod(Elementwise):
    """The remainder of a / b, with the sign of b, or, if fmod, with the sign of a. Floating-point numbers need fmod."""

    formal = ("A", "B")
    needed = 2
    dtypes = NUMBERS
    fmod: int = 0

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        (result,) = super().infer(*inputs)
        self.require(bool(self.fmod) or result.dtype != "float", "floating-point numbers need fmod = 1")
        return (result,)

    def value(self, a: Array, b: Array) -> Array:
        if a.dtype.kind != "f":
            self.require(bool(np.all(b != 0)), "a whole number is divided by 0")
        return np.fmod(a, b) if self.fmod else np.mod(a, b)

    def gradients(self, grad: Array, remainder: Array, a: Array, b: Array) -> tuple[Array, Array]:
        return grad, -grad * np.trunc(a / b)
