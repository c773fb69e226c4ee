"""Range (ONNX 11), of sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.network.operation import Computed, DType, Execution, Operation, ValueType, dtype_of
from gatewise.network.size import Dim, divided, maximum


@dataclass(frozen=True)
class Range(Operation):
    """The whole numbers from start to before limit, every delta-th one. dtype: "int64" or "int32"."""

    formal = ("start", "limit", "delta")
    needed = 0
    start: Dim = 0
    limit: Dim = 0
    delta: int = 1
    dtype: DType = "int64"

    @classmethod
    def fields_of(cls, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        arrays = [value for value in attributes.values() if isinstance(value, np.ndarray)]
        if not arrays:
            return attributes
        dtype = dtype_of("Range: start", arrays[0])
        if dtype == "float":
            raise InputError("Range: the bounds must be whole numbers; a range of others is a constant")
        return {**attributes, "dtype": dtype}

    def infer(self) -> tuple[ValueType, ...]:
        self.require(self.delta != 0, "delta may not be 0")
        self.require(self.dtype in ("int64", "int32"), f"a range of {self.dtype} is not known here")
        span = self.limit - self.start if self.delta > 0 else self.start - self.limit
        step = abs(self.delta)
        return (ValueType(self.dtype, (maximum(divided(span + step - 1, step), 0),)),)

    def forward(self, execution: Execution) -> Computed:
        start = execution.size(self.start)
        limit = execution.size(self.limit)

        def backward(grad: object) -> tuple[()]:
            return ()

        return (np.arange(start, limit, self.delta, dtype=execution.numpy_dtype(self.dtype)),), backward
