"""A graph as an ONNX file: ONNX Runtime computes what the graph computes, and the file read back does too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.exchange.graph_to_onnx import graph_to_onnx
from gatewise.exchange.onnx_graph import graph_of
from gatewise.network.graph import Graph, Guard, Node
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.operations import NAMES, operation_of
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import divided, maximum, minimum, remainder, symbol
from tests.exchange.test_onnx_graph import MODULES, V, exported
from tests.network.operations.checks import dtype_of
from tests.network.operations.test_operations import CASES, FAMILIES

pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")


def check(graph: Graph, inputs: dict[str, Any], tolerance: float = 2e-6) -> None:
    """The outputs of the graph, of ONNX Runtime and of the graph that is read back."""
    values = graph.run(inputs)
    expected = [values[name] for name in graph.outputs]
    model = graph_to_onnx(graph)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    computed = {"ONNX Runtime": session.run(None, inputs)}
    read = graph_of(model, "graph.onnx")
    assert [*read.inputs] == [*graph.inputs]
    read_values = read.run(inputs)
    computed["read back"] = [read_values[name] for name in read.outputs]
    for name, outputs in computed.items():
        for output, wanted in zip(outputs, expected, strict=True):
            assert output.dtype == wanted.dtype, name
            np.testing.assert_allclose(output, wanted, rtol=tolerance, atol=tolerance, err_msg=name)


def graph_with(operation: Any, arrays: list[Any], axes: list[dict[int, str]]) -> tuple[Graph, dict[str, Any]]:
    """A graph of one node whose inputs are its own, and these inputs; with symbols for some axes."""
    inputs = {}
    types = {}
    names = []
    for number, (array, symbols) in enumerate(zip(arrays, axes, strict=True)):
        if array is None:
            names.append("")
            continue
        array = np.asarray(array)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        shape: list[Any] = list(array.shape)
        for axis, name in symbols.items():
            shape[axis] = symbol(name)
        names.append(f"input_{number}")
        inputs[names[-1]] = array
        types[names[-1]] = ValueType(dtype_of(array), tuple(shape))
    taken = names if operation.variadic else names[: len(operation.value_inputs())]
    count = len(operation.infer(*(types[name] if name else None for name in taken)))
    outputs = tuple(f"output_{number}" for number in range(count))
    return Graph(types, {}, (Node("node", operation, tuple(taken), outputs),), outputs), inputs


@pytest.mark.parametrize("name", NAMES)
def test_each_operation(name: str) -> None:
    for attributes, inputs in CASES[name]:
        operation = operation_of(name, attributes)
        if name == "AveragePool" and attributes.get("dilations"):
            continue  # the opset has none: see below
        graph, feeds = graph_with(operation, inputs, [{}] * len(inputs))
        if any(0 in array.shape for array in feeds.values()):
            continue  # a graph has no empty axis
        check(graph, feeds)


@pytest.mark.parametrize("case", [case for family in FAMILIES for case in family.SYMBOLIC], ids=lambda case: case[0])
def test_sizes_that_depend_on_the_inputs(case: Any) -> None:
    name, attributes, inputs, axes = case
    graph, feeds = graph_with(operation_of(name, attributes), inputs, axes)
    check(graph, feeds)


@pytest.mark.parametrize("kind", MODULES, ids=lambda kind: kind.__name__)
def test_networks_of_several_nodes(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(8)
    graph = graph_of(exported(kind(), tmp_path / "m.onnx"), "m.onnx")
    rng = np.random.default_rng(2)
    for batch, steps in ((1, 1), (3, 2), (2, 23)):
        check(graph, {"ids": rng.integers(0, V, (batch, steps))}, 1e-5)


B, T = symbol("B"), symbol("T")


def test_sizes_are_computed_from_the_inputs() -> None:
    """Each kind of size, also below 0, where the floor is not what Div of ONNX computes."""
    sizes = (
        2 * T * B + 3, T - 9, divided(T - 9, 4), remainder(T - 9, 4), maximum(T, 2 * B), minimum(T - 3, B),
        divided(T, B),
    )  # fmt: skip
    builder = GraphBuilder()
    builder.input("y", ValueType("float", (T,)))
    builder.input("x", ValueType("float", (B, 2, T + 1)))
    vector = builder.add("Sizes", sizes=sizes)
    number = builder.add("Sizes", sizes=(divided(1 - T, 3),), scalar=True)
    graph = builder.graph([vector, number])
    for batch, steps in ((1, 1), (3, 4), (2, 11), (7, 30)):
        x = np.zeros((batch, 2, steps + 1), np.float32)
        check(graph, {"y": np.zeros(steps, np.float32), "x": x})


def test_shapes_with_quotients_of_negative_sizes_are_read_back() -> None:
    """They are written with Sub, Mod and Div, and are sizes again: a shape must be one."""
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (1, T)))
    rows = divided(T - 9, 4) + remainder(3 - T, 5) + 4
    graph = builder.graph([builder.add("Expand", x, shape=(rows, T))])
    for steps in (1, 4, 9, 14):
        check(graph, {"x": np.arange(steps, dtype=np.float32)[None]})


def test_a_guard_is_part_of_the_file() -> None:
    """ONNX Runtime refuses the sizes for which the graph does not hold."""
    x = ValueType("float", (B, T))
    guards = (Guard(T, "<=", 5), Guard(B, "!=", T), Guard(1, "<", T))
    graph = Graph({"x": x}, {}, (Node("tanh", operation_of("Tanh", {}), ("x",), ("y",)),), ("y",), guards)
    session = runtime.InferenceSession(graph_to_onnx(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    values = np.random.default_rng(0).standard_normal((9, 9)).astype(np.float32)
    for batch, steps in ((1, 2), (9, 5), (3, 4)):
        check(graph, {"x": values[:batch, :steps]})
    for batch, steps, guard in ((1, 6, "T <= 5"), (3, 3, "B != T"), (2, 1, "1 < T")):
        with pytest.raises(Exception, match=f"x, for sizes with {guard}"):
            session.run(None, {"x": values[:batch, :steps]})


def test_outputs_that_no_node_computes_and_names_that_are_taken() -> None:
    """An input, a constant, an output twice; and values that are called as those that the writer adds."""
    rng = np.random.default_rng(0)
    constants = {"constant_0": rng.standard_normal(3), "Shape_0": rng.standard_normal((1, 3))}
    add = operation_of("Add", {})
    nodes = (
        Node("a", operation_of("Gelu", {}), ("x",), ("Mul_0",)),
        Node("b", operation_of("Reshape", {"shape": (T, 3)}), ("Mul_0",), ("Mul_1",)),
        Node("c", add, ("Mul_1", "constant_0"), ("Concat_3",)),
        Node("d", add, ("Concat_3", "Shape_0"), ("y",)),
    )
    x = ValueType("float", (T, 3))
    graph = Graph({"x": x}, constants, nodes, ("y", "x", "constant_0", "y"))
    check(graph, {"x": rng.standard_normal((5, 3)).astype(np.float32)})


def test_loops_of_no_sequence_of_no_step_and_within_each_other() -> None:
    """A state squared T - 1 times, in each of 3 steps over the rows of x, with a size that the inner body reads."""
    inner = GraphBuilder()
    square = inner.input("square", ValueType("float", (B, 2)))
    scale = inner.input("scale", ValueType("float", ()))
    steps = inner.add("Cast", inner.add("Sizes", sizes=(T,), scalar=True), to=1)
    scaled = inner.add("Div", inner.add("Mul", inner.add("Mul", square, square), scale), steps)
    outer = GraphBuilder()
    state = outer.input("state", ValueType("float", (B, 2)))
    row = outer.input("row", ValueType("float", (B, 2)))
    outer.input("scale", ValueType("float", ()))
    total = outer.add("Add", state, row)
    squared = outer.add("Loop", total, "scale", body=inner.graph([scaled]), steps=T - 1)
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, 3, 2)))
    start = builder.input("start", ValueType("float", (B, 2)))
    builder.input("unread", ValueType("float", (T,)))
    whole = builder.constant(np.array(0.7))
    body = outer.graph([squared, total])
    loop = operation_of("Loop", {"body": body, "steps": 3, "axes": (1,), "output_axes": (0,)})
    graph = builder.graph(builder.node(loop, (start, x, whole)))
    rng = np.random.default_rng(3)
    for batch, count in ((2, 1), (1, 2), (3, 4)):
        inputs = {
            "x": rng.standard_normal((batch, 3, 2)).astype(np.float32),
            "start": rng.standard_normal((batch, 2)).astype(np.float32),
            "unread": np.zeros(count, np.float32),
        }
        check(graph, inputs, 1e-4)


@pytest.mark.parametrize("masked", ["previous", "zero"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("cell", "activations"),
    [("LSTM", ()), ("GRU", ()), ("RNN", ()), ("LSTM", ("Mish", "Gelu", "HardSwish")), ("GRU", ("Gelu", "Swish"))],
)
def test_recurrences_with_masks_that_depend_on_the_inputs(
    cell: Any, activations: tuple[str, ...], masked: Any, reverse: bool
) -> None:
    """Masks with pads in front, within and at the end, and of no step; weights that a node computes."""
    rng = np.random.default_rng(1)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[cell]
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 2)))
    mask = builder.input("mask", ValueType("bool", (B, T)))
    h0 = builder.input("h0", ValueType("float", (B, 3)))
    factor = builder.input("factor", ValueType("float", ()))
    arrays = [rng.standard_normal(shape) for shape in ((3 * gates, 2), (3 * gates, 3), (3 * gates,), (3 * gates,))]
    weights = [builder.add("Mul", builder.constant(array), factor) for array in arrays]
    layer = Recurrent(
        cell, reverse=reverse, masked=masked, activations=tuple(operation_of(name, {}) for name in activations)
    )
    outputs = builder.node(layer, (x, *weights, mask, h0))
    graph = builder.graph(outputs)
    flags = rng.random((6, 7)) < 0.6
    flags[0] = False
    flags[1] = True
    flags[2] = [False, False, True, True, True, True, False]
    for steps in (1, 7):
        inputs = {
            "x": rng.standard_normal((6, steps, 2)).astype(np.float32),
            "mask": flags[:, :steps],
            "h0": rng.standard_normal((6, 3)).astype(np.float32),
            "factor": np.array(0.7, np.float32),
        }
        check(graph, inputs, 1e-5)


def test_what_the_opset_does_not_have_is_refused() -> None:
    pool = operation_of("AveragePool", {"kernel_shape": (2,), "dilations": (2,)})
    graph = Graph({"x": ValueType("float", (B, 2, 9))}, {}, (Node("p", pool, ("x",), ("y",), "line 7"),), ("y",))
    with pytest.raises(InputError, match=r"node 'p' \(line 7\): AveragePool: dilations = \(2,\) cannot be written"):
        graph_to_onnx(graph)


def test_each_constant_is_stored_once(tmp_path: Path) -> None:
    """The weights of recurrences are stored in the order of ONNX alone."""
    graph = graph_of(exported(MODULES[1](), tmp_path / "m.onnx"), "m.onnx")
    model = graph_to_onnx(graph)
    read = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= read
    assert len(model.SerializeToString()) < sum(array.nbytes for array in graph.constants.values()) + 25_000


def test_sequences_that_are_all_shorter_are_refused_by_the_file() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 2)))
    lengths = builder.input("lengths", ValueType("int64", (B,)))
    graph = builder.graph([builder.add("RequireLongest", x, lengths)])
    session = runtime.InferenceSession(graph_to_onnx(graph).SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"x": np.ones((2, 3, 2), np.float32), "lengths": np.array([1, 2])}
    with pytest.raises(Exception, match="out of data bounds"):
        session.run(None, feeds)
    check(graph, {**feeds, "lengths": np.array([1, 3])})
