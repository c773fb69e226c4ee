"""An ONNX file as a graph, node by node. No value is looked at.

Exporters compute the sizes of shapes with nodes of their own: Shape, Gather, Concat, Mul. The reader computes these
once, with the sizes of the inputs as symbols (`gatewise.network.size`). What is left are the operations of the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
        self.builder = GraphBuilder()
        self.sized: dict[str, Sized] = {}
        self.names: dict[str, str] = {}
        """The values of the builder by their names in the file, where these differ: what Identity returns."""

    def graph(self) -> Graph:
        graph = self.model.graph
        opset = max((one.version for one in self.model.opset_import if one.domain in ("", "ai.onnx")), default=0)
        if opset < LEAST_OPSET:
            raise InputError(
                f"{self.where}: its opset is {opset}; export the network with opset {LEAST_OPSET} or later"
            )
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
        return self.builder.graph([self.value(output.name) for output in graph.output])

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
        elif node.op_type in ("Identity", "Dropout") and not self._trains(node):
            self.names[node.output[0]] = node.input[0] if node.input[0] in self.sized else self.value(node.input[0])
            if node.input[0] in self.sized:
                self.sized[node.output[0]] = self.sized[node.input[0]]
        elif self._is_of_sizes(node) and self._add_sizes(node, attributes):
            pass
        elif node.op_type in _GATES:
            self._recurrent(node, attributes)
        else:
            self._operation(node, attributes)

    def _attributes(self, node: Any) -> dict[str, Any]:
        onnx = required("onnx", "onnx", "the ONNX format")
        found: dict[str, Any] = {}
        for attribute in node.attribute:
            if attribute.HasField("g") or len(attribute.graphs):
                raise InputError("it runs a graph inside of the graph")
            if attribute.HasField("t"):
                found[attribute.name] = array_of(attribute.t, self.where)
            else:
                found[attribute.name] = onnx.helper.get_attribute_value(attribute)
        return found

    def _trains(self, node: Any) -> bool:
        """Whether a Dropout has its input of training. Its constant is in the file, or it is refused."""
        if len(node.input) < 3 or not node.input[2]:
            return False
        if bool(np.any(self._constant(node.input[2]))):
            raise InputError("it is in the mode of training; export the network in the mode of inference")
        return False

    def value(self, name: str) -> str:
        """The value of the builder of a name of the file; of sizes a node that makes numbers of them."""
        if not name:
            return ""
        name = self.names.get(name, name)
        if name in self.builder.types or name not in self.sized:
            return name
        sizes, is_scalar = self.sized[name]
        self.builder.node(operation_of("Sizes", {"sizes": sizes, "scalar": is_scalar}), (), (name,))
        return name

    def _constant(self, name: str) -> Array:
        """A constant of the file. Refuses a value that is computed of the inputs."""
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
                attributes[formal] = self._field(name, holds_sizes="Size" in str(hints[formal]))
        if node.op_type == "Split" and not {"split", "num_outputs"}.intersection(attributes):
            attributes["num_outputs"] = len(node.output)  # what opset 13 leaves out
        self._add(node, operation_of(node.op_type, attributes), inputs)

    def _field(self, name: str, holds_sizes: bool) -> Any:
        """A value that is a field of its operation: sizes where the field holds them, else a constant."""
        sized = self._sizes(name) if holds_sizes else None
        if sized is None:
            return self._constant(name)
        return sized.sizes[0] if sized.scalar else sized.sizes

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
        if node.op_type not in _SIZE_RULES or not node.input:
            return False
        if node.op_type == "Cast" and next(one.i for one in node.attribute if one.name == "to") not in (6, 7, 9):
            return False
        read = [self.names.get(name, name) for name in node.input if name]
        return any(name in self.sized for name in read) and all(
            self._sizes(name) is not None or name in self.builder.constants for name in read
        )

    def _add_sizes(self, node: Any, attributes: Mapping[str, Any]) -> bool:
        """Compute the sizes of a node. False where they are no vector of sizes, or depend on more than the sizes of the
        inputs: then the node stays an operation.
        """
        if node.op_type in ("Shape", "Size"):
            shape = self.builder.types[self.value(node.input[0])].shape
            if node.op_type == "Size":
                self.sized[node.output[0]] = Sized((_product(shape),), True)
            else:
                self.sized[node.output[0]] = Sized(
                    shape[attributes.get("start", 0) : attributes.get("end", len(shape))]
                )
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
        count = 2 if direction == "bidirectional" else 1
        mask = self._mask(lengths, x) if lengths else ""
        shown: list[list[str]] = []
        for number in range(count):
            operation = Recurrent(
                node.op_type,
                reverse=direction == "reverse" or number == 1,
                masked="zero",
                activations=_activations(node.op_type, attributes, number, count),
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
            shown.append(self.builder.node(operation, inputs))
        y, *last = zip(*shown, strict=True)
        every = [
            add("Unsqueeze", h if batch_first else add("Transpose", h, perm=(1, 0, 2)), axes=(2 if batch_first else 1,))
            for h in y
        ]
        self._named(node, 0, every, axis=2 if batch_first else 1)
        for place, states in enumerate(last, 1):
            axis = 1 if batch_first else 0
            self._named(node, place, [add("Unsqueeze", state, axes=(axis,)) for state in states], axis)

    def _named(self, node: Any, place: int, parts: list[str], axis: int) -> None:
        """One output of a node, of its directions side by side."""
        if place < len(node.output) and node.output[place]:
            operation = operation_of("Concat", {"axis": axis})
            self.builder.node(operation, parts, (node.output[place],))

    def _gates(self, cell: str, name: str, direction: int) -> str:
        """The weights (K H, N) of one direction in the order of gatewise, of (directions, K H, N)."""
        rows = self.builder.types[name].shape[1]
        if not isinstance(rows, int):
            raise InputError("its weights depend on the inputs")
        of_direction = self.builder.add("Gather", name, self._index(direction), axis=0)
        return self._ordered(cell, of_direction, rows)

    def _ordered(self, cell: str, name: str, rows: int) -> str:
        if len(_GATES[cell]) == 1:
            return name
        blocks = np.split(np.arange(rows), len(_GATES[cell]))
        order = np.concatenate([blocks[place] for place in _GATES[cell]])
        return self.builder.add("Gather", name, self.builder.constant(order), axis=0)

    def _biases(self, cell: str, name: str, direction: int) -> tuple[str, str]:
        if not name:
            return "", ""
        both = self.builder.add("Gather", name, self._index(direction), axis=0)
        rows = self.builder.types[both].shape[0]
        if not isinstance(rows, int):
            raise InputError("its biases depend on the inputs")
        halves = []
        for start in (0, rows // 2):
            half = self.builder.add("Slice", both, starts=(start,), ends=(start + rows // 2,))
            halves.append(self._ordered(cell, half, rows // 2))
        return halves[0], halves[1]

    def _peepholes(self, name: str, direction: int) -> str:
        """(3 H,) in the order i f o, of (directions, 3 H) in the order i o f."""
        if not name:
            return ""
        of_direction = self.builder.add("Gather", name, self._index(direction), axis=0)
        rows = self.builder.types[of_direction].shape[0]
        if not isinstance(rows, int):
            raise InputError("its peepholes depend on the inputs")
        i, o, f = np.split(np.arange(rows), 3)
        return self.builder.add("Gather", of_direction, self.builder.constant(np.concatenate([i, f, o])), axis=0)

    def _state(self, name: str, direction: int, batch_first: bool) -> str:
        if not name:
            return ""
        return self.builder.add("Gather", name, self._index(direction), axis=1 if batch_first else 0)

    def _index(self, number: int) -> str:
        return self.builder.constant(np.array(number))

    def _mask(self, lengths: str, x: str) -> str:
        """(B, T): the steps before the length of each sequence."""
        steps = self.builder.types[x].shape[1]
        place = self.builder.add("Range", start=0, limit=steps, delta=1)  # (T,)
        counts = self.builder.add("Cast", lengths, to=7)
        return self.builder.add("Less", place, self.builder.add("Unsqueeze", counts, axes=(1,)))


def _activations(cell: str, attributes: Mapping[str, Any], direction: int, count: int) -> tuple[Operation, ...]:
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
    found = re.sub(r"\W", "_", name, flags=re.ASCII)
    return found if found.isidentifier() else f"n{found}"


def _product(sizes: tuple[Dim, ...]) -> Dim:
    product: Dim = 1
    for size in sizes:
        product = product * size
    return product


def _each(rule: Callable[[Dim, Dim], Dim]) -> Callable[..., Sized]:
    """A rule on two sizes for vectors of them, of which one may have a single entry."""

    def computed(attributes: Mapping[str, Any], left: Sized, right: Sized) -> Sized:
        count = max(len(left.sizes), len(right.sizes))
        pairs = []
        for number in range(count):
            pairs.append([one.sizes[number if len(one.sizes) > 1 else 0] for one in (left, right)])
        return Sized(tuple(rule(*pair) for pair in pairs), left.scalar and right.scalar)

    return computed


def _gathered(attributes: Mapping[str, Any], data: Sized, indices: Sized) -> Sized:
    return Sized(tuple(data.sizes[_number(index)] for index in indices.sizes), indices.scalar)


def _sliced(attributes: Mapping[str, Any], data: Sized, *bounds: Sized | None) -> Sized:
    start, end, axis, step = [*(None if one is None else _number(one.sizes[0]) for one in bounds), None, None][:4]
    if axis not in (None, 0, -1):
        raise _Undecided
    return Sized(data.sizes[start:end:step])


def _joined(attributes: Mapping[str, Any], *parts: Sized) -> Sized:
    return Sized(tuple(size for part in parts for size in part.sizes))


def _whole(attributes: Mapping[str, Any], data: Sized, *_: Any) -> Sized:
    return data


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
    count = max(len(condition.sizes), len(left.sizes), len(right.sizes))
    sizes = []
    for number in range(count):
        holds, first, second = (one.sizes[number if len(one.sizes) > 1 else 0] for one in (condition, left, right))
        sizes.append(first if _number(holds) else second)
    return Sized(tuple(sizes), condition.scalar and left.scalar and right.scalar)


def _filled(attributes: Mapping[str, Any], shape: Sized) -> Sized:
    value = np.ravel(attributes.get("value", np.zeros(1)))[0]
    if len(shape.sizes) != 1 or value.dtype.kind != "i":
        raise _Undecided
    return Sized((int(value),) * _number(shape.sizes[0]))


def _number(size: Dim) -> int:
    if isinstance(size, Size):
        raise _Undecided
    return size


def _truncated(left: Dim, right: Dim) -> Dim:
    """Integers are divided towards zero, which is the floor where neither is negative."""
    if not (at_least(left, 0) and at_least(right, 0)):
        raise _Undecided
    return divided(left, right)


_SIZE_RULES: dict[str, Callable[..., Sized]] = {
    "Add": _each(lambda left, right: left + right),
    "Sub": _each(lambda left, right: left - right),
    "Mul": _each(lambda left, right: left * right),
    "Div": _each(_truncated),
    "Mod": _each(remainder),
    "Max": _each(maximum),
    "Min": _each(minimum),
    "Equal": _each(_equal),
    "Where": _selected,
    "Gather": _gathered,
    "Slice": _sliced,
    "Concat": _joined,
    "Cast": _whole,
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Reshape": _reshaped,
    "ReduceProd": _reduced,
    "ConstantOfShape": _filled,
}
"""What nodes compute of sizes, of their attributes and inputs."""
