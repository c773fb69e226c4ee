"""The operations of a graph, one file each, by their names in ONNX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from importlib import import_module
from keyword import iskeyword
from typing import Any, get_args, get_type_hints

import numpy as np

from gatewise.errors import InputError, ModelFileError, did_you_mean, quote
from gatewise.network.operation import Operation
from gatewise.storage.fields import fields_from

NAMES = (
    "Abs",
    "Add",
    "And",
    "ArgMax",
    "ArgMin",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Celu",
    "Clip",
    "Concat",
    "ConstantOfShape",
    "Conv",
    "Cos",
    "CumSum",
    "Div",
    "Dropout",
    "Einsum",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "Loop",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "OneHot",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "RMSNormalization",
    "Range",
    "Reciprocal",
    "Recurrent",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "RequireLongest",
    "Reshape",
    "ReverseSequence",
    "Round",
    "ScatterElements",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sizes",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Where",
    "Xor",
)
"""The names of the operators that a graph may have. Each is the class of its name in the file of its name."""


@cache
def operation_named(name: str) -> type[Operation]:
    """The class of an operation. Raises InputError for a name that is not among `NAMES`."""
    if name not in NAMES:
        raise InputError(f"the operation {quote(name)} is not known here{did_you_mean(name, NAMES)}")
    module = import_module(f"gatewise.network.operations.{file_of(name)}")
    operation: type[Operation] = getattr(module, name)
    return operation


def file_of(name: str) -> str:
    """The file of an operation: "reduce_mean" for "ReduceMean", "lstm" for "LSTM", "is_nan" for "IsNaN", "and_" for
    "And", which Python could not import as "and".
    """
    file = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("NaN", "Nan")).lower()
    return f"{file}_" if iskeyword(file) else file


def operation_of(name: str, attributes: Mapping[str, Any]) -> Operation:
    """The operation of a node of ONNX: of its name, its attributes, and the constants that it reads in place of the
    inputs which are fields here (`Operation.formal`). An array becomes what its field holds.

    >>> operation_of("Slice", {"starts": np.array([1]), "ends": np.array([9])})
    Slice(starts=(1,), ends=(9,), axes=None, steps=None)

    Raises InputError for an attribute that the operation does not have, for one that it needs and that is missing, and
    for one of another type.
    """
    operation = operation_named(name)
    attributes = operation.fields_of(attributes)
    hints = get_type_hints(operation)
    known = {field.name: field for field in fields(operation)}  # type: ignore[arg-type]  # a dataclass
    for attribute in attributes:
        if attribute not in known:
            raise InputError(f"{name}: the attribute {quote(attribute)} is not known here")
    for attribute, field in known.items():
        if field.default is MISSING and attribute not in attributes:
            raise InputError(f"{name}: the attribute {quote(attribute)} is missing")
    values = {key: _field(hints[key], value) for key, value in attributes.items()}
    try:
        return fields_from(operation, values, name)
    except ModelFileError as error:
        raise InputError(str(error)) from None


def _field(hint: Any, value: Any) -> Any:
    """A value as a field of the type `hint` holds it: arrays as tuples or numbers, bytes as text."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, bool) and hint is int:
        return int(value)  # what ONNX has as 0 and 1 is a bool elsewhere
    wanted = {hint, *get_args(hint)}
    if isinstance(value, list):
        several = any(getattr(choice, "__origin__", choice) is tuple for choice in wanted)
        if not several and len(value) == 1:
            return value[0]
        return tuple(value)
    return value
