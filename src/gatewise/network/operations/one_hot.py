"""OneHot (ONNX 11), with a depth that is a size and constant values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.network.operation import Computed, DType, Execution, Operation, ValueType, dtype_of, no_gradient
from gatewise.network.size import Dim, at_least
from gatewise.types import Array


@dataclass(frozen=True)
class OneHot(Operation):
    """A new axis of size `depth` with values[1] at the index and values[0] elsewhere. A negative index counts from the
    end, and one that is out of range has values[0] everywhere. axis: of the output. dtype: of the values.
    """

    formal = ("indices", "depth", "values")
    depth: Dim = 0
    values: tuple[float | int | bool, ...] = (0, 1)
    axis: int = -1
    dtype: DType = "float"

    @classmethod
    def fields_of(cls, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        fields = dict(attributes)
        # ONNX also allows floating-point numbers, and an array of one number.
        if isinstance(fields.get("depth"), np.ndarray):
            fields["depth"] = int(fields["depth"].item())
        if isinstance(fields.get("values"), np.ndarray):
            fields["dtype"] = dtype_of("OneHot: values", fields["values"])
        return fields

    def infer(self, indices: ValueType) -> tuple[ValueType, ...]:
        self.require(indices.dtype != "bool", "the indices must be numbers, not bool")
        self.require(len(self.values) == 2, f"values must be two numbers, not {len(self.values)}")
        self.require(not at_least(0, self.depth), f"depth {self.depth} must be at least 1")
        shape = list(indices.shape)
        shape.insert(self.axis_of(self.axis, len(shape) + 1), self.depth)
        return (ValueType(self.dtype, tuple(shape)),)

    def forward(self, execution: Execution, indices: Array) -> Computed:
        depth = execution.size(self.depth)
        self.require(depth >= 1, f"depth {depth} must be at least 1")
        rows = indices.astype(np.int64)
        rows = np.where(rows < 0, rows + depth, rows)
        hot = np.expand_dims(rows, -1) == np.arange(depth)
        off, on = np.asarray(self.values, dtype=execution.numpy_dtype(self.dtype))
        return (np.moveaxis(np.where(hot, on, off), -1, self.axis),), no_gradient
