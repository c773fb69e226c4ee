"""Slice (ONNX 13), with bounds that are sizes."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.network.size import Dim, Shape, at_least, divided, maximum, minimum
from gatewise.types import Array

UNLIMITED = (1 << 31) - 1  # a bound that exporters write for the end of an axis: no axis has as many rows


@dataclass(frozen=True)
class Slice(Operation):
    """Every `steps`-th row from `starts` to before `ends` of each of the axes, as Python slices with those bounds.

    axes: the first ones where they are left out. steps: 1 where they are left out.
    """

    formal = ("data", "starts", "ends", "axes", "steps")
    starts: Shape = ()
    ends: Shape = ()
    axes: tuple[int, ...] | None = None
    steps: tuple[int, ...] | None = None

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        shape = list(x.shape)
        for axis, start, end, step in self._bounds(len(shape)):
            if step > 0:
                first, last = self._clipped(start, 0, shape[axis]), self._clipped(end, 0, shape[axis])
                count = self._to_end(start, shape[axis]) if last == shape[axis] else maximum(last - first, 0)
            else:
                # The bounds of a slice that counts down lie one further down.
                first, last = self._clipped(start, -1, shape[axis] - 1), self._clipped(end, -1, shape[axis] - 1)
                count = maximum(first - last, 0)
            shape[axis] = divided(count + abs(step) - 1, abs(step))
        return (ValueType(x.dtype, tuple(shape)),)

    def _clipped(self, bound: Dim, low: int, high: Dim) -> Dim:
        """A bound within `low` and `high`. One below 0 counts from the end of the axis."""
        if isinstance(bound, int) and abs(bound) >= UNLIMITED:
            return high if bound > 0 else low
        size = high if low == 0 else high + 1
        if at_least(bound, 0):
            return minimum(bound, high)
        self.require(at_least(-1, bound), f"the bound {bound} may count from either end")
        return maximum(bound + size, low)

    def _to_end(self, start: Dim, size: Dim) -> Dim:
        """The rows from a start to the end of an axis, written so that equal sizes have equal terms."""
        if at_least(start, 0):
            return maximum(size - start, 0)
        return minimum(-1 * start, size)

    def forward(self, execution: Execution, x: Array) -> Computed:
        index = [slice(None)] * x.ndim
        for axis, start, end, step in self._bounds(x.ndim):
            first, last = execution.size(start), execution.size(end)
            # Below the first row a slice that counts down has no bound that Python writes as a number.
            open_end = step < 0 and last < -x.shape[axis]
            index[axis] = slice(first, None if open_end else last, step)
        rows = tuple(index)

        def backward(grad: Array) -> tuple[Array]:
            whole = np.zeros_like(x)
            whole[rows] = grad
            return (whole,)

        return (x[rows],), backward

    def _bounds(self, rank: int) -> list[tuple[int, Dim, Dim, int]]:
        """The axis, start, end and step of each slice."""
        axes = tuple(range(len(self.starts))) if self.axes is None else self.axes
        steps = (1,) * len(axes) if self.steps is None else self.steps
        self.require(
            len(self.starts) == len(self.ends) == len(axes) == len(steps),
            "starts, ends, axes and steps must be equally long",
        )
        self.require(0 not in steps, "a step may not be 0")
        places = [self.axis_of(axis, rank) for axis in axes]
        self.require(len(set(places)) == len(places), "an axis has two slices")
        return list(zip(places, self.starts, self.ends, steps, strict=True))
