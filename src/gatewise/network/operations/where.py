"""Where (ONNX 16)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.network.operation import ValueType, broadcast_shape
from gatewise.types import Array


@dataclass(frozen=True)
class Where(Elementwise):
    """x where the condition is true, y elsewhere. What is not chosen has the gradient 0, also if it is NaN."""

    formal = ("condition", "X", "Y")
    needed = 3

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        condition, x, y = inputs
        self.require_dtypes(("bool",), condition)
        self.require(x.dtype == y.dtype, f"it chooses between {x.dtype} and {y.dtype}")
        return (ValueType(x.dtype, broadcast_shape(self, [condition.shape, x.shape, y.shape])),)

    def value(self, condition: Array, x: Array, y: Array) -> Array:
        return np.where(condition, x, y)

    def gradients(self, grad: Array, chosen: Array, condition: Array, x: Array, y: Array) -> tuple[None, Array, Array]:
        return None, np.where(condition, grad, 0), np.where(condition, 0, grad)
