"""Unsqueeze (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class Unsqueeze(Operation):
    """The value with more axes, of size 1. axes: of the output, in any order."""

    formal = ("data", "axes")
    axes: tuple[int, ...] = ()

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        shape = list(x.shape)
        for axis in self._places(len(shape)):
            shape.insert(axis, 1)
        return (ValueType(x.dtype, tuple(shape)),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        def backward(grad: Array) -> tuple[Array]:
            return (grad.reshape(x.shape),)

        return (np.expand_dims(x, self._places(x.ndim)),), backward

    def _places(self, rank: int) -> tuple[int, ...]:
        """The new axes of a value of this rank, from the front."""
        places = {self.axis_of(axis, rank + len(self.axes)) for axis in self.axes}
        self.require(len(places) == len(self.axes), f"axes {self.axes} has an axis twice")
        return tuple(sorted(places))
