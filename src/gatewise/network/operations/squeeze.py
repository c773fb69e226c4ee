"""Squeeze (ONNX 13)."""

from dataclasses import dataclass

from gatewise.network.operation import Computed, Execution, Operation, ValueType, shown
from gatewise.network.size import Shape
from gatewise.types import Array


@dataclass(frozen=True)
class Squeeze(Operation):
    """The value without axes of size 1. axes: all of size 1 where they are left out."""

    formal = ("data", "axes")
    axes: tuple[int, ...] | None = None

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        return (ValueType(x.dtype, self._squeezed(x.shape)),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        shape = execution.shape(self._squeezed(x.shape))

        def backward(grad: Array) -> tuple[Array]:
            return (grad.reshape(x.shape),)

        return (x.reshape(shape),), backward

    def _squeezed(self, shape: Shape) -> Shape:
        if self.axes is None:
            # Which axes go would depend on the size: a batch of one sequence would have one axis less.
            fixed = all(isinstance(size, int) for size in shape)
            self.require(fixed, f"axes must be named, because a size of {shown(shape)} may be 1")
            return tuple(size for size in shape if size != 1)
        axes = {self.axis_of(axis, len(shape)) for axis in self.axes}
        self.require(len(axes) == len(self.axes), f"axes {self.axes} has an axis twice")
        for axis in axes:
            self.require(shape[axis] == 1, f"axis {axis} of {shown(shape)} is not of size 1")
        return tuple(size for axis, size in enumerate(shape) if axis not in axes)
