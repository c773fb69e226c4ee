"""Cast (ONNX 19), to a dtype of a graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from gatewise.errors import InputError
from gatewise.network.operation import Computed, DType, Execution, Operation, ValueType
from gatewise.types import Array

# The numbers of the data types in `onnx.TensorProto`. A half precision would round the numbers, and is refused.
_DTYPES: dict[int, DType] = {1: "float", 6: "int32", 7: "int64", 9: "bool", 11: "float"}


@dataclass(frozen=True)
class Cast(Operation):
    """The numbers in another dtype. A floating-point number loses its fraction in an integer. bool says whether a
    number is not 0, and is 0 or 1 as a number.

    to: a dtype of a graph, or its number in ONNX. saturate: for dtypes that a graph does not have.

    Raises InputError in a run for a floating-point number that the integers do not have: NaN or one out of range.
    """

    formal = ("input",)
    to: DType
    saturate: int = 1

    @classmethod
    def fields_of(cls, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        to = attributes.get("to")
        if not isinstance(to, int):
            return attributes
        if to not in _DTYPES:
            raise InputError(f"Cast: the data type {to} of ONNX is none of a graph: float, int64, int32 and bool")
        return {**attributes, "to": _DTYPES[to]}

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require(self.to in get_args(DType), f"{self.to} is no dtype of a graph: float, int64, int32 and bool")
        return (ValueType(self.to, x.shape),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        dtype = execution.numpy_dtype(self.to)
        if x.dtype.kind == "f" and dtype.kind == "i":
            self._check_range(x, dtype)

        def backward(grad: Array | None) -> tuple[Array | None]:
            if grad is None or x.dtype.kind != "f":
                return (None,)
            return (grad.astype(x.dtype),)

        return (x.astype(dtype),), backward

    def _check_range(self, x: Array, dtype: Any) -> None:
        """Refuse numbers whose conversion to integers is not defined."""
        # A floating-point number has both bounds exactly; the integers of the dtype end before the upper one, -low.
        low = float(np.iinfo(dtype).min)
        inside = (np.trunc(x) >= low) & (x < -low)
        if not inside.all():
            self.refuse(f"{x[~inside].flat[0]} is no {dtype}")
