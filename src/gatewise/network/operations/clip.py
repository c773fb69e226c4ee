"""Clip (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS
from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class Clip(Operation):
    """x within a lower and an upper bound, which are numbers, arrays of one number, or left out:
    min(max(x, lower), upper).

    Where x equals a bound, the gradient goes to x.
    """

    formal = ("input", "min", "max")

    def infer(self, x: ValueType, *bounds: ValueType | None) -> tuple[ValueType, ...]:
        self.require_dtypes(NUMBERS, x)
        for bound in bounds:
            if bound is not None:
                fits = bound.shape in ((), (1,)) and bound.dtype == x.dtype
                self.require(fits, f"a bound of {x} may not be {bound}")
        return (x,)

    def forward(self, execution: Execution, x: Array, *bounds: Array | None) -> Computed:
        lower, upper = (None if bound is None else bound.reshape(()) for bound in (*bounds, None, None)[:2])
        y = x
        if lower is not None:
            y = np.maximum(y, lower)
        if upper is not None:
            y = np.minimum(y, upper)

        def backward(grad: Array | None) -> tuple[Array | None, ...]:
            if grad is None or x.dtype.kind != "f":
                return (None,) * (1 + len(bounds))
            below, above = _outside(x, lower, upper)
            grads: list[Array | None] = [np.where(below | above | np.isnan(x), 0, grad)]
            for bound, reached in zip(bounds, (below, above), strict=False):
                grads.append(None if bound is None else np.where(reached, grad, 0).sum().reshape(bound.shape))
            return tuple(grads)

        return (np.asarray(y),), backward


def _outside(x: Array, lower: Array | None, upper: Array | None) -> tuple[Array, Array]:
    """Where the result is the lower bound, and where it is the upper one, and x neither."""
    below = np.zeros(x.shape, dtype=bool) if lower is None else x < lower
    above = np.zeros(x.shape, dtype=bool) if upper is None else x > upper
    if lower is not None and upper is not None and lower > upper:
        # The result is the upper bound, whatever x is.
        return np.zeros_like(below), np.ones_like(above)
    return below, above
