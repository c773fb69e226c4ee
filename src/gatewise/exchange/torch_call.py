"""`Call`: one call of an operation of ATen in an exported module, with the values of the graph that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from gatewise.errors import InputError
from gatewise.exchange.torch_sizes import dim_of
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import DType
from gatewise.network.operations import operation_of
from gatewise.network.size import Dim, Shape
from gatewise.types import Array

DTYPES: dict[torch.dtype, DType] = {
    torch.float32: "float",
    torch.float64: "float",
    torch.int64: "int64",
    torch.int32: "int32",
    torch.bool: "bool",
}
"""The dtypes of values. A half precision would round the numbers, and is refused; so are bytes, which wrap around."""
_NUMPY: dict[DType, Any] = {"float": np.float64, "int64": np.int64, "int32": np.int32, "bool": np.bool_}

Value = str | tuple[str, ...]
"""The name of a value of the graph, or the names of several, of an operation that returns a list."""


def dtype_of(dtype: torch.dtype) -> DType:
    """The dtype of a graph that a dtype of torch is. Raises InputError for one that a graph does not have."""
    if dtype in DTYPES:
        return DTYPES[dtype]
    instead = "write long()"
    if dtype.is_complex:
        instead = "compute with real numbers"
    elif dtype.is_floating_point:
        instead = "write float()"
    raise InputError(f"it computes in {dtype}; a graph has float, int64, int32 and bool: {instead}")


class Call:
    """A node of an exported module. values: of the nodes before it. names: of the symbols."""

    def __init__(
        self, node: Node, builder: GraphBuilder, values: Mapping[Node, Value], names: Mapping[str, str]
    ) -> None:
        self.node = node
        self.builder = builder
        self.values = values
        self.names = names
        self.arguments: dict[str, Any] = {}
        schema: Any = node.target
        for position, argument in enumerate(schema._schema.arguments):
            if position < len(node.args) and not argument.kwarg_only:
                self.arguments[argument.name] = node.args[position]
            else:
                self.arguments[argument.name] = node.kwargs.get(argument.name, argument.default_value)

    @property
    def operation(self) -> str:
        """The name of the operation, without its namespace and overload."""
        target: Any = self.node.target
        return str(target._schema.name.partition("::")[2])

    def __getitem__(self, name: str) -> Any:
        """An argument as it stands in the call: a number, a list, a node."""
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or the default where it is None or the operation does not have it."""
        value = self.arguments.get(name)
        return default if value is None else value

    # Sizes

    def dim(self, argument: Any) -> Dim:
        """The size that an argument is. Raises InputError for one that is none."""
        if isinstance(argument, bool) or not isinstance(argument, int | Node):
            raise InputError(f"{argument} is no size")
        if isinstance(argument, int):
            return argument
        value = argument.meta.get("val")
        if isinstance(value, int):
            return value
        if not isinstance(value, torch.SymInt):
            raise InputError(f"{argument.name} is no size")
        return dim_of(value.node.expr, self.names)

    def dims(self, name: str) -> Shape:
        """The sizes in a list of the arguments."""
        return tuple(self.dim(size) for size in self[name])

    def shape_of(self, name: str) -> Shape:
        """The shape of the value that an argument is."""
        return self.type_of(self.value(name))

    def type_of(self, value: str) -> Shape:
        """The shape of a value of the graph."""
        return self.builder.types[value].shape

    def rank(self, name: str) -> int:
        """How many axes the value of an argument has."""
        return len(self.shape_of(name))

    def axis(self, name: str, rank: int) -> int:
        """An axis of the arguments, counted from the front."""
        return self.axis_of(self[name], rank)

    def axis_of(self, axis: int, rank: int) -> int:
        """An axis counted from the front. A value without axes has axis 0 in torch."""
        return axis % max(rank, 1)

    def axes(self, name: str, rank: int) -> tuple[int, ...]:
        """Axes of the arguments, all where there are none."""
        axes = self[name]
        if axes is None or axes == []:
            return tuple(range(rank))
        if isinstance(axes, int):
            axes = [axes]
        return tuple(self.axis_of(axis, rank) for axis in axes)

    # Values

    @property
    def output(self) -> Any:
        """What torch knows of the result: a tensor without numbers."""
        return self.node.meta["val"]

    @property
    def dtype(self) -> DType:
        """Of the result."""
        return dtype_of(self.output.dtype)

    @property
    def output_shape(self) -> Shape:
        """Of the result, as torch has it."""
        return self.shape_in_torch(self.output)

    def shape_in_torch(self, tensor: Any) -> Shape:
        """The shape of a tensor without numbers."""
        return tuple(self.dim_in_torch(size) for size in tensor.shape)

    def dim_in_torch(self, size: Any) -> Dim:
        """The size that an int or a SymInt is."""
        if isinstance(size, int):
            return size
        return dim_of(size.node.expr, self.names)

    def value(self, name: str, dtype: DType | None = None) -> str:
        """The value of the graph that an argument is, in a dtype."""
        return self.value_of(self[name], dtype)

    def value_of(self, argument: Any, dtype: DType | None = None) -> str:
        """The value of the graph that a tensor, a number or a size is, in a dtype. A number without a dtype gets that
        of the result.
        """
        if isinstance(argument, Node) and argument in self.values:
            value = self.values[argument]
            if not isinstance(value, str):
                raise InputError(f"{argument.name} is a list of values")
            return value if dtype is None else self.cast(value, dtype)
        if isinstance(argument, Node):
            return self._number(argument, dtype or self.dtype)
        return self.constant(argument, dtype or self.dtype)

    def optional(self, name: str, dtype: DType | None = None) -> str:
        """The value that an argument is, "" where it is None."""
        if self.arguments.get(name) is None:
            return ""
        return self.value(name, dtype)

    def list_of(self, name: str, dtype: DType | None = None) -> list[str]:
        """The values in a list of the arguments."""
        return [self.value_of(argument, dtype) for argument in self[name]]

    def constant(self, number: Any, dtype: DType) -> str:
        """A number, or an array of them, in a dtype."""
        array = np.asarray(number)
        if array.dtype.kind not in "biuf":
            raise InputError(f"{number!r} is no number")
        return self.builder.constant(array.astype(_NUMPY[dtype]))

    def cast(self, value: str, dtype: DType) -> str:
        """A value in a dtype."""
        if self.builder.types[value].dtype == dtype:
            return value
        return self.add("Cast", value, to=dtype)

    def promoted(self, *names: str) -> list[str]:
        """Arguments in the dtype that torch gives them together, whatever that of the result is."""
        operands = []
        for name in names:
            argument = self[name]
            if isinstance(argument, Node):
                argument = argument.meta["val"]
            # A number of sizes has the weight of a number.
            if isinstance(argument, torch.SymInt):
                argument = 1
            if isinstance(argument, torch.SymFloat):
                argument = 1.0
            operands.append(argument)
        dtype = dtype_of(torch.result_type(*operands))
        return [self.value(name, dtype) for name in names]

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """The value of a new node."""
        return self.builder.add(operation, *inputs, **attributes)

    def nodes(self, operation: str, *inputs: str, **attributes: Any) -> list[str]:
        """The values of a new node with several outputs."""
        return self.builder.node(operation_of(operation, attributes), inputs)

    def slice(self, value: str, axis: int, start: Dim, end: Dim, step: int = 1) -> str:
        """The rows of an axis from start to before end."""
        return self.add("Slice", value, starts=(start,), ends=(end,), axes=(axis,), steps=(step,))

    def expand(self, value: str, shape: Shape) -> str:
        """A value broadcast to a shape."""
        if self.type_of(value) == shape:
            return value
        return self.add("Expand", value, shape=shape)

    def reshape(self, value: str, shape: Shape) -> str:
        """A value in another shape."""
        if self.type_of(value) == shape:
            return value
        return self.add("Reshape", value, shape=shape)

    def _number(self, node: Node, dtype: DType) -> str:
        """A number that is computed of sizes, such as the root of a number of steps."""
        value = node.meta.get("val")
        if isinstance(value, bool | int | float):
            return self.constant(value, dtype)
        if isinstance(value, torch.SymInt):
            return self.cast(self.add("Sizes", sizes=(self.dim(node),), scalar=True), dtype)
        name = getattr(node.target, "__name__", str(node.target))
        if name not in _SCALARS:
            raise InputError(f"the number {node.name} is computed by {name}, which is not read here")
        arguments = [self.value_of(argument, "float") for argument in node.args]
        return self.cast(self.add(_SCALARS[name], *arguments), dtype)


_SCALARS = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "truediv": "Div",
    "sym_float": "Identity",
    "pow": "Pow",
    "neg": "Neg",
    "sym_sqrt": "Sqrt",
    "_sym_sqrt": "Sqrt",
}
"""What Python computes with numbers of sizes, as operations on values without axes."""


def array_of(tensor: torch.Tensor) -> Array:
    """The numbers of a parameter, a buffer or a constant."""
    return np.array(tensor.detach().cpu().numpy())


Rule = Callable[[Call], Value]
"""What an operation of ATen is in a graph: it adds nodes, and returns the names of the results."""
