"""A graph of gatewise in ONNX, node by node: `GraphWriter`.

Most operations are written as they are, because they have the names and the semantics of the specification: what is a
field here and an input there, such as the shape of Reshape, becomes a constant or is computed from the sizes of the
inputs. `gatewise.members.onnx.operations` has the others, and `write_graph`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from gatewise.errors import InputError, required
from gatewise.members.onnx.graph import OPSET, Graph, Value, ints
from gatewise.members.onnx.sizes import Sizes
from gatewise.network.graph import Graph as Network
from gatewise.network.graph import Guard, Node
from gatewise.network.operation import DType, Operation, ValueType
from gatewise.network.size import symbols_of
from gatewise.network.trainable_graph import weights_of
from gatewise.storage.compact import storage_table
from gatewise.types import Array

_DTYPES: dict[DType, Any] = {"float": np.float32, "int64": np.int64, "int32": np.int32, "bool": np.bool_}
_ANY_FLOAT = "\0"  # of a value inside of a Scan, which is floating-point
_READS_VALUES = {"Gather", "Loop", "Recurrent"}
"""Operations whose functions read the values of the node themselves: the weights of a recurrence are stored in another
order of the gates, and a table in another dtype. Those of the graph would be stored too.
"""
_SCALARS = {("CumSum", "axis"), ("Trilu", "k")}
"""Operations and fields that are inputs without axes in ONNX. All others are vectors."""

_COMPARISONS: dict[str, Callable[[GraphWriter, Value, Value], str]] = {
    "==": lambda writer, left, right: writer.onnx.add("Equal", left, right),
    "!=": lambda writer, left, right: writer.onnx.add("Not", writer.onnx.add("Equal", left, right)),
    "<=": lambda writer, left, right: writer.onnx.add("LessOrEqual", left, right),
    "<": lambda writer, left, right: writer.onnx.add("Less", left, right),
}


class GraphWriter:
    """The nodes of `network` are added to the ONNX graph `onnx`. inputs: the values there that stand for the inputs of
    the network. writers: the functions of those operations that are not written as they are. prefix: of the names of
    all values.

    A run with sizes that a guard excludes fails in a node whose name says the guard: ONNX has no other way to refuse.
    """

    def __init__(
        self,
        onnx: Graph,
        network: Network,
        inputs: Mapping[str, str],
        writers: Mapping[str, Callable[..., list[str]]],
        prefix: str = "",
    ) -> None:
        self.onnx: Graph = onnx
        self._writers = writers
        self.network = network
        self.prefix = prefix
        self.node = Node("", Operation(), (), ())
        self.shared: dict[tuple[str, ...], Any] = {}
        """What the functions of several nodes have in common, such as the weights of two recurrences."""
        onnx.reserved |= {prefix + name for name in network.types}
        axes: dict[str, tuple[str, int]] = {}
        for name, value_type in network.inputs.items():
            for axis, dim in enumerate(value_type.shape):
                for symbol in symbols_of(dim):
                    if str(dim) == symbol:
                        axes.setdefault(symbol, (inputs[name], axis))
        self.sizes = Sizes(onnx, axes)
        self._values = dict(inputs)
        self._around: dict[str, tuple[GraphWriter, str]] = {}
        self._producers = {name: node for node in network.nodes for name in node.outputs}
        self._stored = self._matrices()
        self._read = {name for node in network.nodes for name in node.inputs} | set(network.outputs)

    def write(self) -> list[str]:
        """Add all nodes. Returns the values that are the outputs of the network. Raises InputError naming a node that
        cannot be written. A function returns "" for a value that nothing reads.
        """
        for guard in self.network.guards:
            self._guard(guard)
        for node in self.network.nodes:
            self.node = node
            self._node(node)
        return [self.value(name) for name in self.network.outputs]

    def inside(
        self, onnx: Graph, network: Network, inputs: Mapping[str, str], around: Mapping[str, str], prefix: str
    ) -> GraphWriter:
        """A writer of a graph inside of this one, whose sizes are those of this one. around: the values of this network
        that are its other inputs, by their names there.
        """
        writer = GraphWriter(onnx, network, {**inputs, **dict.fromkeys(around, "")}, self._writers, prefix)
        for name in around:
            del writer._values[name]
        writer.sizes = self.sizes
        writer._around = {name: (self, value) for name, value in around.items()}
        return writer

    def value(self, name: str) -> str:
        """The value in the ONNX graph of a value of the network. A constant is added when it is read first."""
        if not name:
            return ""
        if name not in self._values and name in self._around:
            writer, value = self._around[name]
            self._values[name] = writer.value(value)
        if name not in self._values:
            array = self.network.constants[name].astype(self.dtype(name))
            keep = self.onnx.matrix if name in self._stored else self.onnx.keep_as
            self._values[name] = keep(self.prefix + name, array)
        return self._values[name]

    def _matrices(self) -> Collection[str]:
        """The names of the weights that the file has in its smaller dtype, as `Model.save` stores them."""
        if self.onnx.storage == "float32":
            return ()
        constants = self.network.constants
        return storage_table({name: constants[name] for name in weights_of(self.network)}, self.onnx.storage)

    def is_written(self, name: str) -> bool:
        """Whether a value of the network can be read by now. One that is left out can."""
        return not name or name in self._values or name in self._around or name in self.network.constants

    def is_read(self, name: str) -> bool:
        """Whether a node of the network reads a value, or it is an output."""
        return name in self._read

    def own_name(self, name: str) -> str:
        """A name in the ONNX graph that no value of the network has."""
        while name in self.network.types:
            name += "_"
        return self.prefix + name

    def type(self, name: str) -> ValueType:
        """The type of a value of the network."""
        return ValueType("float", ()) if name == _ANY_FLOAT else self.network.types[name]

    def dtype(self, name: str) -> Any:
        """The NumPy dtype in the ONNX graph of a value of the network."""
        return numpy_dtype(self.type(name).dtype)

    def constant(self, name: str) -> Array | None:
        """The array of a constant of the network, None for another value."""
        if name in self._around:
            writer, value = self._around[name]
            return writer.constant(value)
        return self.network.constants.get(name)

    def producer(self, name: str) -> Node | None:
        """The node that returns a value, None for an input or a constant."""
        return self._producers.get(name)

    def operation(self, operation: Operation, *inputs: Value) -> list[str]:
        """Add one operation as it is. inputs: its values, "" for one that is left out. Returns its outputs."""
        schema = _schema(operation)
        attributes: dict[str, Any] = {}
        written: list[Value] = []
        rest = list(inputs)
        known = {attribute.name: attribute for attribute in fields(operation)}  # type: ignore[arg-type]  # a dataclass
        for formal in operation.formal:
            if formal not in known:
                taken = len(rest) if operation.variadic else min(1, len(rest))
                written += rest[:taken] or [""]
                del rest[:taken]
            elif formal not in schema.attributes:
                written.append(self._field(operation, formal))
        for name, attribute in known.items():
            value = getattr(operation, name)
            if name in schema.attributes:
                if value is not None and not _is_default(schema, name, value):
                    attributes[name] = value
            elif name not in operation.formal and value != attribute.default:
                operation.refuse(f"{name} = {value} cannot be written with opset {OPSET} of ONNX")
        while written and isinstance(written[-1], str) and written[-1] == "":
            written.pop()
        count = len(self.node.outputs) if self.node.operation.name() == operation.name() else 1
        return self.onnx.add_several(operation.name(), count, *written, **attributes)

    def elementwise(self, operation: Operation, x: str) -> str:
        """Add an operation on each number of one floating-point value, such as an activation."""
        write = self._writers.get(operation.name())
        if write is None:
            return self.operation(operation, x)[0]
        return write(self, Node("", operation, (_ANY_FLOAT,), (_ANY_FLOAT,)), x)[0]

    def _field(self, operation: Operation, name: str) -> Value:
        """A field that is an input in ONNX."""
        value = getattr(operation, name)
        if value is None:
            return ""
        if (operation.name(), name) in _SCALARS:
            return self.sizes.scalar(value)
        return self.sizes.vector(value if isinstance(value, tuple) else (value,))

    def _node(self, node: Node) -> None:
        since = self.onnx.node_count
        write = self._writers.get(node.operation.name())
        try:
            if write is not None and node.operation.name() in _READS_VALUES:
                outputs = write(self, node)
            elif write is None:
                outputs = self.operation(node.operation, *map(self.value, node.inputs))
            else:
                outputs = write(self, node, *map(self.value, node.inputs))
        except InputError as error:
            raise InputError(f"{node.shown}: {error}") from None
        for name, output in zip(node.outputs, outputs, strict=True):
            if not output:
                continue  # nothing reads it
            self._values[name] = self.prefix + name
            self.onnx.give_name(output, self.prefix + name, since)

    def _guard(self, guard: Guard) -> None:
        """The first input is read through a node that fails where the guard does not hold: there is no element 1 of an
        axis of size 1.
        """
        since = self.onnx.node_count
        left = self.sizes.scalar(guard.left)
        right = self.sizes.scalar(guard.right)
        fails = self.onnx.cast(self.onnx.add("Not", _COMPARISONS[guard.relation](self, left, right)), np.int64)
        name = next(iter(self.network.inputs))
        read = self.onnx.add("Gather", self.onnx.add("Unsqueeze", self.value(name), ints(0)), fails, axis=0)
        checked = f"{self.prefix}{name}, for sizes with {guard}"
        self.onnx.give_name(read, checked, since)
        self._values[name] = checked


def numpy_dtype(dtype: DType) -> Any:
    """Of a value in ONNX."""
    return np.dtype(_DTYPES[dtype])


def _schema(operation: Operation) -> Any:
    """The definition of an operator. Raises InputError for one that the opset does not have."""
    onnx = required("onnx", "onnx", "the ONNX format")
    try:
        return onnx.defs.get_schema(operation.name(), OPSET, "")
    except onnx.defs.SchemaError:
        operation.refuse(f"opset {OPSET} of ONNX has no such operator")


def _is_default(schema: Any, name: str, value: Any) -> bool:
    """Whether an attribute may be left out."""
    helper = required("onnx", "onnx", "the ONNX format").helper
    default = schema.attributes[name].default_value
    if not default.name:
        return False
    known = helper.get_attribute_value(default)
    known = known.decode() if isinstance(known, bytes) else known
    return type(known) is type(value) and known == (np.float32(value) if isinstance(value, float) else value)


def written_inputs(node: Node, inputs: Sequence[str]) -> dict[str, str]:
    """The values that a node reads by their formal names; "" for one that is left out."""
    names = node.operation.value_inputs()
    return dict(zip(names, (*inputs, *("",) * len(names)), strict=False))
