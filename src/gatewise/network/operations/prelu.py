"""PRelu (ONNX 16)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.network.operation import ValueType, shown
from gatewise.types import Array


@dataclass(frozen=True)
class PRelu(Elementwise):
    """x above 0, slope times x below (He et al. 2015). The slope is broadcast to the shape of x. The gradient at 0 is
    the slope.
    """

    formal = ("X", "slope")
    needed = 2
    weights = ("slope",)
    dtypes = NUMBERS

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        (result,) = super().infer(*inputs)
        x, slope = inputs
        self.require(result == x, f"a slope {shown(slope.shape)} has no place in {shown(x.shape)}")
        return (result,)

    def value(self, x: Array, slope: Array) -> Array:
        return np.where(x > 0, x, slope * x)

    def gradients(self, grad: Array, y: Array, x: Array, slope: Array) -> tuple[Array, Array]:
        return np.where(x > 0, grad, slope * grad), np.where(x > 0, 0, x * grad)
