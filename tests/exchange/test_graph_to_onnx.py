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


def two_directions(seed: int, masked: str, mask: str) -> tuple[Graph, dict[str, Any], str]:
    """A graph of two directions with random options, its inputs, and the cell. mask: "", "lengths" or "any"."""
    rng = np.random.default_rng(seed)
    cell = ("LSTM", "GRU", "RNN")[seed % 3]
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 3)))
    inputs: dict[str, Any] = {"x": rng.normal(0, 1, (5, 7, 3)).astype(np.float32)}
    mask_value = ""
    if mask == "lengths":
        dtype = str(rng.choice(["int64", "int32"]))
        lengths = builder.input("lengths", ValueType(dtype, (B,)))  # type: ignore[arg-type]
        inputs["lengths"] = rng.permutation([-1, 0, 3, 7, 9]).astype(dtype)
        steps = builder.add("Range", start=0, limit=T, dtype=dtype)
        mask_value = builder.add("Less", steps, builder.add("Unsqueeze", lengths, axes=(1,)))
    if mask == "any":
        mask_value = builder.input("mask", ValueType("bool", (B, T)))
        inputs["mask"] = rng.random((5, 7)) < 0.6
    rows = 4 * {"LSTM": 4, "GRU": 3, "RNN": 1}[cell]
    given = ["weight_ih", "weight_hh"]
    shapes: dict[str, tuple[Any, ...]] = {"weight_ih": (rows, 3), "weight_hh": (rows, 4)}
    for name, shape in (("bias", (rows,)), ("recurrent_bias", (rows,)), ("h0", (B, 4)), ("c0", (B, 4))):
        if rng.random() < 0.6 and (name != "c0" or cell == "LSTM"):
            shapes[name] = shape
            given.append(name)
    if cell == "LSTM" and rng.random() < 0.5:
        shapes["peepholes"] = (12,)
        given.append("peepholes")
    activations = {"LSTM": ("HardSigmoid", "Softsign", "Tanh"), "GRU": ("HardSigmoid", "Relu"), "RNN": ("LeakyRelu",)}
    options: dict[str, Any] = {"cell": cell, "masked": masked}
    if rng.random() < 0.5:
        numbers = {"HardSigmoid": {"alpha": 0.3, "beta": 0.4}, "LeakyRelu": {"alpha": 0.2}}
        options["activations"] = tuple(operation_of(name, numbers.get(name, {})) for name in activations[cell])
    outputs: list[str] = []
    for reverse in rng.permutation([True, False]):
        read = []
        for name in Recurrent.formal:
            if name in ("x", "mask"):
                read.append(x if name == "x" else mask_value)
            elif name not in given:
                read.append("")
            elif name in ("h0", "c0"):
                state = f"{name}_{reverse}"
                read.append(builder.input(state, ValueType("float", shapes[name])))
                inputs[state] = rng.normal(0, 1, (5, 4)).astype(np.float32)
            else:
                read.append(builder.constant(rng.normal(0, 0.7, shapes[name])))
        outputs += builder.node(Recurrent(reverse=bool(reverse), **options), read)
    return builder.graph(outputs), inputs, cell


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    ("masked", "mask", "count"),
    [("zero", "", 1), ("zero", "lengths", 1), ("previous", "lengths", 2), ("zero", "any", 2), ("previous", "any", 2)],
)
def test_two_directions_are_one_node(seed: int, masked: str, mask: str, count: int) -> None:
    """Also with lengths beyond the steps and below 0. Where a mask makes the outputs differ they are two nodes."""
    graph, inputs, cell = two_directions(seed, masked, mask)
    check(graph, inputs, 1e-5)
    written = [node.op_type for node in graph_to_onnx(graph).graph.node]
    assert written.count(cell) == count
    moves_steps = "ScatterElements" in written
    assert moves_steps == (mask == "any" or (masked, mask) == ("previous", "lengths"))


def test_directions_that_do_not_fit_are_two_nodes() -> None:
    rng = np.random.default_rng(7)
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 3)))

    def layer(x: str, units: int, reverse: bool) -> list[str]:
        shapes = ((4 * units, 3), (4 * units, units))
        weights = [builder.constant(rng.normal(0, 0.7, shape)) for shape in shapes]
        return builder.node(Recurrent(reverse=reverse), (x, *weights))

    h, *_ = layer(x, 3, False)
    outputs = [h, layer(x, 4, True)[0], layer(h, 3, True)[1], layer(h, 3, True)[0]]
    graph = builder.graph(outputs)
    check(graph, {"x": rng.normal(0, 1, (2, 6, 3)).astype(np.float32)}, 1e-5)
    assert [node.op_type for node in graph_to_onnx(graph).graph.node].count("LSTM") == 4


def test_weights_of_two_nodes_are_stored_once() -> None:
    """Of the same layer twice."""
    rng = np.random.default_rng(3)
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 3)))
    weights = [builder.constant(rng.normal(0, 0.7, shape)) for shape in ((12, 3), (12, 3), (12,))]
    h, *_ = builder.node(Recurrent(), (x, *weights))
    graph = builder.graph(builder.node(Recurrent(), (h, *weights)))
    check(graph, {"x": rng.normal(0, 1, (2, 6, 3)).astype(np.float32)}, 1e-5)
    names = [tensor.name for tensor in graph_to_onnx(graph).graph.initializer]
    assert [name for name in names if name.startswith("recurrent")] == ["recurrent.W", "recurrent.R", "recurrent.B"]
