"""Flatten (ONNX 13)."""

from dataclasses import dataclass

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.network.size import Dim, Shape, product
from gatewise.types import Array


@dataclass(frozen=True)
class Flatten(Operation):
    """The numbers as a matrix: the axes before `axis` are its rows, the others its columns."""

    formal = ("input",)
    axis: int = 1

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        return (ValueType(x.dtype, self._matrix(x.shape)),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        def backward(grad: Array) -> tuple[Array]:
            return (grad.reshape(x.shape),)

        return (x.reshape(execution.shape(self._matrix(x.shape))),), backward

    def _matrix(self, shape: Shape) -> tuple[Dim, Dim]:
        rank = len(shape)
        # The axis after the last one is allowed: the matrix then has one column.
        self.require(-rank <= self.axis <= rank, f"axis {self.axis} of a value with {rank} axes")
        axis = self.axis + rank if self.axis < 0 else self.axis
        return product(shape[:axis]), product(shape[axis:])
