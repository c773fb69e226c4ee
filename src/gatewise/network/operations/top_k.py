"""TopK (ONNX 11), with a size K."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS
from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.network.size import Dim, at_least
from gatewise.types import Array


@dataclass(frozen=True)
class TopK(Operation):
    """The K largest numbers along an axis, or, unless `largest`, the K smallest, in this order, and their indices. Of
    equal numbers the first one comes first. NaN counts as the largest. If not `sorted`, the order is the same.
    """

    formal = ("X", "K")
    K: Dim = 1
    axis: int = -1
    largest: int = 1
    sorted: int = 1

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require_dtypes(NUMBERS, x)
        axis = self.axis_of(self.axis, len(x.shape))
        fits = not at_least(-1, self.K) and not at_least(self.K, x.shape[axis] + 1)
        self.require(fits, f"K = {self.K} of {x.shape[axis]} numbers")
        shape = (*x.shape[:axis], self.K, *x.shape[axis + 1 :])
        return ValueType(x.dtype, shape), ValueType("int64", shape)

    def forward(self, execution: Execution, x: Array) -> Computed:
        axis = self.axis_of(self.axis, x.ndim)
        size = x.shape[axis]
        count = execution.size(self.K)
        # Of sizes that depend on the inputs, the shape rule could not tell.
        self.require(0 <= count <= size, f"K = {count} of {size} numbers")
        if self.largest:
            # In the ascending order of the reversed numbers, equal ones are reversed too.
            ascending = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
            order = size - 1 - np.flip(ascending, axis)
        else:
            order = np.argsort(x, axis=axis, kind="stable")
        chosen = np.take(order, np.arange(count), axis=axis).astype(np.int64)

        def backward(grad: Array | None, of_indices: None = None) -> tuple[Array | None]:
            if grad is None:
                return (None,)
            dx = np.zeros_like(x)
            np.put_along_axis(dx, chosen, grad, axis)
            return (dx,)

        return (np.take_along_axis(x, chosen, axis), chosen), backward
