"""Reshape (ONNX 14), to a shape of sizes."""

from dataclasses import dataclass

from gatewise.network.operation import Computed, Execution, Operation, ValueType, shown
from gatewise.network.size import Shape, divided, product, remainder
from gatewise.types import Array


@dataclass(frozen=True)
class Reshape(Operation):
    """The numbers in another shape, in the same order. shape: as in ONNX, -1 for the size that is left, and 0, unless
    allowzero, for the size of the same axis before.
    """

    formal = ("data", "shape")
    shape: Shape = ()
    allowzero: int = 0

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        return (ValueType(x.dtype, self._resolved(self.shape, x.shape)),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        shape = execution.shape(self._resolved(execution.shape(self.shape), x.shape))

        def backward(grad: Array) -> tuple[Array]:
            return (grad.reshape(x.shape),)

        return (x.reshape(shape),), backward

    def _resolved(self, wanted: Shape, given: Shape) -> Shape:
        """The shape `wanted` without 0 and -1, of a value of the shape `given`."""
        shape = list(wanted)
        for axis, size in enumerate(shape):
            if size == 0 and not self.allowzero:
                self.require(axis < len(given), f"the shape {shown(wanted)} copies axis {axis} of {shown(given)}")
                shape[axis] = given[axis]
        unknown = [axis for axis, size in enumerate(shape) if size == -1]
        self.require(len(unknown) <= 1, "at most one size may be -1")
        whole, rest = product(given), product(tuple(size for size in shape if size != -1))
        if unknown and rest != 0:
            self.require(remainder(whole, rest) == 0, f"{shown(given)} has no shape {shown(wanted)}")
            shape[unknown[0]] = divided(whole, rest)
        else:
            self.require(not unknown and whole == rest, f"{shown(given)} has no shape {shown(wanted)}")
        return tuple(shape)
