"""ScatterElements (ONNX 18), without the reductions mul, max and min."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.indexing import along_axis, from_front, require_elements
from gatewise.network.operation import Computed, Execution, Operation, ValueType, shown
from gatewise.types import Array


@dataclass(frozen=True)
class ScatterElements(Operation):
    """The data with one element per index replaced by the update, or with the update added to it:
    out[indices[i][j]][j] = updates[i][j] for axis 0.

    reduction: "none" or "add". Raises InputError in a run for an index that is out of range, and with "none" for one
    that stands twice, because which update it gets is not defined.
    """

    formal = ("data", "indices", "updates")
    needed = 3
    axis: int = 0
    reduction: str = "none"

    def infer(self, data: ValueType, indices: ValueType, updates: ValueType) -> tuple[ValueType, ...]:
        self.require(self.reduction in ("none", "add"), f"the reduction {self.reduction} is not known here")
        require_elements(self, data, indices, self.axis)
        same = indices.shape == updates.shape
        self.require(same, f"indices {shown(indices.shape)} and updates {shown(updates.shape)} must have one shape")
        self.require(data.dtype == updates.dtype, f"the values have the dtypes {data.dtype} and {updates.dtype}")
        adds = self.reduction == "add" and data.dtype == "bool"
        self.require(not adds, "bool has no sum")
        return (data,)

    def forward(self, execution: Execution, data: Array, indices: Array, updates: Array) -> Computed:
        axis = self.axis_of(self.axis, data.ndim)
        index = along_axis(from_front(self, indices, data.shape[axis]), axis)
        result = data.copy()
        if self.reduction == "add":
            np.add.at(result, index, updates)
        else:
            times = np.zeros(data.shape, dtype=np.int64)
            np.add.at(times, index, 1)
            self.require(not (times > 1).any(), "an index stands twice")
            result[index] = updates

        def backward(grad: Array) -> tuple[Array, None, Array]:
            of_data = grad
            if self.reduction == "none":
                of_data = grad.copy()
                of_data[index] = 0
            return of_data, None, grad[index]

        return (result,), backward
