"""Expand (ONNX 13), to a shape of sizes."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType, broadcast_shape, summed_to
from gatewise.network.size import Shape
from gatewise.types import Array


@dataclass(frozen=True)
class Expand(Operation):
    """The value broadcast with an array of the shape `shape`: an axis of size 1 there keeps the size of the value."""

    formal = ("input", "shape")
    shape: Shape = ()

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        return (ValueType(x.dtype, broadcast_shape(self, [x.shape, self.shape])),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        shape = broadcast_shape(self, [x.shape, execution.shape(self.shape)])

        def backward(grad: Array) -> tuple[Array]:
            return (summed_to(grad, x.shape),)

        return (np.broadcast_to(x, execution.shape(shape)),), backward
