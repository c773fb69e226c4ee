"""Concat (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType, shown
from gatewise.types import Array


@dataclass(frozen=True)
class Concat(Operation):
    """The values one after the other along an axis."""

    formal = ("inputs",)
    variadic = True
    axis: int

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        first = inputs[0]
        axis = self.axis_of(self.axis, len(first.shape))
        for other in inputs[1:]:
            self.require(other.dtype == first.dtype, f"the values have the dtypes {first.dtype} and {other.dtype}")
            fits = len(other.shape) == len(first.shape)
            fits = fits and _without(other.shape, axis) == _without(first.shape, axis)
            reason = f"the shapes {shown(first.shape)} and {shown(other.shape)} differ in more than axis {axis}"
            self.require(fits, reason)
        size = sum(value_type.shape[axis] for value_type in inputs)
        return (ValueType(first.dtype, (*first.shape[:axis], size, *first.shape[axis + 1 :])),)

    def forward(self, execution: Execution, *inputs: Array) -> Computed:
        bounds = np.cumsum([x.shape[self.axis] for x in inputs])[:-1]

        def backward(grad: Array) -> tuple[Array, ...]:
            return tuple(np.split(grad, bounds, axis=self.axis))

        return (np.concatenate(inputs, axis=self.axis),), backward


def _without(shape: tuple[object, ...], axis: int) -> tuple[object, ...]:
    return (*shape[:axis], *shape[axis + 1 :])
