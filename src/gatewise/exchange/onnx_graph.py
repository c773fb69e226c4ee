"""An ONNX file as a graph, node by node. No value is looked at.

Exporters compute the sizes of shapes with nodes of their own: Shape, Gather, Concat, Mul. The reader computes these
once, with the sizes of the inputs as symbols (`gatewise.network.size`). What is left are the operations of the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_type_hints

import numpy as np

from gatewise.errors import InputError, quote, required
from gatewise.members.onnx.graph import array_of
from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Operation, ValueType
from gatewise.network.operations import NAMES, operation_named, operation_of
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import Dim, Size, at_least, divided, maximum, minimum, remainder, symbol
from gatewise.types import Array

LEAST_OPSET = 13  # since then the axes of Squeeze and the like are inputs, and Softmax has one axis
_DTYPES = {1: "float", 11: "float", 7: "int64", 6: "int32", 9: "bool"}
"""The dtypes of values by their numbers in TensorProto. float16 and bfloat16 are refused: they would be rounded."""
_BOOL = 9
_INTEGERS = (6, 7)

_MOST_SIZES = 64  # of a vector of sizes
_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where the gates i f g o, r z n stand in the arrays of ONNX, which have i o f c, z r h."""


class _Undecided(Exception):
    """What a node computes is no vector of sizes."""


class Sized(NamedTuple):
    """A value whose numbers are sizes: a vector of them, or one without axes."""

    sizes: tuple[Dim, ...]
    scalar: bool = False


def graph_of(model: Any, where: str) -> Graph:
    """The graph of a ModelProto. where: names the file. Raises InputError naming the node that is not read, and
    ModelFileError for damaged constants.
    """
    return _Reader(model, where).graph()


class _Reader:
    def __init__(self, model: Any, where: str) -> None:
        self.model = model
        self.where = where
        self.opset = 0
        self.builder = GraphBuilder()
        self.sized: dict[str, Sized] = {}
        self.names: dict[str, str] = {}
        """The values of the builder by their names in the file, where these differ: what Identity returns."""

    def graph(self) -> Graph:
        graph = self.model.graph
        versions = [opset.version for opset in self.model.opset_import if opset.domain in ("", "ai.onnx")]
        self.opset = max(versions, default=0)
        if self.opset < LEAST_OPSET:
            raise InputError(
                f"{self.where}: its opset is {self.opset}; export the network with opset {LEAST_OPSET} or later"
            )
        self.builder.reserved = {name for node in graph.node for name in node.output}
        for tensor in graph.initializer:
            self.builder.constant(_plain(array_of(tensor, self.where)), tensor.name)
        for value in graph.input:
            if value.name not in self.builder.constants:
                self._input(value)
        for number, node in enumerate(graph.node, 1):
            self.builder.origin = f"{node.op_type} {quote(node.name)}, node {number} of {len(graph.node)}"
            try:
                self._node(node)
            except InputError as error:
                raise InputError(f"{self.where}: {self.builder.origin}: {error}") from None
        return self.builder.graph([self._output(value.name) for value in graph.output])

    def _output(self, name: str) -> str:
        """The name of an output, which is that of the file."""
        self.builder.origin = ""
        value = self.value(name)
        if value == name:
            return name
        return self.builder.node(operation_of("Identity", {}), (value,), (name,))[0]

    def _input(self, value: Any) -> None:
        """An input of the network. An axis without a name or a number has a symbol of its own."""
        tensor = value.type.tensor_type
        if tensor.elem_type not in _DTYPES:
            raise InputError(f"{self.where}: the input {quote(value.name)} has a dtype that is not read")
        shape: list[Dim] = []
        for axis, dim in enumerate(tensor.shape.dim):
            if dim.HasField("dim_value"):
                shape.append(dim.dim_value)
            else:
                shape.append(symbol(_identifier(dim.dim_param or f"{value.name}_{axis}")))
        dtype: Any = _DTYPES[tensor.elem_type]
        self.builder.input(value.name, ValueType(dtype, tuple(shape)))

    def _node(self, node: Any) -> None:
        if node.domain not in ("", "ai.onnx"):
            raise InputError(f"it is of the domain {quote(node.domain)}, and operations of ONNX are read")
        attributes = self._attributes(node)
        if node.op_type == "Constant":
            self.builder.constant(_plain(np.asarray(next(iter(attributes.values())))), node.output[0])
        elif node.op_type == "Identity":
            self.names[node.output[0]] = self.names.get(node.input[0], node.input[0])
        elif self._is_of_sizes(node) and self._add_sizes(node, attributes):
            pass
        elif node.op_type in _GATES:
            self._recurrent(node, attributes)
        else:
            self._operation(node, attributes)

    def _attributes(self, node: Any) -> dict[str, Any]:
        onnx = required("onnx", "onnx", "the ONNX format")
        attributes: dict[str, Any] = {}
        for attribute in node.attribute:
            if attribute.HasField("g") or len(attribute.graphs):
                raise InputError("it runs a graph inside of the graph")
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
        if name in self.builder.types or name not in self.sized:
            return name
        sizes, is_scalar = self.sized[name]
        self.builder.node(operation_of("Sizes", {"sizes": sizes, "scalar": is_scalar}), (), (name,))
        return name

    def _constant(self, name: str) -> Array:
        """A constant of the file. Raises InputError for a value that depends on the inputs."""
        name = self.names.get(name, name)
        if name not in self.builder.constants:
            raise InputError(f"{quote(name)} depends on the inputs, and must be a constant")
        return self.builder.constants[name]

    def _operation(self, node: Any, attributes: dict[str, Any]) -> None:
        """An operation of the graph: what it reads as a field becomes an attribute."""
        if node.op_type not in NAMES:
            raise InputError("gatewise does not compute this operation")
        kind = operation_named(node.op_type)
        hints = get_type_hints(kind)
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
        self._add(node, operation_of(node.op_type, attributes), inputs)

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
        outputs = [name or f"{node.output[0]}_{number}" for number, name in enumerate(node.output)]
        self.builder.node(operation, inputs, outputs, name=node.name or node.output[0])

    # Sizes

    def _sizes(self, name: str) -> Sized | None:
        """The sizes that a value is; None where it is none."""
        name = self.names.get(name, name)
        if name in self.sized:
            return self.sized[name]
        array = self.builder.constants.get(name)
        if array is None or array.dtype.kind != "i" or array.ndim > 1 or array.size > _MOST_SIZES:
            return None
        return Sized(tuple(int(number) for number in np.ravel(array)), array.ndim == 0)

    def _is_of_sizes(self, node: Any) -> bool:
        """Whether a node computes sizes: Shape and Size, and what reads sizes alone, one of which is no constant."""
        if node.op_type in ("Shape", "Size"):
            return True
        read = [self.names.get(name, name) for name in node.input if name]
        return node.op_type in _SIZE_RULES and any(name in self.sized for name in read)

    def _add_sizes(self, node: Any, attributes: Mapping[str, Any]) -> bool:
        """Compute the sizes of a node. False where they are no vector of sizes, or depend on more than the sizes of the
        inputs: then the node stays an operation.
        """
        if node.op_type in ("Shape", "Size"):
            shape = self.builder.types[self.value(node.input[0])].shape
            if node.op_type == "Size":
                self.sized[node.output[0]] = Sized((_product(shape),), True)
            else:
                start = attributes.get("start", 0)
                end = attributes.get("end", len(shape))
                self.sized[node.output[0]] = Sized(shape[start:end])
            return True
        values = [self._sizes(name) if name else None for name in node.input]
        if any(name and sized is None for name, sized in zip(node.input, values, strict=True)):
            return False
        try:
            computed = _SIZE_RULES[node.op_type](attributes, *values)
        except _Undecided:
            return False
        if len(computed.sizes) > _MOST_SIZES:
            return False
        self.sized[node.output[0]] = computed
        return True

    # Recurrence

    def _recurrent(self, node: Any, attributes: Mapping[str, Any]) -> None:
        """LSTM, GRU, RNN: a `Recurrent` for each direction, on sequences first."""
        known = {"hidden_size", "direction", "layout", "linear_before_reset", "activations", "clip", "input_forget"}
        unknown = set(attributes) - known
        if unknown or attributes.get("input_forget"):
            raise InputError(f"the attribute {quote(min(unknown, default='input_forget'))} is not read")
        names = [*node.input, *[""] * (8 - len(node.input))]
        x, w, r, b, lengths, h0, c0, p = (self.value(name) for name in names)
        add = self.builder.add
        batch_first = bool(attributes.get("layout", 0))
        if not batch_first:
            x = add("Transpose", x, perm=(1, 0, 2))
        direction = _text(attributes.get("direction", "forward"))
        if direction == "bidirectional":
            reverses = [False, True]
        else:
            reverses = [direction == "reverse"]
        mask = self._mask(lengths, x) if lengths else ""
        shown: list[list[str]] = []
        for number, reverse in enumerate(reverses):
            operation = Recurrent(
                node.op_type,
                reverse=reverse,
                masked="zero",
                activations=_activations(attributes, number, len(reverses)),
                clip=float(attributes.get("clip", 0.0)),
                linear_before_reset=bool(attributes.get("linear_before_reset", 0)),
            )
            bias, recurrent_bias = self._biases(node.op_type, b, number)
            inputs = [
                x,
                self._gates(node.op_type, w, number),
                self._gates(node.op_type, r, number),
                bias,
                recurrent_bias,
                mask,
                self._state(h0, number, batch_first),
                self._state(c0, number, batch_first),
                self._peepholes(p, number),
            ]
            while inputs[-1] == "":
                inputs.pop()
            h, *states = self.builder.node(operation, inputs)
            if lengths and (h0 or c0):
                states = [self._without_empty(state, lengths) for state in states]
            shown.append([h, *states])
        outputs, *last = zip(*shown, strict=True)
        if batch_first:
            self._stack_directions(node, 0, outputs, axis=2)  # (B, T, directions, H)
        else:
            by_time = [add("Transpose", h, perm=(1, 0, 2)) for h in outputs]
            self._stack_directions(node, 0, by_time, axis=1)  # (T, directions, B, H)
        for place, of_directions in enumerate(last, 1):
            self._stack_directions(node, place, of_directions, axis=1 if batch_first else 0)

    def _stack_directions(self, node: Any, place: int, parts: Sequence[str], axis: int) -> None:
        """One output of a node, by its place, of those of its directions along a new axis."""
        if place < len(node.output) and node.output[place]:
            stacked = [self.builder.add("Unsqueeze", part, axes=(axis,)) for part in parts]
            self.builder.node(operation_of("Concat", {"axis": axis}), stacked, (node.output[place],))

    def _of_direction(self, name: str, direction: int) -> tuple[str, int]:
        """The array of one direction, of an array (directions, N, ...), and N."""
        of_direction = self.builder.add("Gather", name, self._index(direction), axis=0)
        rows = self.builder.types[of_direction].shape[0]
        if not isinstance(rows, int):
            raise InputError("the shape of its weights depends on the inputs")
        return of_direction, rows

    def _gates(self, cell: str, name: str, direction: int) -> str:
        """The weights (K H, N) of one direction in the order of gatewise, of (directions, K H, N)."""
        return self._ordered(cell, *self._of_direction(name, direction))

    def _ordered(self, cell: str, name: str, rows: int) -> str:
        if len(_GATES[cell]) == 1:
            return name
        blocks = np.split(np.arange(rows), len(_GATES[cell]))
        order = np.concatenate([blocks[place] for place in _GATES[cell]])
        return self.builder.add("Gather", name, self.builder.constant(order), axis=0)

    def _biases(self, cell: str, name: str, direction: int) -> tuple[str, str]:
        if not name:
            return "", ""
        both, rows = self._of_direction(name, direction)
        halves = []
        for start in (0, rows // 2):
            half = self.builder.add("Slice", both, starts=(start,), ends=(start + rows // 2,))
            halves.append(self._ordered(cell, half, rows // 2))
        return halves[0], halves[1]

    def _peepholes(self, name: str, direction: int) -> str:
        """(3 H,) in the order i f o, of (directions, 3 H) in the order i o f."""
        if not name:
            return ""
        of_direction, rows = self._of_direction(name, direction)
        i, o, f = np.split(np.arange(rows), 3)
        return self.builder.add("Gather", of_direction, self.builder.constant(np.concatenate([i, f, o])), axis=0)

    def _state(self, name: str, direction: int, batch_first: bool) -> str:
        if not name:
            return ""
        return self.builder.add("Gather", name, self._index(direction), axis=1 if batch_first else 0)

    def _without_empty(self, state: str, lengths: str) -> str:
        """The last state (B, H), 0 for sequences of length 0: ONNX Runtime does not return the first state there."""
        add = self.builder.add
        has_steps = add("Less", self._index(0), add("Cast", lengths, to=7))
        zero = self.builder.constant(np.float32(0))
        return add("Where", add("Unsqueeze", has_steps, axes=(1,)), state, zero)

    def _index(self, number: int) -> str:
        return self.builder.constant(np.array(number))

    def _mask(self, lengths: str, x: str) -> str:
        """(B, T): the steps before the length of each sequence."""
        steps = self.builder.types[x].shape[1]
        place = self.builder.add("Range", start=0, limit=steps, delta=1)  # (T,)
        counts = self.builder.add("Cast", lengths, to=7)
        return self.builder.add("Less", place, self.builder.add("Unsqueeze", counts, axes=(1,)))


def _activations(attributes: Mapping[str, Any], direction: int, count: int) -> tuple[Operation, ...]:
    """The activations of one direction; () for the usual ones."""
    names = [_text(name) for name in attributes.get("activations", [])]
    if not names:
        return ()
    each = len(names) // count
    chosen = names[direction * each : (direction + 1) * each]
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        raise InputError(f"the activation {quote(unknown[0])} is not read")
    return tuple(operation_of(name, {}) for name in chosen)


def _plain(array: Array) -> Array:
    """An array of a dtype of a graph. Refuses numbers that would be rounded."""
    if array.dtype.name in ("float32", "float64", "int64", "int32", "bool"):
        return array
    raise InputError(f"it has a constant of the dtype {array.dtype}")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _identifier(name: str) -> str:
    """A name of a size as a symbol has it."""
    identifier = re.sub(r"\W", "_", name, flags=re.ASCII)
    if identifier.isidentifier():
        return identifier
    return f"n{identifier}"


def _product(sizes: tuple[Dim, ...]) -> Dim:
    product: Dim = 1
    for size in sizes:
        product = product * size
    return product


def _aligned(*vectors: Sized) -> tuple[tuple[Dim, ...], ...]:
    """The sizes of vectors at each place; one of a single size has it at all places."""
    count = max(len(vector.sizes) for vector in vectors)
    columns = []
    for vector in vectors:
        if len(vector.sizes) not in (1, count):
            raise _Undecided
        columns.append(vector.sizes if len(vector.sizes) == count else vector.sizes * count)
    return tuple(zip(*columns, strict=True))


def _each(rule: Callable[[Dim, Dim], Dim]) -> Callable[..., Sized]:
    """A rule on two sizes, for vectors of them."""

    def computed(attributes: Mapping[str, Any], left: Sized, right: Sized) -> Sized:
        sizes = tuple(rule(*pair) for pair in _aligned(left, right))
        return Sized(sizes, left.scalar and right.scalar)

    return computed


def _cast(attributes: Mapping[str, Any], data: Sized) -> Sized:
    """Sizes are whole numbers in any integer dtype. As a bool a size is 1 unless it is 0."""
    to = attributes["to"]
    if to == _BOOL:
        return Sized(tuple(1 - _number(_equal(size, 0)) for size in data.sizes), data.scalar)
    if to not in _INTEGERS:
        raise _Undecided
    return data


def _gathered(attributes: Mapping[str, Any], data: Sized, indices: Sized) -> Sized:
    places = [_number(index) for index in indices.sizes]
    for place in places:
        if not -len(data.sizes) <= place < len(data.sizes):
            raise InputError(f"index {place} of {len(data.sizes)} sizes")
    return Sized(tuple(data.sizes[place] for place in places), indices.scalar)


def _sliced(
    attributes: Mapping[str, Any],
    data: Sized,
    start: Sized,
    end: Sized,
    axis: Sized | None = None,
    step: Sized | None = None,
) -> Sized:
    bounds = [_number(vector.sizes[0]) for vector in (start, end)]
    stride = 1
    if step is not None:
        stride = _number(step.sizes[0])
    if stride == 0 or (axis is not None and _number(axis.sizes[0]) not in (0, -1)):
        raise _Undecided
    return Sized(data.sizes[bounds[0] : bounds[1] : stride])


def _joined(attributes: Mapping[str, Any], *parts: Sized) -> Sized:
    return Sized(tuple(size for part in parts for size in part.sizes))


def _unsqueezed(attributes: Mapping[str, Any], data: Sized, axes: Sized) -> Sized:
    if not data.scalar:
        raise _Undecided
    return Sized(data.sizes)


def _squeezed(attributes: Mapping[str, Any], data: Sized, *_: Any) -> Sized:
    return Sized(data.sizes, len(data.sizes) == 1)


def _reshaped(attributes: Mapping[str, Any], data: Sized, shape: Sized) -> Sized:
    if len(shape.sizes) > 1:
        raise _Undecided
    return Sized(data.sizes, not shape.sizes)


def _reduced(attributes: Mapping[str, Any], data: Sized, *_: Any) -> Sized:
    return Sized((_product(data.sizes),), not attributes.get("keepdims", 1))


def _equal(left: Dim, right: Dim) -> Dim:
    """1 where two sizes are equal for all inputs, 0 where they never are."""
    if left == right:
        return 1
    if at_least(left, right + 1) or at_least(right, left + 1):
        return 0
    raise _Undecided


def _selected(attributes: Mapping[str, Any], condition: Sized, left: Sized, right: Sized) -> Sized:
    sizes = []
    for holds, first, second in _aligned(condition, left, right):
        sizes.append(first if _number(holds) else second)
    return Sized(tuple(sizes), condition.scalar and left.scalar and right.scalar)


def _filled(attributes: Mapping[str, Any], shape: Sized) -> Sized:
    value = np.ravel(attributes.get("value", np.zeros(1)))[0]
    if len(shape.sizes) != 1 or value.dtype.kind != "i":
        raise _Undecided
    count = _number(shape.sizes[0])
    if not 0 <= count <= _MOST_SIZES:
        raise _Undecided
    return Sized((int(value),) * count)


def _number(size: Dim) -> int:
    if isinstance(size, Size):
        raise _Undecided
    return size


def _truncated(left: Dim, right: Dim) -> Dim:
    """Integers are divided towards zero, which is the floor where neither is negative."""
    if not (at_least(left, 0) and at_least(right, 0)):
        raise _Undecided
    return divided(left, right)


def _remainder(left: Dim, right: Dim) -> Dim:
    """The two remainders of ONNX, by fmod, are equal where no size is negative."""
    if not (at_least(left, 0) and at_least(right, 1)):
        raise _Undecided
    return remainder(left, right)


_SIZE_RULES: dict[str, Callable[..., Sized]] = {
    "Add": _each(lambda left, right: left + right),
    "Sub": _each(lambda left, right: left - right),
    "Mul": _each(lambda left, right: left * right),
    "Div": _each(_truncated),
    "Mod": _each(_remainder),
    "Max": _each(maximum),
    "Min": _each(minimum),
    "Equal": _each(_equal),
    "Where": _selected,
    "Gather": _gathered,
    "Slice": _sliced,
    "Concat": _joined,
    "Cast": _cast,
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Reshape": _reshaped,
    "ReduceProd": _reduced,
    "ConstantOfShape": _filled,
}
"""What nodes compute of sizes, of their attributes and inputs."""
