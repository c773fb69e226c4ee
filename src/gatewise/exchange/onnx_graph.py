"""An ONNX file as a graph, node by node. No value is looked at.

Exporters compute the sizes of shapes with nodes of their own: Shape, Gather, Concat, Mul. The reader computes these
once, with the sizes of the inputs as symbols (`gatewise.network.size`). What is left are the operations of the network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, get_type_hints

import numpy as np

from gatewise.errors import InputError, quote, required
from gatewise.exchange.onnx_limits import check_self_contained
from gatewise.exchange.onnx_recurrence import GATES, RecurrentReader
from gatewise.exchange.onnx_sizes import MOST_SIZES, SIZE_RULES, Sized, Undecided
from gatewise.members.onnx.graph import array_of
from gatewise.network.graph import MAX_NODES, Graph, Guard
from gatewise.network.graph_builder import Folding, GraphBuilder
from gatewise.network.operation import Operation, ValueType
from gatewise.network.operations import NAMES, operation_named, operation_of
from gatewise.network.size import Dim, check_int64, product, symbol
from gatewise.types import Array

MAX_COMPUTED = 1 << 23  # numbers that nodes of constants return while a file is read, besides as many as it stores
LEAST_OPSET = 13  # since then the axes of Squeeze and the like are inputs, and Softmax has one axis
_DTYPES = {1: "float", 11: "float", 7: "int64", 6: "int32", 9: "bool"}
"""The dtypes of values by their numbers in TensorProto. float16 and bfloat16 are refused: they would be rounded."""
_OWN = {"Recurrent", "Sizes"}  # operations of gatewise that are no operators of ONNX
_MOST = (1 << 63) - 1  # of an int64
_HALF = ("float16", "bfloat16")


def graph_of(model: Any, where: str) -> Graph:
    """The graph of a ModelProto. where: names the file. Raises InputError naming the node that is not read, and
    ModelFileError for damaged constants.
    """
    check_self_contained(model, where)
    if len(model.graph.node) > MAX_NODES:
        raise InputError(f"{where}: it has {len(model.graph.node):,} nodes, more than {MAX_NODES:,}")
    versions = [opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")]
    opset = max(versions, default=0)
    if opset < LEAST_OPSET:
        raise InputError(f"{where}: its opset is {opset}; export the network with opset {LEAST_OPSET} or later")
    reader = _Reader(opset, where)
    reader.constants(model.graph)
    for value in model.graph.input:
        if value.name not in reader.builder.constants:
            reader.input(value)
    reader.nodes(model.graph)
    guards = [Guard(fewest, "<=", size) for size, fewest in reader.fewest_rows.items()]
    return reader.builder.graph([reader.output(value.name) for value in model.graph.output], guards)


class _Reader:
    """One graph of a file. outer: the reader of the graph around it, for the body of a loop."""

    def __init__(self, opset: int, where: str, outer: _Reader | None = None) -> None:
        self.opset = opset
        self.where = where
        self.outer = outer
        folding = Folding(MAX_COMPUTED) if outer is None else outer.builder.folding
        self.builder: GraphBuilder = GraphBuilder(folding)
        self.sized: dict[str, Sized] = {}
        self.names: dict[str, str] = {}
        """The values of the builder by their names in the file, where these differ: what Identity returns."""
        self.read: set[str] = set()
        """The values that a node reads, and the outputs."""
        self.fewest_rows: dict[Dim, int] = {}
        """Of sizes: how many rows the nodes Gather read at least."""

    def constants(self, graph: Any) -> None:
        """Add those that a graph stores."""
        self.builder.reserved |= {name for node in graph.node for name in node.output}
        for tensor in graph.initializer:
            self._add_stored(array_of(tensor, self.where), tensor.name)

    def _add_stored(self, array: Array, name: str) -> None:
        self.builder.constant(_plain(array), name)
        self.builder.folding.numbers += array.size

    def nodes(self, graph: Any) -> None:
        """Add those of a graph. Raises InputError naming the node that is not read."""
        read = _names_read(graph)
        self.read |= read
        self.builder.reserved |= read  # those of the graph around it are added when a node reads them
        around = self.builder.origin
        for number, node in enumerate(graph.node, 1):
            own = f"{node.op_type} {quote(node.name)}, node {number} of {len(graph.node)}"
            self.builder.origin = f"{around}: {own}" if around else own
            try:
                self._node(node)
            except InputError as error:
                raise InputError(f"{own}: {error}" if around else f"{self.where}: {own}: {error}") from None
        self.builder.origin = around

    def output(self, name: str) -> str:
        """The name of an output, which is that of the file."""
        value = self.value(name)
        if value == name:
            return name
        return self.builder.node(operation_of("Identity", {}), (value,), (name,))[0]

    def input(self, value: Any) -> None:
        """An input of the network. An axis without a name or a number has a symbol of its own."""
        tensor = value.type.tensor_type
        if tensor.elem_type not in _DTYPES:
            reason = "has a dtype that is not read: export the network in float32 with ids of int64"
            raise InputError(f"{self.where}: the input {quote(value.name)} {reason}")
        if not tensor.HasField("shape"):
            raise InputError(f"{self.where}: how many axes the input {quote(value.name)} has is not known")
        shape: list[Dim] = []
        for axis, dim in enumerate(tensor.shape.dim):
            if dim.HasField("dim_value") and dim.dim_value >= 0:
                shape.append(dim.dim_value)
            else:
                shape.append(symbol(_identifier(dim.dim_param or f"{value.name}_{axis}")))
        dtype: Any = _DTYPES[tensor.elem_type]
        self.builder.input(value.name, ValueType(dtype, tuple(shape)))

    def _node(self, node: Any) -> None:
        if node.domain not in ("", "ai.onnx"):
            raise InputError(f"it is of the domain {quote(node.domain)}, and operations of ONNX are read")
        attributes = self._attributes(node)
        if node.op_type == "If":
            self._branch(node, attributes)
        elif node.op_type == "Scan":
            self._scan(node, attributes)
        elif node.op_type == "Loop":
            self._loop(node, attributes)
        elif node.op_type == "Constant":
            self._add_stored(np.asarray(next(iter(attributes.values()))), node.output[0])
        elif node.op_type == "Identity":
            self.names[node.output[0]] = self.names.get(node.input[0], node.input[0])
        elif self._is_of_sizes(node) and self._add_sizes(node, attributes):
            pass
        elif node.op_type in GATES:
            RecurrentReader(self.builder, node, [self.value(name) for name in node.input]).read(attributes)
        else:
            self._operation(node, attributes)

    def _attributes(self, node: Any) -> dict[str, Any]:
        onnx = required("onnx", "onnx", "the ONNX format")
        attributes: dict[str, Any] = {}
        for attribute in node.attribute:
            if attribute.HasField("t"):
                attributes[attribute.name] = array_of(attribute.t, self.where)
            else:
                attributes[attribute.name] = onnx.helper.get_attribute_value(attribute)
        return {**self._float_defaults(node), **attributes}

    def _float_defaults(self, node: Any) -> dict[str, float]:
        """The floating-point defaults of the attributes, which are float32 in ONNX: alpha 0.01 is 0.0099999998."""
        onnx = required("onnx", "onnx", "the ONNX format")
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opset, "")
        except onnx.defs.SchemaError:
            raise InputError(f"opset {self.opset} of ONNX has no such operator") from None
        defaults = {}
        for name, attribute in schema.attributes.items():
            if attribute.default_value.type == onnx.AttributeProto.FLOAT:
                defaults[name] = attribute.default_value.f
        return defaults

    def value(self, name: str) -> str:
        """The name in the builder of a value of the file. Sizes that a node reads as numbers get a node `Sizes`."""
        if not name:
            return ""
        name = self.names.get(name, name)
        if name in self.builder.types:
            return name
        if name in self.sized:
            sizes, is_scalar = self.sized[name]
            self.builder.node(operation_of("Sizes", {"sizes": sizes, "scalar": is_scalar}), (), (name,))
        elif self.outer is not None:
            self._add_outer(name)
        return name

    def _add_outer(self, name: str) -> None:
        """A value of the graph around this one, where it has such a name, becomes an input or a constant of the same
        name.
        """
        assert self.outer is not None
        value = self.outer.value(name)
        if value in self.outer.builder.constants:
            self.builder.constant(self.outer.builder.constants[value], name)
        elif value in self.outer.builder.types:
            self.builder.input(name, self.outer.builder.types[value])

    def _constant(self, name: str) -> Array:
        """A constant of the file. Raises InputError for a value that depends on the inputs."""
        name = self.value(name)
        if name not in self.builder.constants:
            raise InputError(f"{quote(name)} depends on the inputs, and must be a constant")
        return self.builder.constants[name]

    def _operation(self, node: Any, attributes: dict[str, Any]) -> None:
        """An operation of the graph: what it reads as a field becomes an attribute."""
        if node.op_type not in NAMES or node.op_type in _OWN:
            raise InputError("gatewise does not compute this operation")
        kind = operation_named(node.op_type)
        hints = _hints(node.op_type)
        values = kind.value_inputs()
        inputs = []
        for number, name in enumerate(node.input):
            formal = kind.formal[min(number, len(kind.formal) - 1)]
            if formal in values:
                inputs.append(self.value(name))
            elif name:
                attributes[formal] = self._field(name, hints[formal])
        if node.op_type == "Split" and not {"split", "num_outputs"}.intersection(attributes):
            attributes["num_outputs"] = len(node.output)  # what opset 13 leaves out
        if node.op_type == "GroupNormalization" and self.opset < 21:
            inputs = self._per_channel(inputs, attributes)
        self._add(node, operation_of(node.op_type, attributes), inputs)
        if node.op_type == "Gather" and self.outer is None:
            self._need_rows(inputs[0], inputs[1], attributes.get("axis", 0))

    def _need_rows(self, data: str, indices: str, axis: int) -> None:
        """Note how many rows constant indices need. ONNX runs each node, also one on which no output depends: there an
        input with fewer rows is refused too.
        """
        size = self.builder.types[data].shape[axis]
        rows = self.builder.constants.get(indices)
        if rows is None or not rows.size or isinstance(size, int):
            return
        fewest = max(int(rows.max()) + 1, -int(rows.min()))
        if fewest > 1:
            self.fewest_rows[size] = max(fewest, self.fewest_rows.get(size, 0))

    def _per_channel(self, inputs: list[str], attributes: Mapping[str, Any]) -> list[str]:
        """GroupNormalization had a scale and a bias per group before opset 21: each is repeated for its channels."""
        x, *per_group = inputs
        channels = self.builder.types[x].shape[1]
        groups = attributes.get("num_groups")
        if not isinstance(channels, int) or not isinstance(groups, int) or groups < 1:
            raise InputError("the number of its channels depends on the inputs")
        rows = self.builder.constant(np.repeat(np.arange(groups), channels // groups))
        return [x, *(self.builder.add("Gather", value, rows, axis=0) for value in per_group)]

    def _field(self, name: str, hint: Any) -> Any:
        """A value that is a field of its operation, of the type `hint`: sizes where the field holds them, else a
        constant.
        """
        sized = self._sizes(name) if "Size" in str(hint) else None
        if sized is None:
            return self._constant(name)
        if hint == Dim:
            [size] = sized.sizes  # a vector of one, as K of TopK, or a number
            return size
        return sized.sizes

    def _add(self, node: Any, operation: Operation, inputs: list[str]) -> None:
        names = list(node.output)
        # What a graph does not compute, such as the mask of Dropout, is left out where nothing reads it.
        while len(names) > 1 and names[-1] not in self.read:
            names.pop()
        self.builder.node(operation, inputs, names, name=node.name or node.output[0])

    # Graphs inside of the graph

    def _branch(self, node: Any, attributes: Mapping[str, Any]) -> None:
        """If: the nodes of the branch that is taken, whose values get the name of the node in front."""
        branch = attributes["then_branch" if self._condition(node.input[0]) else "else_branch"]
        branch = _renamed(branch, f"{node.name or node.output[0]}/")
        self.constants(branch)
        self.nodes(branch)
        for name, value in zip(node.output, branch.output, strict=True):
            self.names[name] = self.names.get(value.name, value.name)

    def _condition(self, name: str) -> bool:
        """Which branch an If takes. Raises InputError where that depends on the inputs."""
        sized = self._sizes(name)
        if sized is not None and all(isinstance(size, int) for size in sized.sizes):
            return bool(sized.sizes[0])
        if sized is not None:
            raise InputError(f"its condition depends on the sizes of the inputs: {sized.sizes[0]}")
        array = self.builder.constants.get(self.value(name))
        if array is None or array.size != 1:
            raise InputError("its condition depends on the inputs")
        return bool(array.item())

    def _scan(self, node: Any, attributes: Mapping[str, Any]) -> None:
        """Scan: a Loop. A sequence that is read from its end is reversed before, and an output after."""
        count = attributes["num_scan_inputs"]
        values = [self.value(name) for name in node.input]
        states = values[: len(values) - count]
        sequences = values[len(values) - count :]
        outputs = len(node.output) - len(states)
        axes = list(attributes.get("scan_input_axes", [0] * count))
        for number, backwards in enumerate(attributes.get("scan_input_directions", [0] * count)):
            if backwards:
                sequences[number] = self._reversed(sequences[number], axes[number])
        self._add_loop(
            node,
            attributes["body"],
            states,
            sequences,
            axes,
            list(attributes.get("scan_output_axes", [0] * outputs)),
            list(attributes.get("scan_output_directions", [0] * outputs)),
        )

    def _loop(self, node: Any, attributes: Mapping[str, Any]) -> None:
        """Loop of a number of steps that the sizes say: a Loop on the numbers of the steps."""
        count, condition, *initial = node.input
        sized = self._sizes(count) if count else None
        if sized is None:
            raise InputError("how many steps it runs depends on more than the sizes of the inputs")
        if condition and not self._condition(condition):
            raise InputError("it does not run a step")
        steps = self.builder.add("Range", start=0, limit=sized.sizes[0], delta=1)
        body = type(attributes["body"])()
        body.CopyFrom(attributes["body"])
        goes_on = body.input[1].name
        # The order of Scan: the states, then the number of the step, which is the row of a sequence.
        of_states = list(body.input)[2:]
        first = body.input[0]
        del body.input[:]
        body.input.extend([*of_states, first])
        condition_after = body.output[0].name
        del body.output[0]
        states = [self.value(name) for name in initial]
        outputs = len(node.output) - len(states)
        self._add_loop(node, body, states, [steps], [0], [0] * outputs, [0] * outputs, goes_on, condition_after)

    def _add_loop(
        self,
        node: Any,
        body: Any,
        states: list[str],
        sequences: list[str],
        axes: list[int],
        output_axes: list[int],
        directions: list[int],
        goes_on: str = "",
        condition_after: str = "",
    ) -> None:
        """A Loop of states and sequences. directions: whether the rows of an output are in reverse order. goes_on: the
        condition that the body reads, which must be true, and so must be `condition_after`, the one that it returns.
        """
        builder = self.builder
        reader = _Reader(self.opset, self.where, self)
        reader.builder.origin = builder.origin
        reader.constants(body)
        if goes_on:
            reader.builder.constant(np.array(True), goes_on)
        rows = []
        for value, axis in zip(sequences, axes, strict=True):
            value_type = builder.types[value]
            axis = axis % len(value_type.shape)
            rows.append(ValueType(value_type.dtype, (*value_type.shape[:axis], *value_type.shape[axis + 1 :])))
        steps = builder.types[sequences[0]].shape[axes[0]]
        types = [*(builder.types[state] for state in states), *rows]
        for parameter, value_type in zip(body.input, types, strict=True):
            reader.builder.input(parameter.name, value_type)
        reader.nodes(body)
        if condition_after and not reader.condition_holds(condition_after):
            raise InputError("whether it goes on depends on the inputs")
        inside = reader.builder.graph([reader.output(value.name) for value in body.output])
        others = [name for name in inside.inputs if name not in {value.name for value in body.input}]
        lifted = {name: builder.constant(array) for name, array in inside.constants.items()}
        parameters = {**inside.inputs, **{name: inside.types[name] for name in lifted}}
        graph = Graph(parameters, {}, inside.nodes, inside.outputs)
        operation = operation_of(
            "Loop", {"body": graph, "steps": steps, "axes": tuple(axes), "output_axes": tuple(output_axes)}
        )
        names = list(node.output)
        backwards = [False] * len(states) + [bool(direction) for direction in directions]
        shown = ["" if back else name for name, back in zip(names, backwards, strict=True)]
        read = [*states, *sequences, *(self.value(name) for name in others), *lifted.values()]
        results = builder.node(operation, read, shown, name=node.name or next(filter(None, names)))
        for number, name in enumerate(names):
            if backwards[number] and name:
                axis = output_axes[number - len(states)]
                builder.node(_flip(axis), (results[number],), (name,))

    def condition_holds(self, name: str) -> bool:
        """Whether a value is the constant True."""
        array = self.builder.constants.get(self.value(name))
        return array is not None and bool(np.all(array))

    def _reversed(self, value: str, axis: int) -> str:
        return self.builder.node(_flip(axis), (value,))[0]

    # Sizes

    def _sizes(self, name: str) -> Sized | None:
        """The sizes that a value is; None where it is none."""
        name = self.names.get(name, name)
        if name in self.sized:
            return self.sized[name]
        if name not in self.builder.types and self.outer is not None:
            return self.outer._sizes(name)
        array = self.builder.constants.get(name)
        if array is None or array.dtype.kind != "i" or array.ndim > 1 or array.size > MOST_SIZES:
            return None
        return Sized(tuple(int(number) for number in np.ravel(array)), array.ndim == 0)

    def _is_of_sizes(self, node: Any) -> bool:
        """Whether a node computes sizes: Shape and Size, and what reads sizes alone, one of which is no constant."""
        if node.op_type in ("Shape", "Size"):
            return True
        return node.op_type in SIZE_RULES and any(self._is_sized(name) for name in node.input if name)

    def _is_sized(self, name: str) -> bool:
        name = self.names.get(name, name)
        if name in self.sized:
            return True
        return self.outer is not None and name not in self.builder.types and self.outer._is_sized(name)

    def _add_sizes(self, node: Any, attributes: Mapping[str, Any]) -> bool:
        """Compute the sizes of a node. False where they are no vector of sizes, or depend on more than the sizes of the
        inputs: then the node stays an operation.
        """
        if node.op_type in ("Shape", "Size"):
            shape = self.builder.types[self.value(node.input[0])].shape
            if node.op_type == "Size":
                self.sized[node.output[0]] = Sized((product(shape),), True)
            else:
                start = attributes.get("start", 0)
                end = attributes.get("end", len(shape))
                self.sized[node.output[0]] = Sized(shape[start:end])
            return True
        values = [self._sizes(name) if name else None for name in node.input]
        if any(name and sized is None for name, sized in zip(node.input, values, strict=True)):
            return False
        try:
            computed = SIZE_RULES[node.op_type](attributes, *values)
        except Undecided:
            return False
        for size in computed.sizes:
            check_int64(size)
        if len(computed.sizes) > MOST_SIZES:
            return False
        self.sized[node.output[0]] = computed
        return True


@cache
def _hints(name: str) -> dict[str, Any]:
    """The types of the fields of an operation."""
    return get_type_hints(operation_named(name))


def _plain(array: Array) -> Array:
    """An array of a dtype of a graph. Refuses numbers that would be rounded."""
    if array.dtype.name in ("float32", "float64", "int64", "int32", "bool"):
        return array
    advice = "; export the network in float32" if array.dtype.name in _HALF else ""
    raise InputError(f"it has a constant of the dtype {array.dtype}{advice}")


def _flip(axis: int) -> Operation:
    """The rows of an axis in reverse order."""
    return operation_of("Slice", {"starts": (-1,), "ends": (-_MOST,), "axes": (axis,), "steps": (-1,)})


def _names_read(graph: Any) -> set[str]:
    """What the nodes of a graph read, those of the graphs inside of it too, and its outputs."""
    names = {value.name for value in graph.output}
    for node in graph.node:
        names.update(node.input)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= _names_read(attribute.g)
    return names


def _renamed(graph: Any, prefix: str) -> Any:
    """A copy of a GraphProto whose own values have a prefix: the branches of an If may have the same names."""
    copy = type(graph)()
    copy.CopyFrom(graph)
    own = {tensor.name for tensor in graph.initializer} | {name for node in graph.node for name in node.output if name}
    _rename(copy, {name: prefix + name for name in own})
    return copy


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Rename what the nodes of a graph, and those of the graphs inside of it, read and return."""
    for named in (*graph.initializer, *graph.output):
        named.name = names.get(named.name, named.name)
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, names)


def _identifier(name: str) -> str:
    """A name of a size as a symbol has it."""
    identifier = re.sub(r"\W", "_", name, flags=re.ASCII)
    if identifier.isidentifier():
        return identifier
    return f"n{identifier}"
