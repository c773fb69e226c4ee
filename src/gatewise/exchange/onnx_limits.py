"""What a stranger's ONNX file must be before anything of it is computed: it refers to no other file and to no operation
of another domain, its functions are few nodes when they are inlined, and its values are of limited size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.exchange.proof_sizes import cost_of, shown, usual_sizes
from gatewise.members.onnx.graph import array_of
from gatewise.network.graph import MAX_NODES, Graph, Node
from gatewise.network.size import product, value_of
from gatewise.types import Array

MAX_NUMBERS = 1 << 26  # that one operation makes of constants, or of a few short sequences
MAX_VALUES = 1 << 27  # numbers of all values together: the answer of the process that runs a file holds no more of them
MAX_MULTIPLY_ADDS = 1 << 36  # of a network that reads a few short sequences: about a minute
MAX_DEPTH = 64  # of functions that call each other
# Of a file of gatewise: those that it writes. None of them runs other graphs, reads files or draws numbers.
_KNOWN = """
    Abs Add And AveragePool BatchNormalization Cast CastLike Clip Concat Constant ConstantOfShape CumSum Div Dropout Elu
    Equal Erf Exp Expand Flatten Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool Greater
    GreaterOrEqual HardSigmoid HardSwish Identity IsNaN LSTM LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max
    MaxPool Min Mish Mod Mul Neg Not Or Pad Range ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape
    ReverseSequence ScatterElements Selu Shape Sigmoid Size Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Tanh
    Tile TopK Transpose Unsqueeze Where
"""
_SIZED = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Pad": 1}  # the input with the sizes
_GRAPHS = ("Loop", "If", "Scan", "SequenceMap")


def check_self_contained(model: Any, where: str) -> None:
    """Refuse a ModelProto that refers to other files, has sparse tensors, runs operations of other domains than that of
    ONNX, in any graph inside of it, or whose functions become too many nodes. where: names the file. Nothing is
    computed. Raises ModelFileError, and InputError naming a node.
    """
    functions = {(function.domain, function.name) for function in model.functions}
    _check_graph(model.graph, functions, where)
    for function in model.functions:
        _check_nodes(function.node, functions, where)
    _check_functions(model, where)


def check_sizes(graph: Graph, where: str) -> None:
    """Refuse a graph of which a few short sequences, or constants, need much memory or time. Nothing is computed.
    Raises InputError naming the node.
    """
    sizes = usual_sizes(graph)
    stored = sum(array.size for array in graph.constants.values())
    for name, value_type in graph.inputs.items():
        count = _count(value_type.shape, sizes)
        if count > MAX_NUMBERS:
            raise InputError(f"{where}: the input {quote(name)} has {_too_many(count, MAX_NUMBERS)}")
    # What the file stores may be transposed, for example.
    limit = max(MAX_NUMBERS, stored)
    for node, inside in _nodes(graph):
        for name in node.outputs:
            count = _count(inside.types[name].shape, sizes)
            if count > limit:
                raise InputError(f"{where}: {node.origin or node.shown}: it makes {_too_many(count, limit)}")
    those = f" for inputs with {shown(sizes)}" if sizes else ""
    cost = cost_of(graph, sizes)
    if cost.elements > MAX_VALUES + stored:
        raise InputError(f"{where}: its values have {_too_many(cost.elements, MAX_VALUES + stored)}{those}")
    if cost.multiply_adds > MAX_MULTIPLY_ADDS:
        work = f"{cost.multiply_adds:,} multiplications{those}, and the limit is {MAX_MULTIPLY_ADDS:,}"
        raise InputError(f"{where}: it computes {work}")


def check_file(model: Any, where: str) -> None:
    """Refuse a ModelProto that says it is of gatewise and has what gatewise does not write: graphs inside of the graph,
    functions, other operations, damaged constants, and operations that make too many numbers of them. Nothing is
    computed. Raises ModelFileError, and InputError naming a node.
    """
    graph = model.graph
    if len(model.functions) or len(graph.sparse_initializer):
        kind = "functions of its own" if len(model.functions) else "sparse tensors"
        raise ModelFileError(f"{where}: it has {kind}, which gatewise does not write")
    constants = {tensor.name: array_of(tensor, where) for tensor in graph.initializer}
    for number, node in enumerate(graph.node, 1):
        place = f"{where}: {_shown(node, number, len(graph.node))}"
        _check_operation(node, place)
        for attribute in node.attribute:
            if node.op_type == "Constant":
                constants[node.output[0]] = _constant(attribute, place, where)
            elif attribute.HasField("t"):
                array_of(attribute.t, where)
        _check_size(node, place, constants)


def _check_graph(graph: Any, functions: Collection[tuple[str, str]], where: str) -> None:
    if len(graph.sparse_initializer):
        raise ModelFileError(f"{where}: it has sparse tensors, which are not read")
    for tensor in graph.initializer:
        _check_stored(tensor, where)
    _check_nodes(graph.node, functions, where)


def _check_nodes(nodes: Any, functions: Collection[tuple[str, str]], where: str) -> None:
    for number, node in enumerate(nodes, 1):
        if node.domain not in ("", "ai.onnx") and (node.domain, node.op_type) not in functions:
            reason = f"it is of the domain {quote(node.domain)}, and operations of ONNX are read"
            raise InputError(f"{where}: {_shown(node, number, len(nodes))}: {reason}")
        for attribute in node.attribute:
            for tensor in (*attribute.tensors, attribute.t):
                _check_stored(tensor, where)
            for graph in (*attribute.graphs, attribute.g):
                _check_graph(graph, functions, where)


def _check_stored(tensor: Any, where: str) -> None:
    if len(tensor.external_data) or tensor.data_location:
        raise ModelFileError(
            f"{where}: {quote(tensor.name)} is stored in another file; save the network in one file, as "
            "onnx.save_model(model, path, save_as_external_data=False) does"
        )


def _check_functions(model: Any, where: str) -> None:
    """Refuse functions in place of operations of ONNX, functions that call themselves, and those that become too many
    nodes when each call is replaced by the nodes of its function.
    """
    functions = {(function.domain, function.name): function for function in model.functions}
    for domain, name in functions:
        if domain in ("", "ai.onnx"):
            raise InputError(f"{where}: its function {quote(name)} has the name of an operation of ONNX")
    inlined: dict[tuple[str, str], int] = {}

    def nodes_of(nodes: Any, callers: tuple[tuple[str, str], ...]) -> int:
        count = 0
        for node in nodes:
            called = (node.domain, node.op_type)
            if called in callers:
                raise InputError(f"{where}: the function {quote(node.op_type)} calls itself")
            if len(callers) > MAX_DEPTH:
                raise InputError(f"{where}: its functions call each other more than {MAX_DEPTH} deep")
            if called in functions:
                if called not in inlined:
                    inlined[called] = nodes_of(functions[called].node, (*callers, called))
                count += inlined[called]
            count += 1
            for attribute in node.attribute:
                for graph in (*attribute.graphs, attribute.g):
                    count += nodes_of(graph.node, callers)
        return count

    count = nodes_of(model.graph.node, ())
    if count > MAX_NODES:
        raise InputError(f"{where}: with its functions it has {count:,} nodes, more than {MAX_NODES:,}")


def _nodes(graph: Graph) -> Iterator[tuple[Node, Graph]]:
    """All nodes, each with its graph; those of loops too."""
    for node in graph.nodes:
        yield node, graph
        body = getattr(node.operation, "body", None)
        if isinstance(body, Graph):
            yield from _nodes(body)


def _count(shape: Any, sizes: Mapping[str, int]) -> int:
    return max(value_of(product(shape), sizes), 0)


def _too_many(count: int, limit: int) -> str:
    return f"{count:,} numbers, and the limit is {limit:,}"


def _shown(node: Any, number: int, count: int) -> str:
    """A node for messages."""
    return f"{node.op_type} {quote(node.name)}, node {number} of {count}"


def _check_operation(node: Any, place: str) -> None:
    holds_graphs = any(attribute.HasField("g") or len(attribute.graphs) for attribute in node.attribute)
    if holds_graphs or node.op_type in _GRAPHS:
        raise InputError(f"{place}: it runs a graph inside of the graph, which gatewise does not write")
    if node.domain not in ("", "ai.onnx") and (node.domain, node.op_type) != ("ai.onnx.ml", "LabelEncoder"):
        raise InputError(f"{place}: it is of the domain {quote(node.domain)}, which gatewise does not write")
    if node.domain != "ai.onnx.ml" and node.op_type not in _KNOWN.split():
        raise InputError(f"{place}: gatewise does not write this operation")


def _constant(attribute: Any, place: str, where: str) -> Array:
    if attribute.HasField("t"):
        return array_of(attribute.t, where)
    if attribute.HasField("sparse_tensor"):
        raise InputError(f"{place}: its constant is a sparse tensor")
    value = required("onnx", "onnx", "the ONNX format").helper.get_attribute_value(attribute)
    return np.asarray(value)


def _check_size(node: Any, place: str, constants: dict[str, Array]) -> None:
    """Refuse a node that makes too many numbers of constants. Sizes made of the inputs are limited as it runs."""
    if node.op_type == "Range" and all(name in constants for name in node.input):
        start, limit, delta = (float(np.ravel(constants[name])[0]) for name in node.input)
        count = abs((limit - start) / delta) if delta else float("inf")
    elif node.op_type in _SIZED and len(node.input) > _SIZED[node.op_type]:
        sizes = constants.get(node.input[_SIZED[node.op_type]])
        if sizes is None:
            return
        read = constants.get(node.input[0])
        numbers = np.abs(sizes.astype(np.float64).ravel())
        if node.op_type == "Pad":
            count = float(numbers.max(initial=0))
        elif node.op_type == "Tile" and read is not None:
            count = float(np.prod(numbers)) * read.size
        else:
            count = float(np.prod(numbers))
    else:
        return
    if not count <= MAX_NUMBERS:
        raise InputError(f"{place}: it makes {count:,.0f} numbers, and the limit is {MAX_NUMBERS:,}")
