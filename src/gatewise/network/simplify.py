"""`simplified`: a graph with fewer nodes that computes the same, so that each thing is written in one way.

Each rewrite is one function. It looks at one node and at the nodes that compute what it reads, and returns the name of
a value that equals its output. None looks at what the inputs of the network hold, and none rounds in another way than
float64 arithmetic does.

>>> from gatewise.network.graph_builder import GraphBuilder
>>> from gatewise.network.operation import ValueType
>>> builder = GraphBuilder()
>>> x = builder.input("x", ValueType("float", (2, 3)))
>>> twice = builder.add("Transpose", builder.add("Transpose", x, perm=(1, 0)), perm=(1, 0))
>>> graph = builder.graph([builder.add("Relu", builder.add("Identity", twice))])
>>> [node.operation.name() for node in simplified(graph).nodes]
['Relu']
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gatewise.network.graph import Graph, Node
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Operation, ValueType
from gatewise.network.operations import operation_of
from gatewise.network.operations.sizes import Sizes
from gatewise.network.size import Dim, at_least, product
from gatewise.types import Array


def simplified(graph: Graph) -> Graph:
    """The graph after all rewrites, with the same inputs, outputs and guards."""
    simplifier = Simplifier(graph)
    for node in graph.nodes:
        simplifier.take(node)
    return simplifier.graph()


class Simplifier:
    """The nodes that are simplified so far."""

    def __init__(self, graph: Graph) -> None:
        self.original = graph
        self.builder = GraphBuilder()
        for name, value_type in graph.inputs.items():
            self.builder.input(name, value_type)
        for name, array in graph.constants.items():
            self.builder.constant(array, name)
        self.equal: dict[str, str] = {}
        """Values of the original, by name, and the values that equal them."""
        self.producers: dict[str, Node] = {}
        self._computed: dict[tuple[Operation, tuple[str, ...]], tuple[str, ...]] = {}

    def graph(self) -> Graph:
        """The simplified graph. An output that equals another value keeps its name."""
        for name in self.original.outputs:
            if name in self.equal and name not in self.builder.types:
                self.builder.node(operation_of("Identity", {}), (self.equal[name],), (name,))
        return self.builder.graph(self.original.outputs, self.original.guards)

    def take(self, node: Node) -> tuple[str, ...]:
        """Add a node of the original, or of a rewrite: the names of the values that its outputs are."""
        inputs = tuple(self.equal.get(name, name) for name in node.inputs)
        node = Node(node.name, node.operation, inputs, node.outputs, node.origin)
        self.builder.origin = node.origin
        values = self._values(node)
        self.equal |= {name: value for name, value in zip(node.outputs, values, strict=True) if name != value}
        return values

    def _values(self, node: Node) -> tuple[str, ...]:
        if len(node.outputs) == 1:
            types = (self.builder.types[name] if name else None for name in node.inputs)
            inferred = node.operation.infer(*types)
            for rewrite in REWRITES:
                value = rewrite(self, node)
                # A constant that has more axes than what it is added to would have changed the shape.
                if value is not None and (self.type(value),) == inferred:
                    return (value,)
        # No operation is random, so that equal nodes compute equal values.
        same = (node.operation, node.inputs)
        if same not in self._computed:
            names = tuple(self.builder.node(node.operation, node.inputs, node.outputs, node.name))
            self._computed[same] = names
            for name in names:
                if name not in self.builder.constants:
                    self.producers[name] = self.builder.nodes[-1]
        return self._computed[same]

    # What rewrites read and write

    def add(self, node: Node, operation: str, *inputs: str, **attributes: Any) -> str:
        """The value of a new node that stands in place of `node`, simplified itself."""
        number = len(self.builder.types)
        name = f"{node.outputs[0]}_{operation.lower()}_{number}"
        while name in self.original.types or name in self.builder.types:
            number += 1
            name = f"{node.outputs[0]}_{operation.lower()}_{number}"
        new = Node(name, operation_of(operation, attributes), inputs, (name,), node.origin)
        return self.take(new)[0]

    def constant(self, array: Array) -> str:
        """The name of a new constant."""
        number = len(self.builder.types)
        while f"constant_{number}" in self.original.types or f"constant_{number}" in self.builder.types:
            number += 1
        return self.builder.constant(array, f"constant_{number}")

    def reshaped(self, node: Node, value: str, shape: Sequence[Dim]) -> str:
        """A value in another shape."""
        return self.add(node, "Reshape", value, shape=tuple(shape), allowzero=1)

    def type(self, name: str) -> ValueType:
        """Of a value."""
        return self.builder.types[name]

    def producer(self, name: str, operation: str) -> Node | None:
        """The node that computes a value, if it is one of this operation."""
        node = self.producers.get(name)
        return node if node is not None and node.operation.name() == operation else None

    def number(self, name: str) -> float | None:
        """The number that a constant consists of; None for a value that is none, and for different numbers."""
        array = self.builder.constants.get(name)
        if array is None or array.size == 0:
            return None
        first = array.flat[0]
        return float(first) if bool(np.all(array == first)) else None

    def operands(self, node: Node) -> list[tuple[str, str]]:
        """The two inputs of a node whose order does not matter, in both orders."""
        left, right = node.inputs
        return [(left, right), (right, left)]


Rewrite = Callable[[Simplifier, Node], str | None]


# What changes nothing


def without_effect(simplifier: Simplifier, node: Node) -> str | None:
    """What returns its input: Identity, Dropout at inference, a Cast to the dtype that it has, and the like."""
    name = node.operation.name()
    if name in ("Identity", "Dropout"):
        return node.inputs[0]
    if name in ("Concat", "Sum", "Mean", "Max", "Min") and len(node.inputs) == 1:
        return node.inputs[0]
    if name not in ("Cast", "Reshape", "Expand", "Slice", "Transpose"):
        return None
    (result,) = node.operation.infer(simplifier.type(node.inputs[0]))
    if result != simplifier.type(node.inputs[0]):
        return None
    if name in ("Cast", "Reshape", "Expand"):
        return node.inputs[0]
    operation: Any = node.operation
    rank = len(result.shape)
    if name == "Transpose":
        return node.inputs[0] if operation.perm == tuple(range(rank)) else None
    # A slice of as many rows as there are has all of them, in order where it counts up.
    counts_up = operation.steps is None or all(step > 0 for step in operation.steps)
    return node.inputs[0] if counts_up else None


# One way to write a shape


def one_reshape(simplifier: Simplifier, node: Node) -> str | None:
    """Squeeze, Unsqueeze and Flatten are Reshape, and so is a Transpose that moves axes of size 1 alone; of several
    Reshapes the last one decides.
    """
    name = node.operation.name()
    value = node.inputs[0] if node.inputs else ""
    if name == "Transpose" and not _keeps_order(node.operation, simplifier.type(value)):
        return None
    if name not in ("Squeeze", "Unsqueeze", "Flatten", "Transpose", "Reshape"):
        return None
    (result,) = node.operation.infer(simplifier.type(value))
    before = simplifier.producer(value, "Reshape")
    if before is not None:
        return simplifier.reshaped(node, before.inputs[0], result.shape)
    if name == "Reshape" and node.operation == operation_of("Reshape", {"shape": result.shape, "allowzero": 1}):
        return None
    return simplifier.reshaped(node, value, result.shape)


def _keeps_order(operation: Any, value_type: ValueType) -> bool:
    """Whether a Transpose leaves the numbers in their order."""
    rank = len(value_type.shape)
    order = tuple(reversed(range(rank))) if operation.perm is None else operation.perm
    moved = [axis for axis in order if value_type.shape[axis] != 1]
    return moved == sorted(moved)


def one_transpose(simplifier: Simplifier, node: Node) -> str | None:
    """Of two Transposes, one that does what both do."""
    if node.operation.name() != "Transpose":
        return None
    before = simplifier.producer(node.inputs[0], "Transpose")
    if before is None:
        return None
    rank = len(simplifier.type(node.inputs[0]).shape)
    reverse = tuple(reversed(range(rank)))
    operations: list[Any] = [before.operation, node.operation]
    first, second = (reverse if operation.perm is None else operation.perm for operation in operations)
    return simplifier.add(node, "Transpose", before.inputs[0], perm=tuple(first[axis] for axis in second))


# One way to write a row


def one_row(simplifier: Simplifier, node: Node) -> str | None:
    """A Slice of one row is a Gather of its number, counted from the end where the axis has no constant size."""
    operation: Any = node.operation
    if operation.name() != "Slice" or len(operation.starts) != 1:
        return None
    data = simplifier.type(node.inputs[0])
    (result,) = operation.infer(data)
    axis = operation.axis_of((operation.axes or (0,))[0], len(data.shape))
    size = data.shape[axis]
    if result.shape[axis] != 1 or size == 1 or operation.steps not in (None, (1,)):
        return None
    row = _row(operation.starts[0], size)
    # A slice keeps its bounds within the axis; of an axis of any size the first and the last row are in it.
    if row is None or (not isinstance(size, int) and row not in (0, -1)):
        return None
    gathered = simplifier.add(node, "Gather", node.inputs[0], simplifier.constant(np.array(row)), axis=axis)
    return simplifier.reshaped(node, gathered, result.shape)


def constant_row(simplifier: Simplifier, node: Node) -> str | None:
    """A Gather of a row whose number is a size, such as T - 1, is one of a constant, such as -1."""
    operation: Any = node.operation
    if operation.name() != "Gather":
        return None
    data, indices = node.inputs
    size = simplifier.type(data).shape[operation.axis_of(operation.axis, len(simplifier.type(data).shape))]
    written = _size_of(simplifier, indices)
    if written is None:
        return None
    row = _row(written, size)
    if row is None or row == written:
        return None
    index = np.array(row).reshape([1] * len(simplifier.type(indices).shape))  # (), or (1,)
    return simplifier.add(node, "Gather", data, simplifier.constant(index), axis=operation.axis)


def _row(number: Dim, size: Dim) -> int | None:
    """The constant number of a row of an axis of `size`, from the end where it is known how far; None for others."""
    if isinstance(number, int) and not isinstance(size, int):
        return number
    from_end = number if isinstance(number, int) and number < 0 else number - size
    if not isinstance(from_end, int) or from_end >= 0:
        return None
    return None if isinstance(size, int) and from_end < -size else from_end


def _size_of(simplifier: Simplifier, name: str) -> Dim | None:
    """The one size that a value is."""
    if simplifier.type(name).shape not in ((), (1,)):
        return None
    array = simplifier.builder.constants.get(name)
    if array is not None:
        return int(array.flat[0]) if array.dtype.kind == "i" else None
    node = simplifier.producers.get(name)
    while node is not None and node.operation.name() in ("Cast", "Reshape"):
        node = simplifier.producers.get(node.inputs[0])
    if node is None or not isinstance(node.operation, Sizes) or len(node.operation.sizes) != 1:
        return None
    return node.operation.sizes[0]


def row_of_concat(simplifier: Simplifier, node: Node) -> str | None:
    """A row of a Concat is a row of one of its values, as of the last states of two directions."""
    operation: Any = node.operation
    if operation.name() != "Gather":
        return None
    data, indices = node.inputs
    rank = len(simplifier.type(data).shape)
    axis = operation.axis_of(operation.axis, rank)
    row = simplifier.number(indices) if simplifier.type(indices).shape == () else None
    if row is None:
        return None
    if simplifier.type(data).shape[axis] == 1:
        (result,) = operation.infer(simplifier.type(data), simplifier.type(indices))
        return simplifier.reshaped(node, data, result.shape)
    concat = simplifier.producer(data, "Concat")
    if concat is None:
        return None
    joined: Any = concat.operation
    sizes = [simplifier.type(value).shape[axis] for value in concat.inputs]
    whole = sum(size for size in sizes if isinstance(size, int))
    if joined.axis_of(joined.axis, rank) != axis or not all(isinstance(size, int) for size in sizes):
        return None
    if not -whole <= row < whole:
        return None
    place = int(row) % whole
    for value, size in zip(concat.inputs, sizes, strict=True):
        assert isinstance(size, int)
        if place < size:
            return simplifier.add(node, "Gather", value, simplifier.constant(np.array(place)), axis=axis)
        place -= size
    return None


def stacked_concat(simplifier: Simplifier, node: Node) -> str | None:
    """Values joined along an axis that is then cut into one for each value are joined along a new axis, as the last
    states of all layers are in PyTorch.
    """
    concat = simplifier.producer(node.inputs[0], "Concat") if node.operation.name() == "Reshape" else None
    if concat is None or len({simplifier.type(value) for value in concat.inputs}) > 1:
        return None
    (result,) = node.operation.infer(simplifier.type(node.inputs[0]))
    each = simplifier.type(concat.inputs[0]).shape
    joined: Any = concat.operation
    axis = joined.axis_of(joined.axis, len(each))
    if result.shape != (*each[:axis], len(concat.inputs), *each[axis:]):
        return None
    parts = [simplifier.reshaped(node, value, (*each[:axis], 1, *each[axis:])) for value in concat.inputs]
    return simplifier.add(node, "Concat", *parts, axis=axis)


_OF_SEVERAL = {"ReduceSum": "Sum", "ReduceMean": "Mean", "ReduceMax": "Max", "ReduceMin": "Min", "ReduceProd": "Mul"}


def reduced_concat(simplifier: Simplifier, node: Node) -> str | None:
    """The sum along the axis at which values of size 1 were joined is the sum of these values; so the mean, the
    maximum, the minimum, and the product of two.
    """
    operation: Any = node.operation
    name = _OF_SEVERAL.get(operation.name(), "")
    concat = simplifier.producer(node.inputs[0], "Concat") if name else None
    if concat is None or operation.axes is None or len(operation.axes) != 1:
        return None
    data = simplifier.type(node.inputs[0])
    rank = len(data.shape)
    joined: Any = concat.operation
    axis = joined.axis_of(joined.axis, rank)
    of_one = all(simplifier.type(value).shape[axis] == 1 for value in concat.inputs)
    if operation.axis_of(operation.axes[0], rank) != axis or not of_one or (name == "Mul" and len(concat.inputs) != 2):
        return None
    (result,) = operation.infer(data)
    return simplifier.reshaped(node, simplifier.add(node, name, *concat.inputs), result.shape)


# One way to write a pooling


def global_pooling(simplifier: Simplifier, node: Node) -> str | None:
    """A global pooling is a ReduceMean or ReduceMax over all axes after the channels."""
    name = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}.get(node.operation.name())
    if name is None:
        return None
    axes = tuple(range(2, len(simplifier.type(node.inputs[0]).shape)))
    return simplifier.add(node, name, node.inputs[0], axes=axes, keepdims=1)


def mean_of_sum(simplifier: Simplifier, node: Node) -> str | None:
    """A ReduceSum divided by the number of what it adds is a ReduceMean."""
    if node.operation.name() != "Div":
        return None
    total = simplifier.producer(node.inputs[0], "ReduceSum")
    if total is None or simplifier.type(node.inputs[0]).dtype != "float":
        return None
    operation: Any = total.operation
    count = _size_of(simplifier, node.inputs[1])
    if count is None:
        number = simplifier.number(node.inputs[1])
        count = int(number) if number is not None and number == int(number) else None
    data = simplifier.type(total.inputs[0]).shape
    if operation.axes is None or count != product(tuple(data[axis] for axis in operation.axes)):
        return None
    return simplifier.add(node, "ReduceMean", total.inputs[0], axes=operation.axes, keepdims=operation.keepdims)


# One way to write a function of each number


def batch_normalization(simplifier: Simplifier, node: Node) -> str | None:
    """A batch normalisation with constants is a Mul and an Add of constants."""
    operation: Any = node.operation
    if operation.name() != "BatchNormalization" or any(
        name not in simplifier.builder.constants for name in node.inputs[1:]
    ):
        return None
    arrays = [simplifier.builder.constants[name].astype(np.float64) for name in node.inputs[1:]]
    scale, bias, mean, variance = arrays
    factor = scale / np.sqrt(variance + operation.epsilon)
    shift = bias - mean * factor
    shape = (-1, *(1,) * (len(simplifier.type(node.inputs[0]).shape) - 2))  # of the axis 1
    scaled = simplifier.add(node, "Mul", node.inputs[0], simplifier.constant(factor.reshape(shape)))
    return simplifier.add(node, "Add", scaled, simplifier.constant(shift.reshape(shape)))


def swish(simplifier: Simplifier, node: Node) -> str | None:
    """x sigmoid(x) is Swish."""
    if node.operation.name() != "Mul":
        return None
    for x, factor in simplifier.operands(node):
        sigmoid = simplifier.producer(factor, "Sigmoid")
        if sigmoid is not None and sigmoid.inputs == (x,):
            return simplifier.add(node, "Swish", x)
    return None


def gelu(simplifier: Simplifier, node: Node) -> str | None:
    """x (1 + erf(x / sqrt(2))) / 2 is Gelu, in any order of the factors."""
    if node.operation.name() != "Mul":
        return None
    factors: list[str] = []
    scale = 1.0
    waiting = [*node.inputs]
    while waiting:
        value = waiting.pop()
        number = simplifier.number(value)
        product_node = simplifier.producer(value, "Mul")
        quotient = simplifier.producer(value, "Div")
        if number is not None:
            scale *= number
        elif product_node is not None:
            waiting += product_node.inputs
        elif quotient is not None and simplifier.number(quotient.inputs[1]):
            scale /= simplifier.number(quotient.inputs[1]) or 1.0
            waiting.append(quotient.inputs[0])
        else:
            factors.append(value)
    if len(factors) != 2 or not math.isclose(scale, 0.5, rel_tol=1e-6):
        return None
    for x, probability in (factors, factors[::-1]):
        if _is_one_plus_erf(simplifier, probability, x):
            return simplifier.add(node, "Gelu", x)
    return None


def _is_one_plus_erf(simplifier: Simplifier, value: str, x: str) -> bool:
    """Whether a value is 1 + erf(x / sqrt(2))."""
    total = simplifier.producer(value, "Add")
    if total is None:
        return False
    for one, added in simplifier.operands(total):
        erf = simplifier.producer(added, "Erf")
        if simplifier.number(one) != 1 or erf is None:
            continue
        [read] = erf.inputs
        quotient = simplifier.producer(read, "Div")
        if quotient is not None and quotient.inputs[0] == x:
            divisor = simplifier.number(quotient.inputs[1])
            return divisor is not None and math.isclose(divisor, math.sqrt(2), rel_tol=1e-6)
        scaled = simplifier.producer(read, "Mul")
        if scaled is not None:
            for left, right in simplifier.operands(scaled):
                factor = simplifier.number(right)
                if left == x and factor is not None:
                    return math.isclose(factor, math.sqrt(0.5), rel_tol=1e-6)
    return False


def relu(simplifier: Simplifier, node: Node) -> str | None:
    """The maximum of x and 0 is Relu, and so is a Clip from 0 on."""
    x = ""
    if node.operation.name() == "Max" and len(node.inputs) == 2:
        for value, bound in simplifier.operands(node):
            if simplifier.number(bound) == 0:
                x = value
    if node.operation.name() == "Clip":
        lower, upper = (*node.inputs[1:], "", "")[:2]
        if not upper and simplifier.number(lower) == 0:
            x = node.inputs[0]
    return simplifier.add(node, "Relu", x) if x and simplifier.type(x).dtype == "float" else None


def leaky_relu(simplifier: Simplifier, node: Node) -> str | None:
    """PRelu with one slope is LeakyRelu."""
    slope = simplifier.number(node.inputs[1]) if node.operation.name() == "PRelu" else None
    return None if slope is None else simplifier.add(node, "LeakyRelu", node.inputs[0], alpha=slope)


def hard_sigmoid(simplifier: Simplifier, node: Node) -> str | None:
    """x + 3 within 0 and 6, divided by 6, is HardSigmoid."""
    if node.operation.name() == "Div":
        clipped, scale = node.inputs[0], simplifier.number(node.inputs[1])
    elif node.operation.name() == "Mul":
        by_number = [pair for pair in simplifier.operands(node) if simplifier.number(pair[1])]
        if not by_number:
            return None
        clipped = by_number[0][0]
        scale = 1 / (simplifier.number(by_number[0][1]) or 1.0)
    else:
        return None
    clip = simplifier.producer(clipped, "Clip")
    if clip is None or scale is None or not math.isclose(scale, 6, rel_tol=1e-6) or len(clip.inputs) != 3:
        return None
    if (simplifier.number(clip.inputs[1]), simplifier.number(clip.inputs[2])) != (0, 6):
        return None
    shifted = simplifier.producer(clip.inputs[0], "Add")
    if shifted is None:
        return None
    for x, three in simplifier.operands(shifted):
        if simplifier.number(three) == 3:
            return simplifier.add(node, "HardSigmoid", x, alpha=1 / 6, beta=0.5)
    return None


def softsign(simplifier: Simplifier, node: Node) -> str | None:
    """x / (1 + |x|) is Softsign."""
    total = simplifier.producer(node.inputs[1], "Add") if node.operation.name() == "Div" else None
    if total is None:
        return None
    for one, absolute in simplifier.operands(total):
        size = simplifier.producer(absolute, "Abs")
        if simplifier.number(one) == 1 and size is not None and size.inputs[0] == node.inputs[0]:
            return simplifier.add(node, "Softsign", node.inputs[0])
    return None


def positive(simplifier: Simplifier, node: Node) -> str | None:
    """A maximum with a number that no size is below, as of a count with 1, is the size."""
    if node.operation.name() != "Max" or len(node.inputs) != 2:
        return None
    for value, bound in simplifier.operands(node):
        size = _size_of(simplifier, value)
        least = simplifier.number(bound)
        if size is None or least is None or least != int(least) or simplifier.type(bound).shape not in ((), (1,)):
            continue
        if at_least(size, int(least)):
            return value
    return None


REWRITES: tuple[Rewrite, ...] = (
    without_effect,
    one_transpose,
    stacked_concat,
    one_reshape,
    one_row,
    constant_row,
    row_of_concat,
    reduced_concat,
    global_pooling,
    mean_of_sum,
    batch_normalization,
    swish,
    gelu,
    relu,
    leaky_relu,
    hard_sigmoid,
    softsign,
    positive,
)
"""In this order: the first one that applies is taken, and what it adds is rewritten in turn."""
