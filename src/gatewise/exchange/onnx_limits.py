"""What a stranger's ONNX graph must be before ONNX Runtime opens it: known operations without graphs inside, constants
of the file itself, and sizes within a limit.
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from gatewise.errors import InputError, ModelFileError, quote, required
from gatewise.members.onnx.graph import array_of
from gatewise.network.value_matching import ACTIVATIONS, Operation
from gatewise.types import Array

MAX_NUMBERS = 1 << 26  # that one operation makes of constants
# Those that gatewise writes, reads, or that exporters write for shapes and masks. None of them runs other graphs, reads
# files or draws numbers.
_KNOWN = """
    Abs Add And AveragePool BatchNormalization Cast CastLike Clip Concat Constant ConstantOfShape CumSum Div Dropout
    Equal Erf Exp Expand Flatten Gather GatherElements GatherND Gemm GlobalAveragePool GlobalMaxPool Greater
    GreaterOrEqual Identity IsNaN LSTM Less LessOrEqual Log MatMul Max MaxPool Min Mod Mul Neg Not Or Pad Range
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape ReverseSequence ScatterElements Shape Size Slice Split
    Sqrt Squeeze Sub Tile TopK Transpose Unsqueeze Where
"""
_SIZED = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Pad": 1}  # the input with the sizes
_GRAPHS = ("Loop", "If", "Scan", "SequenceMap")


def check_file(model: Any, where: str) -> None:
    """Refuse a ModelProto that may run code of its own or read other files, or whose constants are damaged or too
    large. where: names the file. Raises ModelFileError, and InputError naming a node.
    """
    graph = model.graph
    if len(model.functions) or len(graph.sparse_initializer):
        kind = "functions of its own" if len(model.functions) else "sparse tensors"
        raise ModelFileError(f"{where}: it has {kind}, and gatewise reads graphs of the operations of ONNX")
    constants = {tensor.name: array_of(tensor, where) for tensor in graph.initializer}
    for number, node in enumerate(graph.node, 1):
        own = Operation(node.name or next(iter(node.output), ""), node.op_type, f"node {number} of {len(graph.node)}")
        _check_operation(node, own)
        for attribute in node.attribute:
            if node.op_type == "Constant":
                constants[node.output[0]] = _constant(attribute, own, where)
            elif attribute.HasField("t"):
                array_of(attribute.t, where)
        _check_size(node, own, constants)


def check_self_contained(model: Any, where: str) -> None:
    """Refuse a ModelProto that refers to other files, has sparse tensors, or runs operations of other domains than that
    of ONNX, in any graph inside of it. Nothing is computed. Raises ModelFileError, and InputError naming a node.
    """
    functions = {(function.domain, function.name) for function in model.functions}
    _check_graph(model.graph, functions, where)
    for function in model.functions:
        _check_nodes(function.node, functions, where)


def _check_graph(graph: Any, functions: Collection[tuple[str, str]], where: str) -> None:
    if len(graph.sparse_initializer):
        raise ModelFileError(f"{where}: it has sparse tensors, which are not read")
    for tensor in graph.initializer:
        _check_stored(tensor, where)
    _check_nodes(graph.node, functions, where)


def _check_nodes(nodes: Any, functions: Collection[tuple[str, str]], where: str) -> None:
    for number, node in enumerate(nodes, 1):
        if node.domain not in ("", "ai.onnx") and (node.domain, node.op_type) not in functions:
            own = f"{node.op_type} {quote(node.name)}, node {number} of {len(nodes)}"
            reason = f"it is of the domain {quote(node.domain)}, and operations of ONNX are read"
            raise InputError(f"{where}: {own}: {reason}")
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


def _check_operation(node: Any, own: Operation) -> None:
    if any(one.HasField("g") or len(one.graphs) for one in node.attribute) or node.op_type in _GRAPHS:
        own.refuse("it runs a graph inside of the graph, for which no time or memory can be told")
    if node.domain not in ("", "ai.onnx") and (node.domain, node.op_type) != ("ai.onnx.ml", "LabelEncoder"):
        own.refuse(f"it is of the domain {quote(node.domain)}, and gatewise reads the operations of ONNX")
    known = node.domain == "ai.onnx.ml" or node.op_type in _KNOWN.split() or node.op_type.lower() in ACTIVATIONS
    if not known:
        own.refuse()


def _constant(attribute: Any, own: Operation, where: str) -> Array:
    if attribute.HasField("t"):
        return array_of(attribute.t, where)
    if attribute.HasField("sparse_tensor"):
        own.refuse("its constant is a sparse tensor")
    value = required("onnx", "onnx", "the ONNX format").helper.get_attribute_value(attribute)
    return np.asarray(value)


def _check_size(node: Any, own: Operation, constants: dict[str, Array]) -> None:
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
        own.refuse(f"it makes {count:,.0f} numbers, and the limit is {MAX_NUMBERS:,}")
