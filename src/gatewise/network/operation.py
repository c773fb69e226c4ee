"""`Operation`: what a node of a graph computes, with the name and the semantics of the ONNX specification.

Each operation is a frozen dataclass of its own file in `gatewise.network.operations`. Its attributes are the fields. It
has a shape rule (`infer`), and a forward pass in NumPy that returns the outputs and the backward pass.

>>> import numpy as np
>>> from gatewise.network.operations import operation_named
>>> softmax = operation_named("Softmax")(axis=-1)
>>> (y,), backward = softmax.forward(Execution(), np.zeros((1, 2)))
>>> y
array([[0.5, 0.5]])
>>> backward(np.array([[1.0, 0.0]]))
(array([[ 0.25, -0.25]]),)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

import numpy as np

from gatewise.errors import InputError
from gatewise.network.size import Dim, Shape, Size, to_entry, value_of
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel
    from gatewise.network.recurrent_values import RecurrentValues

DType = Literal["float", "int64", "int32", "bool"]
"""Of a value. "float" is float32 in a prediction and float64 where a network is compared with its original."""

Backward = Callable[..., tuple[Array | None, ...]]
"""Of the gradients of the outputs, None where nothing reads one: the gradients of the inputs, None for an input that
has none, such as ids.
"""

Computed = tuple[tuple[Array, ...], Backward]
"""The outputs of a forward pass, and the backward pass."""


@dataclass(frozen=True)
class ValueType:
    """The dtype and the shape of a value."""

    dtype: DType
    shape: Shape

    def to_entry(self) -> dict[str, Any]:
        """The type as a file has it."""
        return {"dtype": self.dtype, "shape": [to_entry(dim) for dim in self.shape]}

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join(map(str, self.shape))})"


@dataclass
class Execution:
    """One run of a graph. sizes: of the symbols. dtype: of "float" values. kernel: of recurrences, None for the default
    one. keep: whether a backward pass may follow; recurrences then save their activations, in `saved` by the names of
    the nodes: functions that return a `RecurrentValues`. held: by the names of recurrences, gates that are held at a
    value: the row (T,) of each step, and the rows (R, K H), NaN for a gate that is computed; there is no backward pass
    then. node: the one that runs.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    dtype: Any = np.float32
    kernel: Kernel | None = None
    keep: bool = True
    saved: dict[str, Callable[[], RecurrentValues]] = field(default_factory=dict)
    held: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    node: str = ""

    def size(self, dim: Dim) -> int:
        """The number that a size is in this run."""
        return value_of(dim, self.sizes)

    def shape(self, shape: Sequence[Dim]) -> tuple[int, ...]:
        """The numbers of a shape in this run."""
        return tuple(value_of(dim, self.sizes) for dim in shape)

    def numpy_dtype(self, dtype: DType) -> Any:
        """The dtype of NumPy of a dtype in this run."""
        return np.dtype(self.dtype if dtype == "float" else dtype)


class Operation:
    """What a node computes. The attributes are the fields of a frozen dataclass.

    formal: the names of the inputs in the specification of ONNX, in its order. A name that is a field stands for an
    input that is no value here but a constant or a size, such as the shape of Reshape. needed: how many of the other
    inputs a node must have. variadic: whether the last input may be repeated. weights: the inputs that training changes
    where they are constants, such as a matrix; other constants, such as a mean, stay.
    """

    formal: ClassVar[tuple[str, ...]] = ("X",)
    needed: ClassVar[int] = 1
    variadic: ClassVar[bool] = False
    weights: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def name(cls) -> str:
        """The name of the operator in ONNX, and in a file."""
        return cls.__name__

    infer: Callable[..., tuple[ValueType, ...]]
    """A method: the types of the outputs, of those of the inputs. Raises InputError where they do not fit."""

    forward: Callable[..., Computed]
    """A method: the outputs and the backward pass, of an `Execution` and the arrays of the inputs; None for an optional
    input that is left out."""

    @classmethod
    def value_inputs(cls) -> list[str]:
        """The formal inputs that are values: those that are no fields."""
        attributes = {attribute.name for attribute in fields(cls)}  # type: ignore[arg-type]  # each is a dataclass
        return [name for name in cls.formal if name not in attributes]

    def weight_inputs(self, inputs: Sequence[ValueType | None]) -> list[int]:
        """The places of the inputs that training changes where they are constants. inputs: their types."""
        names = self.value_inputs()
        return [place for place, name in enumerate(names[: len(inputs)]) if name in self.weights]

    def to_entry(self) -> dict[str, Any]:
        """The operation as a file has it: its type, and the attributes that do not have their default. See
        `gatewise.network.graph_file`, which reads it.
        """
        entry: dict[str, Any] = {"type": self.name()}
        for attribute in fields(self):  # type: ignore[arg-type]  # each operation is a dataclass
            value = getattr(self, attribute.name)
            if value != attribute.default:
                entry[attribute.name] = _entry_of(value)
        return entry

    @classmethod
    def fields_of(cls, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields, of the attributes and constants of a node of ONNX. An operation whose fields differ from them,
        such as the dtype of Cast, has a method of its own.
        """
        return attributes

    def refuse(self, reason: str) -> NoReturn:
        """Raise InputError with the name of the operation."""
        raise InputError(f"{self.name()}: {reason}")

    def require(self, holds: bool, reason: str) -> None:
        """Refuse the node unless the condition holds."""
        if not holds:
            self.refuse(reason)

    def require_dtypes(self, dtypes: Sequence[DType], *inputs: ValueType) -> None:
        """Refuse inputs of other dtypes than these."""
        for value_type in inputs:
            self.require(value_type.dtype in dtypes, f"it takes {' and '.join(dtypes)}, not {value_type.dtype}")

    def require_float(self, *inputs: ValueType | None) -> None:
        """Refuse values, except for those that are left out, that are no floating-point numbers."""
        for value_type in inputs:
            if value_type is not None and value_type.dtype != "float":
                self.refuse(f"the values must be floating-point numbers, not {value_type}")

    def axis_of(self, axis: int, rank: int) -> int:
        """An axis that may count from the end, from the front. Refuses an axis that is not there."""
        self.require(-rank <= axis < rank, f"axis {axis} of a value with {rank} axes")
        return axis % rank


def _entry_of(value: Any) -> Any:
    """An attribute as a file has it."""
    if hasattr(value, "to_entry"):  # an operation, or the graph of a loop
        return value.to_entry()
    if isinstance(value, tuple):
        return [_entry_of(part) for part in value]
    if isinstance(value, Size):
        return to_entry(value)
    return value


def dtype_of(name: str, array: Array) -> DType:
    """The dtype in a graph of an array with this name. Raises InputError for one that a graph does not have."""
    if array.dtype.kind == "f":
        return "float"
    if array.dtype == np.int64:
        return "int64"
    if array.dtype == np.int32:
        return "int32"
    if array.dtype == np.bool_:
        return "bool"
    raise InputError(f"{name} has the dtype {array.dtype}; a graph has float, int64, int32 and bool")


def no_gradient(*grads: Array | None) -> tuple[None]:
    """The backward pass of an operation of one input that has no gradient, such as a comparison."""
    return (None,)


def broadcast_shape(operation: Operation, shapes: Sequence[Shape]) -> Shape:
    """The shape to which NumPy broadcasts these. Refuses axes of sizes that are neither equal nor 1."""
    rank = max(map(len, shapes))
    result: list[Dim] = []
    for axis in range(-rank, 0):
        sizes = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        operation.require(len(sizes) <= 1, f"the shapes {' and '.join(map(shown, shapes))} do not fit")
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def broadcast_type(operation: Operation, *inputs: ValueType) -> ValueType:
    """The type of an operation on each number of values that are broadcast to one shape, which have one dtype."""
    dtypes = {value_type.dtype for value_type in inputs}
    operation.require(len(dtypes) == 1, f"the values have the dtypes {' and '.join(sorted(dtypes))}")
    return ValueType(inputs[0].dtype, broadcast_shape(operation, [value_type.shape for value_type in inputs]))


def shown(shape: Shape) -> str:
    """A shape for messages, such as (B, T, 4)."""
    return f"({', '.join(map(str, shape))})"


def summed_to(grad: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an array of `shape` that was broadcast: summed over the axes that it lacks or has with size 1."""
    leading = grad.ndim - len(shape)
    axes = tuple(range(leading))
    axes += tuple(leading + n for n, size in enumerate(shape) if size == 1 and grad.shape[leading + n] != 1)
    return grad.sum(axis=axes).reshape(shape) if axes else grad
