"""CumSum (ONNX 14)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS
from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class CumSum(Operation):
    """The sum of each number along an axis and those before it. exclusive: without the number itself. reverse: of those
    after it.
    """

    formal = ("x", "axis")
    axis: int = 0
    exclusive: int = 0
    reverse: int = 0

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require_dtypes(NUMBERS, x)
        self.axis_of(self.axis, len(x.shape))
        return (x,)

    def forward(self, execution: Execution, x: Array) -> Computed:
        def backward(grad: Array | None) -> tuple[Array | None]:
            # Each number is part of the sums in the other direction.
            return (None if grad is None else self._summed(grad, not self.reverse),)

        return (self._summed(x, bool(self.reverse)),), backward

    def _summed(self, x: Array, reverse: bool) -> Array:
        steps = np.moveaxis(x, self.axis, 0)
        steps = steps[::-1] if reverse else steps
        sums = np.zeros_like(steps)
        if self.exclusive:
            np.cumsum(steps[:-1], axis=0, out=sums[1:])
        else:
            np.cumsum(steps, axis=0, out=sums)
        return np.moveaxis(sums[::-1] if reverse else sums, 0, self.axis)
