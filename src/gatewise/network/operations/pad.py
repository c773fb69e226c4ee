"""Pad (ONNX 19), with pads that are sizes."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.network.size import Dim, Shape, at_least, minimum
from gatewise.types import Array

_MODES = ("constant", "reflect", "edge", "wrap")


@dataclass(frozen=True)
class Pad(Operation):
    """The value with more numbers before and after it. pads: how many before it along each of the axes, then how many
    after it; a negative number of the mode "constant" cuts off. axes: all where they are left out.

    mode: "constant", "reflect" without the number at the edge, "edge", "wrap".
    """

    formal = ("data", "pads", "constant_value", "axes")
    pads: Shape = ()
    constant_value: float | int = 0
    axes: tuple[int, ...] | None = None
    mode: str = "constant"

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require(self.mode in _MODES, f"the mode {self.mode} is none of {', '.join(_MODES)}")
        if x.dtype != "float":
            whole = float(self.constant_value).is_integer()
            self.require(whole, f"constant_value {self.constant_value} is no {x.dtype}")
        shape = list(x.shape)
        for axis, before, after in self._along(x.shape, self.pads):
            shape[axis] = shape[axis] + before + after
        return (ValueType(x.dtype, tuple(shape)),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        along = self._along(x.shape, execution.shape(self.pads))
        pads = [(axis, execution.size(before), execution.size(after)) for axis, before, after in along]
        if self.mode == "constant":
            return self._constant(x, pads)
        # What each place of an axis reads, so that the gradient is summed over the places that read the same number.
        reads = []
        for axis, before, after in pads:
            reads.append((axis, np.pad(np.arange(x.shape[axis]), (before, after), mode=self.mode)))  # type: ignore[call-overload]
        y = x
        for axis, read in reads:
            y = y.take(read, axis=axis)

        def backward(grad: Array) -> tuple[Array]:
            for axis, read in reversed(reads):
                summed = np.zeros((*grad.shape[:axis], x.shape[axis], *grad.shape[axis + 1 :]), dtype=grad.dtype)
                np.add.at(summed, (*[slice(None)] * axis, read), grad)
                grad = summed
            return (grad,)

        return (y,), backward

    def _constant(self, x: Array, pads: list[tuple[int, int, int]]) -> Computed:
        shape = list(x.shape)
        kept = [slice(None)] * x.ndim  # of x
        place = [slice(None)] * x.ndim  # of what is kept, in the output
        for axis, before, after in pads:
            size = x.shape[axis]
            shape[axis] = size + before + after
            kept[axis] = slice(max(-before, 0), size - max(-after, 0))
            place[axis] = slice(max(before, 0), shape[axis] - max(after, 0))
        y = np.full(shape, self.constant_value, dtype=x.dtype)
        y[tuple(place)] = x[tuple(kept)]

        def backward(grad: Array) -> tuple[Array]:
            dx = np.zeros_like(x)
            dx[tuple(kept)] = grad[tuple(place)]
            return (dx,)

        return (y,), backward

    def _along(self, shape: Shape, pads: Shape) -> list[tuple[int, Dim, Dim]]:
        """The pads before and after each axis that has some. Refuses what is known not to fit."""
        axes = tuple(range(len(shape))) if self.axes is None else self.axes
        self.require(len(pads) == 2 * len(axes), f"{len(pads)} pads for {len(axes)} axes")
        places = [self.axis_of(axis, len(shape)) for axis in axes]
        self.require(len(set(places)) == len(places), f"axes {axes} has an axis twice")
        along = list(zip(places, pads[: len(axes)], pads[len(axes) :], strict=True))
        for axis, before, after in along:
            for pad in (before, after):
                self._check(pad, shape[axis])
            kept = shape[axis] + minimum(before, 0) + minimum(after, 0)
            self.require(
                not at_least(-1, kept), f"the pads {before} and {after} cut off more than {shape[axis]} numbers"
            )
        return along

    def _check(self, pad: Dim, size: Dim) -> None:
        """Refuse a pad that the mode does not have on an axis of this size."""
        if self.mode == "constant":
            return
        self.require(not at_least(-1, pad), f"the pad {pad} is negative, which only the mode constant may be")
        if self.mode == "reflect":
            # Beyond that, the libraries differ.
            self.require(not at_least(pad, size), f"the pad {pad} must be less than the size {size} of the axis")
        elif at_least(0, size):
            self.require(at_least(0, pad), "an empty axis has no number to repeat")
