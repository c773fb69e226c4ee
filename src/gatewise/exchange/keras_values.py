"""The values of a graph by the symbolic tensors of Keras that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.network.graph import Guard
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import DType, ValueType
from gatewise.network.operations import operation_of
from gatewise.network.size import Dim, Shape, symbols_of
from gatewise.types import Array

_DTYPES: dict[str, DType] = {
    "float32": "float",
    "float64": "float",
    "int32": "int32",
    "int64": "int64",
    "bool": "bool",
}


def graph_dtype(dtype: Any) -> DType:
    """The dtype in a graph of a dtype of Keras. Raises InputError for one that would round, such as float16."""
    name = str(dtype)
    if name in _DTYPES:
        return _DTYPES[name]
    raise InputError(
        f"it computes in {quote(name)}, and a graph has float32, float64, int32, int64 and bool; cast to one of them"
    )


class KerasValues:
    """The graph so far, and the value of each symbolic tensor.

    builder: the graph. guards: the sizes for which it holds. epsilon: of the configuration of Keras.
    """

    def __init__(self, keras: Any) -> None:
        self.keras = keras
        self.builder = GraphBuilder()
        self.epsilon = float(keras.config.epsilon())
        self.guards: list[Guard] = []
        self._names: dict[int, str] = {}
        self._of_layers: dict[tuple[int, str], str] = {}
        self._kept: list[Any] = []  # as long as a tensor lives, no other one has its id

    # Tensors

    def set(self, tensor: Any, name: str) -> None:
        """Note the value of a symbolic tensor."""
        if id(tensor) not in self._names:
            self._names[id(tensor)] = name
            self._kept.append(tensor)

    def has(self, tensor: Any) -> bool:
        """Whether the value of a symbolic tensor is known."""
        return id(tensor) in self._names

    def is_symbolic(self, value: Any) -> bool:
        """Whether this is a symbolic tensor of Keras."""
        return isinstance(value, self.keras.KerasTensor)

    def value(self, value: Any, dtype: DType | None = None) -> str:
        """The name of the value of a symbolic tensor, variable, array or number, cast to `dtype` where it is given."""
        if self.is_symbolic(value):
            if not self.has(value):
                raise InputError(
                    "it reads a tensor that does not depend on the inputs of the network in a way that can be followed"
                )
            name = self._names[id(value)]
        else:
            name = self._constant(value, dtype)
        return self.cast(name, dtype) if dtype is not None else name

    def array(self, value: Any) -> Array:
        """A variable, a tensor, an array or a number of Keras as an array of a dtype that a graph has. Raises
        InputError for a value that depends on the inputs.
        """
        if self.is_symbolic(value):
            raise InputError("it needs a constant there, and this value depends on the inputs")
        if isinstance(value, self.keras.Variable):
            value = value.value
        if self.keras.ops.is_tensor(value):
            array = np.asarray(self.keras.ops.convert_to_numpy(value))
        else:
            array = np.asarray(value)
        if array.dtype.kind == "f" and array.dtype.itemsize >= 4:
            return array
        if array.dtype.kind == "b" or array.dtype.name in ("int32", "int64"):
            return array
        if array.dtype.kind in "iu" and array.dtype.itemsize < 4:
            return array.astype(np.int32)
        raise InputError(f"it has a constant of the dtype {quote(array.dtype.name)}")

    def _constant(self, value: Any, dtype: DType | None) -> str:
        if id(value) in self._names:
            return self._names[id(value)]
        array = self.array(value)
        is_variable = isinstance(value, self.keras.Variable)
        if array.ndim == 0 and dtype is not None and not is_variable:
            # A number has no dtype of its own in Keras.
            if dtype in ("int32", "int64") and array.dtype.kind == "f":
                raise InputError(f"it computes the number {array} in {dtype}")
            return self.builder.constant(array.astype({"float": np.float64}.get(dtype, dtype)))
        name = ""
        if is_variable:
            name = value.path if value.path not in self.builder.types else f"{value.path}_{len(self._kept)}"
        name = self.builder.constant(array, name)
        if array.ndim:
            self._names[id(value)] = name
            self._kept.append(value)
        return name

    # Values

    def type(self, name: str) -> ValueType:
        """The type of a value."""
        return self.builder.types[name]

    def shape(self, name: str) -> Shape:
        """The shape of a value."""
        return self.builder.types[name].shape

    def rank(self, name: str) -> int:
        """The number of the axes of a value."""
        return len(self.builder.types[name].shape)

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """The name of what a new node returns."""
        return self.builder.add(operation, *inputs, **attributes)

    def nodes(self, operation: str, *inputs: str, **attributes: Any) -> list[str]:
        """The names of all that a new node returns."""
        return self.builder.node(operation_of(operation, attributes), inputs)

    def named(self, layer: Any, label: str, array: Array) -> str:
        """The name of a constant of a layer, which all its calls share."""
        key = (id(layer), label)
        if key not in self._of_layers:
            path = f"{getattr(layer, 'path', layer.name)}/{label}"
            while path in self.builder.types:
                path += "_"
            self._of_layers[key] = self.builder.constant(array, path)
        return self._of_layers[key]

    def number(self, value: float, dtype: DType = "float") -> str:
        """The name of a number."""
        numpy_dtype: Any = np.float64 if dtype == "float" else dtype
        return self.builder.constant(np.asarray(value, dtype=numpy_dtype))

    def cast(self, name: str, dtype: DType) -> str:
        """The value in a dtype."""
        if self.type(name).dtype == dtype:
            return name
        return self.add("Cast", name, to=dtype)

    def axis(self, axis: int, name: str) -> int:
        """An axis of a value, from the front. Raises InputError for one that is not there."""
        rank = self.rank(name)
        if not -rank <= axis < rank:
            raise InputError(f"it has no axis {axis}: its input has {rank} axes")
        return int(axis) % rank

    def axes(self, axis: Any, name: str) -> tuple[int, ...]:
        """Axes of a value, from the front; all for None."""
        if axis is None:
            return tuple(range(self.rank(name)))
        if isinstance(axis, Sequence):
            return tuple(self.axis(number, name) for number in axis)
        return (self.axis(axis, name),)

    def size(self, dim: Any) -> Dim:
        """A size of Keras as one of a graph."""
        if isinstance(dim, TracedSize):
            return dim.size
        return int(dim)


class TracedSize:
    """A size that depends on the inputs, as `keras.ops.shape` returns it in a trace. Arithmetic gives other sizes; what
    needs its number, such as `range` or a comparison, is refused: it would hold for inputs of one size alone.
    """

    def __init__(self, size: Dim) -> None:
        self.size = size

    def __add__(self, other: Any) -> Any:
        return traced(self.size + _dim(other))

    def __sub__(self, other: Any) -> Any:
        return traced(self.size - _dim(other))

    def __rsub__(self, other: Any) -> Any:
        return traced(_dim(other) - self.size)

    def __mul__(self, other: Any) -> Any:
        return traced(self.size * _dim(other))

    def __floordiv__(self, other: Any) -> Any:
        return traced(self.size // _dim(other))

    def __mod__(self, other: Any) -> Any:
        return traced(self.size % _dim(other))

    __radd__ = __add__
    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TracedSize) and self.size == other.size:
            return True
        if other is None or isinstance(other, str):
            return False
        self._refuse("is compared")

    def __hash__(self) -> int:
        return hash(str(self.size))

    def __lt__(self, other: Any) -> bool:
        self._refuse("is compared")

    __le__ = __gt__ = __ge__ = __lt__

    def __index__(self) -> int:
        self._refuse("is needed as a number")

    __int__ = __index__

    def __float__(self) -> float:
        self._refuse("is needed as a number")

    def __bool__(self) -> bool:
        self._refuse("is compared")

    def __repr__(self) -> str:
        return str(self.size)

    def _refuse(self, what: str) -> NoReturn:
        names = ", ".join(sorted(symbols_of(self.size)))
        raise InputError(
            f"the size {self.size} {what}, and it depends on the inputs ({names}); give the keras.Input a fixed size, "
            "or compute it without Python's if, range and int"
        )


def traced(size: Dim) -> Any:
    """A size as a trace has it: a number, or a TracedSize."""
    return size if isinstance(size, int) else TracedSize(size)


def _dim(value: Any) -> Any:
    if isinstance(value, TracedSize):
        return value.size
    if isinstance(value, int | np.integer):
        return int(value)
    raise InputError(f"a size is computed with {quote(type(value).__name__)}")
