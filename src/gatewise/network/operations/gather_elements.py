"""GatherElements (ONNX 13)."""

from dataclasses import dataclass

from gatewise.network.indexing import along_axis, from_front, require_elements, take
from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class GatherElements(Operation):
    """One element per index, as `torch.gather`: out[i][j] = data[indices[i][j]][j] for axis 0. The indices may be fewer
    than the rows along the other axes. Raises InputError in a run for an index that is out of range.
    """

    formal = ("data", "indices")
    needed = 2
    axis: int = 0

    def infer(self, data: ValueType, indices: ValueType) -> tuple[ValueType, ...]:
        require_elements(self, data, indices, self.axis)
        return (ValueType(data.dtype, indices.shape),)

    def forward(self, execution: Execution, data: Array, indices: Array) -> Computed:
        axis = self.axis_of(self.axis, data.ndim)
        rows = from_front(self, indices, data.shape[axis])
        return take(data, along_axis(rows, axis))
