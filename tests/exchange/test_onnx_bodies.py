"""Graphs inside of the graph of an ONNX file: If, Scan and Loop, and functions that the file defines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.exchange.onnx_graph import graph_of
from gatewise.exchange.onnx_network import read_onnx

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from onnx import parser  # noqa: E402

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'
RNG = np.random.default_rng(5)


def check(text: str, *shapes: tuple[int, ...], kinds: int = 0) -> Any:
    """ONNX Runtime and the graph compute the same of a model without weights. Returns the graph."""
    model = parser.parse_model(HEAD + text)
    onnx.checker.check_model(model)
    graph = graph_of(model, "m.onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for shape in shapes:
        x = RNG.standard_normal(shape).astype(np.float32)
        values = graph.run({"x": x})
        for name, wanted in zip(graph.outputs, session.run(None, {"x": x}), strict=True):
            np.testing.assert_allclose(values[name], wanted, rtol=1e-5, atol=1e-6, err_msg=f"{name} of {shape}")
    return graph


SCAN = """
g (float[T, B, 3] x) => (float[B, 3] last, float[B, T, 3] rows, float[N, B] sums) <float two = {2}> {
    one = Constant <value = float {0.5}> ()
    begin = Constant <value = float[3] {0.1, -0.2, 0.3}> ()
    shape = Shape <start = 1> (x)
    start = Expand (begin, shape)
    last, rows, sums = Scan <num_scan_inputs = 2, scan_input_axes = [0, 0], scan_input_directions = [1, 0],
            scan_output_axes = [1, 0], scan_output_directions = [0, 1], body = step (h, backwards, forwards)
            => (h_next, row, sum) {
        mixed = Mul (backwards, two)
        inner = Add (mixed, h)
        halved = Mul (inner, one)
        h_next = Tanh (halved)
        row = Sub (h_next, forwards)
        axes = Constant <value = int64[1] {1}> ()
        sum = ReduceSum <keepdims = 0> (row, axes)
    }> (start, x, x)
}
"""


def test_a_scan_of_two_sequences_in_two_directions() -> None:
    graph = check(SCAN, (1, 1, 3), (4, 2, 3), (5, 1, 3))
    assert [node.operation.name() for node in graph.nodes].count("Loop") == 1


LOOP = """
g (float[B, T, 3] x) => (float[B, 3] last, float[N, B, 3] rows) <bool yes = {1}> {
    shape = Shape (x)
    one = Constant <value = int64 {1}> ()
    steps = Gather (shape, one)
    zero = Constant <value = float {0}> ()
    first = ReduceSum <keepdims = 0> (x, one_axis)
    start = Mul (first, zero)
    last, rows = Loop (steps, yes, start) <body = step (int64 t, bool go, float[B, 3] h) => (on, h_next, row) {
        on = Identity (go)
        row_x = Gather <axis = 1> (x, t)
        sum = Add (row_x, h)
        count = Cast <to = 1> (steps)
        h_next = Div (sum, count)
        row = Sin (sum)
    }>
}
""".replace("one_axis", "axis").replace(
    "    zero =", "    axis = Constant <value = int64[1] {1}> ()\n    zero ="
)  # fmt: skip


def test_a_loop_over_the_steps_that_the_sizes_say() -> None:
    check(LOOP, (1, 1, 3), (2, 4, 3), (3, 2, 3))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("on = Less (t, three)", "whether it goes on depends on the inputs"),
        ("on = Identity (go)\n q = Foo (h)", "Loop 'the_loop', node [0-9]+ of [0-9]+: Foo '', node [0-9]+ of"),
    ],
)
def test_a_loop_that_may_end_early_and_unknown_nodes_are_refused(body: str, message: str) -> None:
    text = LOOP.replace("on = Identity (go)", f"three = Constant <value = int64 {{3}}> ()\n {body}")
    model = parser.parse_model(HEAD + text)
    [node] = [node for node in model.graph.node if node.op_type == "Loop"]
    node.name = "the_loop"
    with pytest.raises(InputError, match=message):
        graph_of(model, "m.onnx")


IF = """
g (float[B, T, 3] x) => (float[B, M] y) {
    shape = Shape (x)
    two = Constant <value = int64 {2}> ()
    width = Gather (shape, two)
    wanted = Constant <value = int64 {WANTED}> ()
    same = Equal (width, wanted)
    some = If (same) <
        then_branch = three () => (float[B, T] z) { axis = Constant <value = int64[1] {2}> () t = Tanh (x)
            z = ReduceSum <keepdims = 0> (t, axis) },
        else_branch = other () => (float[B, T] z) { axis = Constant <value = int64[1] {2}> () t = Sigmoid (x)
            z = ReduceSum <keepdims = 0> (t, axis) }
    >
    y = Mul (some, some)
}
"""


@pytest.mark.parametrize("wanted", [3, 4])
def test_the_branch_of_a_constant_condition(wanted: int) -> None:
    graph = check(IF.replace("WANTED", str(wanted)), (1, 1, 3), (2, 5, 3))
    kinds = {node.operation.name() for node in graph.nodes}
    assert kinds == {"Tanh" if wanted == 3 else "Sigmoid", "ReduceSum", "Mul"}


def test_two_ifs_whose_branches_have_the_same_names() -> None:
    text = (
        IF.replace("WANTED", "3")
        .replace(
            "y = Mul",
            """again = If (same) <
        then_branch = three () => (float[B, T] z) { t = Cos (some) z = Neg (t) },
        else_branch = other () => (float[B, T] z) { t = Sin (some) z = Neg (t) } >
    z = Add (some, again)
    y = Mul""",
        )
        .replace("(some, some)", "(again, z)")
    )
    check(text, (1, 1, 3), (2, 5, 3))


def test_a_condition_that_depends_on_the_sizes_is_refused() -> None:
    text = IF.replace("WANTED", "3").replace("{2}> ()\n    width", "{1}> ()\n    width")
    with pytest.raises(InputError, match="If '', node 6 of 7: its condition depends on"):
        graph_of(parser.parse_model(HEAD + text), "m.onnx")


FUNCTION = """
<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
g (float[B, 3] x) => (float[B, 3] y) { a = own.twice <factor = 3.0> (x) b = Tanh (a) y = own.twice <factor = -0.5> (b) }
<domain: "own", opset_import: ["" : 17]>
twice <factor> (v) => (w) { f = Constant <value_float: float = @factor> () s = Add (v, v) w = Mul (s, f) }
"""


def test_functions_of_the_file_are_inlined() -> None:
    network = read_onnx(parser.parse_model(FUNCTION))
    x = RNG.standard_normal((4, 3))
    np.testing.assert_allclose(network.graph.run({"x": x})["y"], -np.tanh(6 * x), rtol=1e-6)
    for dtype in ("float32", "float64"):
        original = network.original_values({"x": x}, network.compared, dtype)
        np.testing.assert_allclose(original["y"], -np.tanh(6 * x), rtol=1e-6)
    network.close()


def test_values_around_a_body_that_are_called_as_those_of_the_reader() -> None:
    """Of an LSTM inside of a Scan the reader adds values such as "transpose", which the file has around it."""
    rng = np.random.default_rng(4)
    shapes = {"w": (1, 12, 3), "r": (1, 12, 3), "transpose": (3, 3), "gather": (3, 3), "slice": (3, 3)}
    constants = [
        onnx.numpy_helper.from_array(rng.normal(0, 0.5, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    text = """
g (float[B, T, 3] x) => (float[T, B, 3] y) {
    z = Constant <value = float {0}> ()
    first = ReduceSum <keepdims = 0> (x, axis)
    h0 = Mul (first, z)
    last, y = Scan <num_scan_inputs = 1, scan_input_axes = [1], body = step (h, row) => (h_next, out) {
        place = Constant <value = int64[1] {0}> ()
        steps = Unsqueeze (row, place)
        state = Unsqueeze (h, place)
        all, final = LSTM <hidden_size = 3> (steps, w, r, , , state)
        h_next = Squeeze (final, place)
        a = MatMul (h_next, transpose)
        b = MatMul (a, gather)
        out = MatMul (b, slice)
    }> (h0, x)
}
""".replace("    z =", "    axis = Constant <value = int64[1] {1}> ()\n    z =")
    model = parser.parse_model(HEAD + text)
    model.graph.initializer.extend(constants)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    graph = graph_of(model, "m.onnx")
    for shape in ((1, 1, 3), (2, 4, 3)):
        x = rng.standard_normal(shape).astype(np.float32)
        [wanted] = session.run(None, {"x": x})
        np.testing.assert_allclose(graph.run({"x": x})["y"], wanted, rtol=1e-4, atol=1e-5)
