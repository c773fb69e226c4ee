"""Softmax (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class Softmax(Operation):
    """exp(x) divided by its sum along an axis."""

    formal = ("input",)
    axis: int = -1

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require_dtypes(("float",), x)
        self.axis_of(self.axis, len(x.shape))
        return (x,)

    def forward(self, execution: Execution, x: Array) -> Computed:
        # The same number subtracted from all changes nothing, and exp cannot overflow.
        shifted = np.exp(x - x.max(axis=self.axis, keepdims=True, initial=-np.inf))
        y = shifted / shifted.sum(axis=self.axis, keepdims=True)

        def backward(grad: Array) -> tuple[Array]:
            return (y * (grad - (grad * y).sum(axis=self.axis, keepdims=True)),)

        return (y,), backward
