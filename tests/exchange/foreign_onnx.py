"""ONNX files as strangers write them: a small network of series with further nodes, and harmful files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from gatewise.types import Array

C, H = 3, 4  # channels and units
Node = tuple[str, Sequence[str], str, dict[str, Any]]  # operation, inputs, output, attributes


def write(
    path: Path,
    before: Sequence[Node] = (),
    after: Sequence[Node] = (),
    constants: dict[str, Array] | None = None,
    seed: int = 0,
    pooled: str = "last",
) -> Path:
    """A network of series "x" (batch, steps, C), with the lengths too if the nodes read "lengths". before: nodes from
    "x" to "read", after: from the states "h" (batch, steps, H) to "pooled" (batch, H). pooled: "last", or "" where the
    nodes make it.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {
        "W": rng.normal(0, 0.7, (1, 4 * H, C)).astype(np.float32),
        "R": rng.normal(0, 0.7, (1, 4 * H, H)).astype(np.float32),
        "B": rng.normal(0, 0.3, (1, 8 * H)).astype(np.float32),
        "dense": rng.normal(size=(H, 2)).astype(np.float32),
        "bias": rng.normal(size=2).astype(np.float32),
        "one": np.array([1]),
        "zero": np.array([0]),
        "last": np.array(-1),
        **(constants or {}),
    }
    nodes: list[Any] = [helper.make_node(op, inputs, [out], **settings) for op, inputs, out, settings in before]
    if not before:
        nodes.append(helper.make_node("Identity", ["x"], ["read"]))
    nodes += [
        helper.make_node("Transpose", ["read"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["steps", "W", "R", "B"], ["Y"], hidden_size=H),
        helper.make_node("Squeeze", ["Y", "one"], ["Y0"]),
        helper.make_node("Transpose", ["Y0"], ["h"], perm=[1, 0, 2]),
    ]
    nodes += [helper.make_node(op, inputs, [out], **settings) for op, inputs, out, settings in after]
    if pooled == "last":
        nodes.append(helper.make_node("Gather", ["h", "last"], ["pooled"], axis=1))
    nodes.append(helper.make_node("Gemm", ["pooled", "dense", "bias"], ["y"]))
    read = {name for node in nodes for name in node.input}
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "steps", C])]
    if "lengths" in read:
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]))
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])]
    kept = [numpy_helper.from_array(array, name) for name, array in arrays.items() if name in read]
    return save(path, helper.make_graph(nodes, "g", inputs, outputs, kept))


def save(path: Path, graph: Any, **options: Any) -> Path:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8, **options).SerializeToString())
    return path


def _harmful(path: Path, nodes: Sequence[Any], constants: dict[str, Array]) -> Path:
    """A graph from "x" (batch, steps) of ids to "y"."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", "steps"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    kept = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    return save(path, helper.make_graph(list(nodes), "g", inputs, outputs, kept))


def endless_loop(path: Path) -> Path:
    """A Loop of 2^62 rounds."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["keep"], ["again"]),
            helper.make_node("Add", ["value", "value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1]),
        ],
    )
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["f"], ["m"], keepdims=0),
        helper.make_node("Reshape", ["m", "shape"], ["start"]),
        helper.make_node("Loop", ["rounds", "true", "start"], ["y"], body=body),
    ]
    return _harmful(
        path, nodes, {"rounds": np.array(2**62), "true": np.array(True), "shape": np.array([1], dtype=np.int64)}
    )


def huge_constant(path: Path, op: str = "ConstantOfShape") -> Path:
    """One node that makes 2^36 numbers."""
    sizes = np.array([2**18, 2**18])
    number = np.ones((1, 1), np.float32)
    made = {
        "ConstantOfShape": helper.make_node("ConstantOfShape", ["sizes"], ["c"]),
        "Expand": helper.make_node("Expand", ["number", "sizes"], ["c"]),
        "Tile": helper.make_node("Tile", ["number", "sizes"], ["c"]),
        "Range": helper.make_node("Range", ["from", "to", "step"], ["c"]),
        "Pad": helper.make_node("Pad", ["number", "pads"], ["c"]),
    }[op]
    constants = {
        "sizes": sizes, "number": number, "from": np.array(0.0), "to": np.array(2.0**36), "step": np.array(1.0),
        "pads": np.array([0, 0, 2**36, 0]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        made,
        helper.make_node("ReduceMax", ["c"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["m32"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["f", "m32"], ["y"]),
    ]
    return _harmful(path, nodes, {name: constants[name] for name in made.input})


def growing(path: Path, doublings: int = 40) -> Path:
    """Concatenations, each of two of the one before: no single node shows how large the last one is."""
    nodes = [helper.make_node("Cast", ["x"], ["c0"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("Concat", [f"c{n}", f"c{n}"], [f"c{n + 1}"], axis=0) for n in range(doublings)]
    nodes.append(helper.make_node("Identity", [f"c{doublings}"], ["y"]))
    return _harmful(path, nodes, {})


def slow(path: Path, products: int = 3000) -> Path:
    """Products of large matrices, one after the other, which take a second each and little memory."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["f"], ["m"], keepdims=0),
        helper.make_node("ConstantOfShape", ["sizes"], ["zeros"]),
        helper.make_node("Add", ["zeros", "m"], ["p0"]),
    ]
    nodes += [helper.make_node("MatMul", [f"p{n}", f"p{n}"], [f"p{n + 1}"]) for n in range(products)]
    nodes.append(helper.make_node("ReduceMax", [f"p{products}"], ["y"]))
    return _harmful(path, nodes, {"sizes": np.array([2500, 2500])})


def external(path: Path) -> Path:
    """A tensor that is stored in another file of the machine."""
    write(path)
    import onnx

    model = onnx.load_model(path, load_external_data=False)
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    model.graph.initializer[0].external_data.add(key="location", value="/etc/hostname")
    path.write_bytes(model.SerializeToString())
    return path


def own_function(path: Path) -> Path:
    """A function of the file that calls itself from a node."""
    function = helper.make_function(
        "local", "F", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("F", ["f"], ["y"], domain="local"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", "steps"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), functions=[function], opset_imports=opsets, ir_version=8
    )
    path.write_bytes(model.SerializeToString())
    return path


def foreign_domain(path: Path) -> Path:
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Inverse", ["f"], ["y"], domain="com.microsoft"),
    ]
    return _harmful(path, nodes, {})


HARMFUL: dict[str, tuple[Callable[[Path], Path], str]] = {
    "loop": (endless_loop, r"\(Loop, node 4 of 4\): it runs a graph inside of the graph"),
    **{
        op: (lambda path, op=op: huge_constant(path, op), rf"\({op}, node 2 of 5\): it makes 68,719,476,736 numbers")
        for op in ("ConstantOfShape", "Expand", "Tile", "Range", "Pad")
    },
    "external data": (external, "is stored in another file"),
    "function": (own_function, "it has functions of its own"),
    "domain": (foreign_domain, r"\(Inverse, node 2 of 2\): it is of the domain 'com.microsoft'"),
}
