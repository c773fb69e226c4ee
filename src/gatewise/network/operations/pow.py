"""Pow (ONNX 15)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.network.operation import ValueType, broadcast_shape
from gatewise.types import Array


@dataclass(frozen=True)
class Pow(Elementwise):
    """The base to the power of the exponent, in the dtype of the base.

    As in PyTorch, the gradient of the base is 0 where the exponent is 0, and that of the exponent is 0 where the base
    is 0 and the exponent is not below 0.
    """

    formal = ("X", "Y")
    needed = 2
    dtypes = NUMBERS

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        base, exponent = inputs
        self.require_dtypes(self.dtypes, base, exponent)
        return (ValueType(base.dtype, broadcast_shape(self, [base.shape, exponent.shape])),)

    def value(self, base: Array, exponent: Array) -> Array:
        if base.dtype.kind == "f":
            exponent = exponent.astype(base.dtype)
        elif exponent.dtype.kind != "f":
            self.require(bool(np.all(exponent >= 0)), "a whole number has no power below 0")
        y: Array = np.power(base, exponent).astype(base.dtype)
        return y

    def gradients(self, grad: Array, y: Array, base: Array, exponent: Array) -> tuple[Array, Array | None]:
        slope = exponent * np.power(base, exponent.astype(base.dtype) - 1)
        of_base = np.where(exponent == 0, 0, grad * slope).astype(base.dtype)
        if exponent.dtype.kind != "f":
            return of_base, None
        # The logarithm of 0 is infinite, but no power above 0 of it changes.
        constant = (base == 0) & (exponent >= 0)
        return of_base, np.where(constant, 0, grad * y * np.log(base))
