"""How the operations are written in ONNX that differ from the operator of their name in its opset, or have none.

Each function adds the nodes of one operation, and returns the names of its outputs. Its arguments are the writer, the
node, and the values in the ONNX graph that the node reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.members.onnx.graph import Graph, Value, ints, scalar
from gatewise.members.onnx.loop import loop, select
from gatewise.members.onnx.network import GraphWriter
from gatewise.members.onnx.recurrence import recurrent
from gatewise.network.graph import Graph as Network
from gatewise.network.graph import Node
from gatewise.network.operation import DType
from gatewise.network.size import Dim

_NUMPY: dict[DType, Any] = {"float": np.float32, "int64": np.int64, "int32": np.int32, "bool": np.bool_}
_HALF = scalar(0.5, np.float32)
_FLOAT_ONE = scalar(1, np.float32)


def cast(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """Cast has the dtype as a number."""
    operation: Any = node.operation
    return [writer.onnx.cast(x, _NUMPY[operation.to])]


def same(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """Dropout is for training."""
    return [writer.onnx.add("Identity", x)]


def constant_of_shape(writer: GraphWriter, node: Node) -> list[str]:
    """The value is a tensor of one number."""
    operation: Any = node.operation
    value = np.array([operation.value], dtype=_NUMPY[operation.dtype])
    return [writer.onnx.add("ConstantOfShape", writer.sizes.vector(operation.input), value=writer.onnx.tensor(value))]


def sizes(writer: GraphWriter, node: Node) -> list[str]:
    """Sizes are computed from the shapes of the inputs."""
    operation: Any = node.operation
    if operation.scalar:
        return [writer.onnx.name_of(writer.sizes.scalar(operation.sizes[0]))]
    return [writer.onnx.name_of(writer.sizes.vector(operation.sizes))]


def range_(writer: GraphWriter, node: Node) -> list[str]:
    """Sizes are int64, and so is a range of them."""
    operation: Any = node.operation
    start, limit = (writer.sizes.scalar(dim) for dim in (operation.start, operation.limit))
    whole = writer.onnx.add("Range", start, limit, scalar(operation.delta))
    return [whole if operation.dtype == "int64" else writer.onnx.cast(whole, np.int32)]


def gather(writer: GraphWriter, node: Node) -> list[str]:
    """The rows of a table, which a file with a smaller dtype converts when they are read."""
    operation: Any = node.operation
    table = writer.constant(node.inputs[0])
    is_table = table is not None and table.ndim == 2 and table.dtype.kind == "f" and operation.axis == 0
    if writer.onnx.storage == "float32" or not is_table:
        return writer.operation(operation, *map(writer.value, node.inputs))
    assert table is not None
    return [writer.onnx.lookup("", table.astype(np.float32), writer.value(node.inputs[1]))]


def one_hot(writer: GraphWriter, node: Node, indices: str) -> list[str]:
    """The values are a tensor. ONNX Runtime has kernels for int64 indices, and for int64 and float32 values."""
    operation: Any = node.operation
    wanted = _NUMPY[operation.dtype]
    dtype = np.float32 if operation.dtype == "float" else np.int64
    rows = indices if writer.type(node.inputs[0]).dtype == "int64" else writer.onnx.cast(indices, np.int64)
    values = np.array(operation.values, dtype=dtype)
    depth = writer.sizes.scalar(operation.depth)
    if writer.type(node.inputs[0]).shape:
        hot = writer.onnx.add("OneHot", rows, depth, values, axis=operation.axis)
    else:
        # The operator takes a vector of indices at least.
        several = writer.onnx.add("OneHot", writer.onnx.add("Unsqueeze", rows, ints(0)), depth, values, axis=-1)
        hot = writer.onnx.add("Squeeze", several, ints(0))
    return [hot if dtype is wanted else writer.onnx.cast(hot, wanted)]


def pad(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """The opset has no axes, no mode "wrap", and ONNX Runtime no kernel for bool."""
    operation: Any = node.operation
    onnx = writer.onnx
    value_type = writer.type(node.inputs[0])
    rank = len(value_type.shape)
    axes = range(rank) if operation.axes is None else [axis % rank for axis in operation.axes]
    before: list[Dim] = [0] * rank
    after: list[Dim] = [0] * rank
    for place, axis in enumerate(axes):
        before[axis] = operation.pads[place]
        after[axis] = operation.pads[len(axes) + place]
    if operation.mode == "wrap":
        for number, size in enumerate(value_type.shape):
            source = onnx.add(
                "Range", writer.sizes.scalar(-1 * before[number]), writer.sizes.scalar(size + after[number]), scalar(1)
            )
            x = onnx.add("Gather", x, onnx.add("Mod", source, writer.sizes.scalar(size)), axis=number)
        return [x]
    is_bool = value_type.dtype == "bool"
    dtype = np.int32 if is_bool else _NUMPY[value_type.dtype]
    inputs: list[Value] = [onnx.cast(x, np.int32) if is_bool else x, writer.sizes.vector((*before, *after))]
    if operation.mode == "constant":
        inputs.append(scalar(operation.constant_value, dtype))
    padded = onnx.add("Pad", *inputs, mode=operation.mode)
    return [onnx.cast(padded, np.bool_) if is_bool else padded]


def split(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """The opset has no num_outputs."""
    operation: Any = node.operation
    axis = operation.axis % len(writer.type(node.inputs[0]).shape)
    chunks = tuple(writer.type(name).shape[axis] for name in node.outputs)
    return writer.onnx.add_several("Split", len(chunks), x, writer.sizes.vector(chunks), axis=axis)


def mod(writer: GraphWriter, node: Node, a: str, b: str) -> list[str]:
    """fmod = 0 of floating-point numbers came with opset 28: the remainder of fmod has the sign of a, and b is added
    where b has another one.
    """
    operation: Any = node.operation
    onnx = writer.onnx
    if writer.type(node.outputs[0]).dtype != "float" or operation.fmod:
        return [onnx.add("Mod", a, b, fmod=operation.fmod)]
    rest = onnx.add("Mod", a, b, fmod=1)
    zero = scalar(0, np.float32)
    differs = onnx.add("Xor", onnx.add("Less", rest, zero), onnx.add("Less", b, zero))
    differs = onnx.add("And", differs, onnx.add("Not", onnx.add("Equal", rest, zero)))
    return [onnx.add("Where", differs, onnx.add("Add", rest, b), rest)]


def gelu(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """Gelu came with opset 20."""
    operation: Any = node.operation
    onnx = writer.onnx
    if operation.approximate == "tanh":
        cubic = onnx.add("Mul", onnx.add("Mul", x, onnx.add("Mul", x, x)), scalar(0.044715, np.float32))
        inner = onnx.add("Mul", onnx.add("Add", x, cubic), scalar(math.sqrt(2 / math.pi), np.float32))
        inside = onnx.add("Tanh", inner)
    else:
        inside = onnx.add("Erf", onnx.add("Mul", x, scalar(math.sqrt(0.5), np.float32)))
    probability = onnx.add("Mul", onnx.add("Add", inside, _FLOAT_ONE), _HALF)
    return [onnx.add("Mul", x, probability)]


def mish(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """Mish came with opset 18."""
    return [writer.onnx.add("Mul", x, writer.onnx.add("Tanh", writer.onnx.add("Softplus", x)))]


def swish(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """Swish came with opset 24."""
    operation: Any = node.operation
    inner = x
    if operation.alpha != 1:
        inner = writer.onnx.add("Mul", x, scalar(operation.alpha, np.float32))
    return [writer.onnx.add("Mul", x, writer.onnx.add("Sigmoid", inner))]


def prelu(writer: GraphWriter, node: Node, x: str, slope: str) -> list[str]:
    """ONNX Runtime has no kernel for whole numbers."""
    if writer.type(node.inputs[0]).dtype == "float":
        return writer.operation(node.operation, x, slope)
    zero = scalar(0, writer.dtype(node.inputs[0]))
    above = writer.onnx.add("Greater", x, zero)
    return [writer.onnx.add("Where", above, x, writer.onnx.add("Mul", slope, x))]


def relu(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """ONNX Runtime has no kernel for int64."""
    if writer.type(node.inputs[0]).dtype == "float":
        return [writer.onnx.add("Relu", x)]
    return [writer.onnx.add("Max", x, scalar(0, writer.dtype(node.inputs[0])))]


def where(writer: GraphWriter, node: Node, condition: str, x: str, y: str) -> list[str]:
    """ONNX Runtime has no kernel for bool."""
    return [select(writer.onnx, writer.type(node.outputs[0]), condition, x, y)]


def einsum(writer: GraphWriter, node: Node, *inputs: str) -> list[str]:
    """Without ellipses: ONNX Runtime refuses one that the output does not have."""
    operation: Any = node.operation
    ranks = [len(writer.type(name).shape) for name in node.inputs]
    return [writer.onnx.add("Einsum", *inputs, equation=operation.without_ellipses(ranks))]


def reverse_sequence(writer: GraphWriter, node: Node, x: str, lengths: str) -> list[str]:
    """The lengths are int64."""
    return writer.operation(node.operation, x, writer.onnx.cast(lengths, np.int64))


def top_k(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """The order is always that of the numbers."""
    operation: Any = node.operation
    return writer.operation(replace(operation, sorted=1), x)


def require_longest(writer: GraphWriter, node: Node, x: str, lengths: str) -> list[str]:
    """A node that fails where no sequence has all steps: there is no element 1 of an axis of size 1."""
    onnx = writer.onnx
    longest = onnx.add("ReduceMax", onnx.cast(lengths, np.int64), keepdims=0)
    steps = writer.sizes.scalar(writer.type(node.inputs[0]).shape[1])
    fails = onnx.cast(onnx.add("Not", onnx.add("Equal", longest, steps)), np.int64)
    return [onnx.add("Gather", onnx.add("Unsqueeze", x, ints(0)), fails, axis=0)]


def with_axes(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """Squeeze and Unsqueeze of no axes: Squeeze of ONNX would drop all axes of size 1."""
    operation: Any = node.operation
    if operation.axes == ():
        return [writer.onnx.add("Identity", x)]
    return writer.operation(node.operation, x)


def reduction(writer: GraphWriter, node: Node, x: str) -> list[str]:
    """The opset has noop_with_empty_axes of ReduceSum only, and reduces no bool: a maximum is that of 0 and 1."""
    operation: Any = node.operation
    onnx = writer.onnx
    is_bool = writer.type(node.inputs[0]).dtype == "bool"
    x = onnx.cast(x, np.int32) if is_bool else x
    if not operation.axes and operation.noop_with_empty_axes:
        # Each number by itself is one along a new axis.
        x = onnx.add("Unsqueeze", x, ints(-1))
        operation = replace(operation, axes=(-1,), keepdims=0)
    operation = replace(operation, axes=operation.axes or None, noop_with_empty_axes=0)
    [y] = writer.operation(operation, x)
    return [onnx.cast(y, np.bool_) if is_bool else y]


def group_normalization(writer: GraphWriter, node: Node, x: str, scale: str, bias: str) -> list[str]:
    """GroupNormalization with a scale per channel came with opset 21. An instance normalisation of the groups, scaled
    by 1, is the first half.
    """
    operation: Any = node.operation
    onnx = writer.onnx
    groups = operation.num_groups
    apart = onnx.add("Reshape", x, ints(0, groups, -1))
    ones = np.ones(groups, np.float32)
    normalised = onnx.add("InstanceNormalization", apart, ones, 0 * ones, epsilon=operation.epsilon)
    normalised = onnx.add("Reshape", normalised, onnx.add("Shape", x))
    per_channel = ints(*[-1] + [1] * (len(writer.type(node.inputs[0]).shape) - 2))
    scaled = onnx.add("Mul", normalised, onnx.add("Reshape", scale, per_channel))
    return [onnx.add("Add", scaled, onnx.add("Reshape", bias, per_channel))]


def rms_normalization(writer: GraphWriter, node: Node, x: str, scale: str) -> list[str]:
    """RMSNormalization came with opset 23."""
    operation: Any = node.operation
    onnx = writer.onnx
    rank = len(writer.type(node.inputs[0]).shape)
    axes = list(range(operation.axis % rank, rank))
    square = onnx.add("ReduceMean", onnx.add("Mul", x, x), axes=axes)
    root = onnx.add("Sqrt", onnx.add("Add", square, scalar(operation.epsilon, np.float32)))
    return [onnx.add("Mul", onnx.add("Div", x, root), scale)]


WRITERS: dict[str, Callable[..., list[str]]] = {
    "Cast": cast,
    "ConstantOfShape": constant_of_shape,
    "Dropout": same,
    "Einsum": einsum,
    "Gather": gather,
    "Gelu": gelu,
    "GroupNormalization": group_normalization,
    "Loop": loop,
    "Mish": mish,
    "Mod": mod,
    "OneHot": one_hot,
    "PRelu": prelu,
    "Pad": pad,
    "RMSNormalization": rms_normalization,
    "Range": range_,
    "Recurrent": recurrent,
    "Relu": relu,
    "ReduceL1": reduction,
    "ReduceL2": reduction,
    "ReduceLogSumExp": reduction,
    "ReduceMax": reduction,
    "ReduceMean": reduction,
    "ReduceMin": reduction,
    "ReduceProd": reduction,
    "ReduceSum": reduction,
    "ReduceSumSquare": reduction,
    "RequireLongest": require_longest,
    "ReverseSequence": reverse_sequence,
    "Sizes": sizes,
    "Split": split,
    "Squeeze": with_axes,
    "Swish": swish,
    "TopK": top_k,
    "Unsqueeze": with_axes,
    "Where": where,
}
"""By the names of the operations."""


def write_graph(onnx: Graph, network: Network, inputs: Mapping[str, str], prefix: str = "") -> list[str]:
    """Add the nodes of a network to an ONNX graph; see `GraphWriter`. Returns the values that are its outputs.

    Raises InputError naming a node that cannot be written.
    """
    return GraphWriter(onnx, network, inputs, WRITERS, prefix).write()
