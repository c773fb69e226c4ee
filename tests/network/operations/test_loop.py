"""`Loop`: what its steps compute, none of them, its gradient within a graph, and its file."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.network.graph import Graph, Node
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.graph_file import MAX_DEPTH, graph_entry, graph_from
from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import symbol
from tests.network.operations.cases import loops
from tests.network.operations.cases.loops import floats

B, T = symbol("B"), symbol("T")


def test_the_steps_follow_each_other() -> None:
    h, count, x, _, gain, w, u = loops.inputs(4)
    operation = Loop(loops.cell(), 4, (1,), (1, 0))
    outputs, _ = operation.forward(Execution(dtype=np.float64), h, count, x, np.array(1), gain, w, u)
    states, sums = [], []
    for step in range(4):
        h = np.tanh(x[:, step] @ w + h @ u) * gain**step
        states.append(h)
        sums.append(h + x[:, step] @ w)
    for ours, expected in zip(outputs, [h, 4, np.stack(states, 1), np.stack(sums, 0)], strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_no_step_leaves_the_states_as_they_are() -> None:
    h, count, x, *others = loops.inputs(3)
    operation = Loop(loops.cell(B), T - 1, (1,), (1, -1))
    execution = Execution({"B": 2, "T": 1}, dtype=np.float64)
    outputs, backward = operation.forward(execution, h, count, x[:, :0], *others)
    np.testing.assert_array_equal(outputs[0], h)
    assert [output.shape for output in outputs] == [(2, 4), (), (2, 0, 4), (2, 4, 0)]
    grad = floats(2, 4)
    of_inputs = backward(grad, None, outputs[2], None)
    np.testing.assert_array_equal(of_inputs[0], grad)
    assert of_inputs[2] is None


def looped(steps: Any = T) -> Graph:
    """An LSTM in a loop, step by step, then a layer."""
    body = GraphBuilder()
    h = body.input("h", ValueType("float", (B, 3)))
    c = body.input("c", ValueType("float", (B, 3)))
    x = body.input("x", ValueType("float", (B, 2)))
    weights = [body.input(f"w{n}", ValueType("float", shape)) for n, shape in enumerate(((12, 2), (12, 3), (12,)))]
    row = body.add("Unsqueeze", x, axes=(1,))
    _, h_t, c_t = body.node(Recurrent(), (row, *weights, "", "", h, c))
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 2)))
    arrays = [builder.constant(floats(*shape), f"c{n}") for n, shape in enumerate(((12, 2), (12, 3), (12,)))]
    zeros = builder.add("Expand", builder.constant(np.zeros((1, 3))), shape=(B, 3))
    loop = Loop(body.graph([h_t, c_t, h_t]), steps, (1,), (1,))
    _, c_T, rows = builder.node(loop, (zeros, zeros, x, *arrays), name="loop")
    weight = builder.constant(floats(3, 2))
    return builder.graph([builder.add("MatMul", rows, weight), c_T])


def test_an_lstm_in_a_loop_is_an_lstm() -> None:
    graph = looped()
    x = floats(3, 6, 2)
    execution = Execution(dtype=np.float64)
    logits, grads = graph.gradients({"x": x}, graph.outputs[0], np.ones_like, ["x", "c1"], execution=execution)
    weights = [graph.constants[f"c{n}"] for n in range(3)]
    (h, _, c_T), backward = Recurrent().forward(Execution(dtype=np.float64), x, *weights)
    weight = graph.constants["constant_4"]
    np.testing.assert_allclose(logits, h @ weight, rtol=1e-12)
    of_inputs = backward(np.ones_like(logits) @ weight.T, None, None)
    np.testing.assert_allclose(grads["x"], of_inputs[0], rtol=1e-9)
    np.testing.assert_allclose(grads["c1"], of_inputs[2], rtol=1e-9)
    run = graph.run({"x": x.astype(np.float32)})
    np.testing.assert_allclose(run[graph.outputs[1]], c_T, atol=1e-5)
    assert run[graph.outputs[1]].dtype == np.float32
    assert set(execution.saved) == {f"loop/{step}/recurrent" for step in range(6)}


def test_a_loop_survives_its_file() -> None:
    graph = looped()
    read = graph_from(json.loads(json.dumps(graph_entry(graph))), graph.constants, "config.json: graph")
    assert read.types == graph.types
    x = {"x": floats(2, 5, 2)}
    for name, array in graph.run(x).items():
        np.testing.assert_array_equal(read.run(x)[name], array)


def changed(**attributes: Any) -> Any:
    entry = copy.deepcopy(graph_entry(looped()))
    node = next(node for node in entry["nodes"] if node["operation"]["type"] == "Loop")
    node["operation"] |= attributes
    return entry


def nested(depth: int) -> Any:
    """A body with a body with a body."""
    inside: list[Any] = []
    if depth > 1:
        operation = {"type": "Loop", "body": nested(depth - 1), "steps": 2, "output_axes": [0]}
        inside = [{"name": "inner", "operation": operation, "inputs": ["h"], "outputs": ["h_1"]}]
    outputs = ["h_1"] if inside else ["h"]
    return {"inputs": {"h": {"dtype": "float", "shape": ["B", 3]}}, "nodes": inside, "outputs": outputs}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"body": None}, "body: must be an object"),
        ({"body": nested(MAX_DEPTH + 1)}, f"at most {MAX_DEPTH} loops inside of each other"),
        ({"body": {"inputs": {}, "nodes": [], "outputs": ["h"]}}, "body: graph: the output 'h' is not computed"),
        ({"steps": 1 << 30}, "1073741824 steps, and at most 65,536"),
        ({"steps": ["//", "T", 0]}, "is divided by 0"),
        ({"steps": "S"}, "not S"),
        ({"axes": [1, 1, 1, 1, 1, 1]}, "the body has 6 inputs"),
        ({"output_axes": [7]}, "axis 7"),
        ({"step": 1}, "unknown key 'step'"),
    ],
)
def test_what_a_file_may_not_ask_for(attributes: dict[str, Any], message: str) -> None:
    graph = looped()
    with pytest.raises(ModelFileError, match=message):
        graph_from(changed(**attributes), graph.constants, "config.json: graph")


def test_a_size_that_no_input_has_is_refused() -> None:
    """In the body of a loop too: a run could not know it."""
    graph = looped()
    entry = changed()
    node = next(node for node in entry["nodes"] if node["operation"]["type"] == "Loop")
    body = node["operation"]["body"]
    body["nodes"].append({**_reads_s(graph), "inputs": ["x"]})
    body["outputs"].append("sliced")
    node["operation"]["output_axes"] = [1, 0]
    node["outputs"].append("rows")
    for changed_entry in (entry, {**graph_entry(graph), "nodes": [*graph_entry(graph)["nodes"], _reads_s(graph)]}):
        with pytest.raises(ModelFileError, match="no input has the size S"):
            graph_from(changed_entry, graph.constants, "config.json: graph")


def _reads_s(graph: Graph) -> Any:
    operation = {"type": "Slice", "starts": ["S"], "ends": ["S"], "axes": [1]}
    return {"name": "slice", "operation": operation, "inputs": ["x"], "outputs": ["sliced"]}


def test_a_body_with_constants_is_refused() -> None:
    body = Graph({"h": ValueType("float", (2,))}, {"one": np.ones(2)}, (), ("one",))
    with pytest.raises(InputError, match="node 'loop': Loop: the body may not have constants"):
        Graph({"h": ValueType("float", (2,))}, {}, (Node("loop", Loop(body, 3), ("h",), ("last",)),), ("last",))
