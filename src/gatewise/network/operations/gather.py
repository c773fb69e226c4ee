"""Gather (ONNX 13), which also is an embedding."""

from dataclasses import dataclass

from gatewise.network.indexing import from_front, require_indices, take
from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class Gather(Operation):
    """The rows of an axis with these numbers: data (..., N, ...), indices of any shape -> (..., *indices, ...). A
    negative number counts from the end. Raises InputError in a run for a number that is out of range.
    """

    formal = ("data", "indices")
    needed = 2
    weights = ("data",)
    axis: int = 0

    def infer(self, data: ValueType, indices: ValueType) -> tuple[ValueType, ...]:
        axis = self.axis_of(self.axis, len(data.shape))
        require_indices(self, indices)
        return (ValueType(data.dtype, (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])),)

    def forward(self, execution: Execution, data: Array, indices: Array) -> Computed:
        axis = self.axis_of(self.axis, data.ndim)
        rows = from_front(self, indices, data.shape[axis])
        return take(data, (*[slice(None)] * axis, rows))
