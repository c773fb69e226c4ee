"""ConstantOfShape (ONNX 20), of a shape of sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.network.operation import Computed, DType, Execution, Operation, ValueType, dtype_of
from gatewise.network.size import Shape, at_least


@dataclass(frozen=True)
class ConstantOfShape(Operation):
    """An array full of one number. input: its shape. dtype: of the value."""

    formal = ("input",)
    needed = 0
    input: Shape = ()
    value: float | int | bool = 0
    dtype: DType = "float"

    @classmethod
    def fields_of(cls, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        value = attributes.get("value")
        if not isinstance(value, np.ndarray):
            return attributes
        return {**attributes, "value": value.item(), "dtype": dtype_of("ConstantOfShape: value", value)}

    def infer(self) -> tuple[ValueType, ...]:
        for size in self.input:
            self.require(not at_least(-1, size), f"an axis has no size {size}")
        return (ValueType(self.dtype, self.input),)

    def forward(self, execution: Execution) -> Computed:
        shape = execution.shape(self.input)
        for size in shape:
            self.require(size >= 0, f"an axis has no size {size}")

        def backward(grad: object) -> tuple[()]:
            return ()

        return (np.full(shape, self.value, dtype=execution.numpy_dtype(self.dtype)),), backward
