"""Loops whose steps are cells become recurrent layers; those that only look like it stay loops, or compute the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.recurrent_loops import with_recurrent
from gatewise.network.size import symbol

B, T, H, D = symbol("B"), symbol("T"), 4, 3


class Cell:
    """The body of a loop that reads x of the step and the states h and c, and its words."""

    def __init__(self) -> None:
        self.builder = GraphBuilder()
        self.rng = np.random.default_rng(8)
        self.arrays: dict[str, Any] = {}
        self.h = self.builder.input("h", ValueType("float", (B, H)))
        self.c = self.builder.input("c", ValueType("float", (B, H)))
        self.x = self.builder.input("x", ValueType("float", (B, D)))

    def weight(self, *shape: int, value: Any = None) -> str:
        name = f"w{len(self.arrays)}"
        self.arrays[name] = self.rng.standard_normal(shape) if value is None else np.full(shape, value)
        return self.builder.input(name, ValueType("float", shape))

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        return self.builder.add(operation, *inputs, **attributes)

    def pre(self, width: int = H, x: str = "", h: str = "") -> str:
        """x W + h U + b."""
        of_x = self.add("MatMul", x or self.x, self.weight(D, width))
        of_h = self.add("MatMul", h or self.h, self.weight(H, width))
        return self.add("Add", self.add("Add", of_x, of_h), self.weight(width))

    def gate(self, **where: str) -> str:
        return self.add("Sigmoid", self.pre(**where))

    def lstm(self, i: str, f: str, g: str, o: str, squash: str = "Tanh") -> tuple[str, str]:
        c = self.add("Add", self.add("Mul", f, self.c), self.add("Mul", i, g))
        return self.add("Mul", o, self.add(squash, c)), c

    def graph(self, h: str, c: str, *rows: str) -> Graph:
        """The loop over (B, T, D), with the states and these rows as outputs."""
        body = self.builder.graph([h, c, *rows])
        # Inputs that no node reads are inputs too.
        loop = Loop(body, T, (1,), (1,) * len(rows))
        outside = GraphBuilder()
        x = outside.input("x", ValueType("float", (B, T, D)))
        states = [outside.input(name, ValueType("float", (B, H))) for name in ("h0", "c0")]
        weights = [outside.constant(array, name) for name, array in self.arrays.items()]
        return outside.graph(outside.node(loop, (*states, x, *weights), name="loop"))


def separate_matrices() -> Graph:
    """Gates in another order, sums and products in another order, a forget bias of 1."""
    cell = Cell()
    o, f = cell.gate(), cell.add("Sigmoid", cell.add("Add", cell.weight(value=1.0), cell.pre()))
    i, g = cell.gate(), cell.add("Tanh", cell.pre())
    c = cell.add("Add", cell.add("Mul", g, i), cell.add("Mul", cell.c, f))
    h = cell.add("Mul", cell.add("Tanh", c), o)
    return cell.graph(h, c, h)


def joint_matrix() -> Graph:
    """One matrix of [h, x], whose columns are gates in the order o g f i."""
    cell = Cell()
    both = cell.add("Concat", cell.h, cell.x, axis=-1)
    gates = cell.add("Gemm", both, cell.weight(4 * H, H + D), cell.weight(4 * H), transB=1)
    parts = [cell.add("Slice", gates, starts=(n * H,), ends=((n + 1) * H,), axes=(1,)) for n in range(4)]
    o, f, i = (cell.add("Sigmoid", parts[n]) for n in (0, 2, 3))
    h, c = cell.lstm(i, f, cell.add("Tanh", parts[1]), o)
    return cell.graph(h, c, cell.add("MatMul", h, cell.weight(H, 2)))


def gru() -> Graph:
    cell = Cell()
    r, z = cell.gate(), cell.gate()
    of_h = cell.add("Add", cell.add("MatMul", cell.h, cell.weight(H, H)), cell.weight(H))
    of_x = cell.add("Add", cell.weight(H), cell.add("MatMul", cell.x, cell.weight(D, H)))
    n = cell.add("Tanh", cell.add("Add", of_x, cell.add("Mul", r, of_h)))
    rest = cell.add("Sub", cell.weight(value=1.0), z)
    h = cell.add("Add", cell.add("Mul", cell.h, z), cell.add("Mul", rest, n))
    return cell.graph(h, cell.c, h)


def gru_without_c(cell: Cell, h: str) -> Graph:
    """A loop with one state."""
    body = cell.builder.graph([h, h])
    inputs = {name: value_type for name, value_type in body.inputs.items() if name != "c"}
    loop = Loop(Graph(inputs, {}, body.nodes, body.outputs), T, (1,), (1,))
    outside = GraphBuilder()
    x = outside.input("x", ValueType("float", (B, T, D)))
    h0 = outside.input("h0", ValueType("float", (B, H)))
    weights = [outside.constant(array, name) for name, array in cell.arrays.items()]
    return outside.graph(outside.node(loop, (h0, x, *weights), name="loop"))


def one_state_gru(one: float = 1.0) -> Graph:
    cell = Cell()
    r, z = cell.gate(), cell.gate()
    of_h = cell.add("Add", cell.add("MatMul", cell.h, cell.weight(H, H)), cell.weight(H))
    of_x = cell.add("MatMul", cell.x, cell.weight(D, H))
    n = cell.add("Tanh", cell.add("Add", cell.add("Mul", of_h, r), of_x))
    rest = cell.add("Sub", cell.weight(value=one), z)
    return gru_without_c(cell, cell.add("Add", cell.add("Mul", rest, n), cell.add("Mul", z, cell.h)))


def rnn(activation: str = "Tanh") -> Graph:
    cell = Cell()
    return gru_without_c(cell, cell.add(activation, cell.pre()))


def layer_of_one_step() -> Graph:
    """LSTMCell of torch; x goes through a layer first."""
    cell = Cell()
    x = cell.add("Relu", cell.add("MatMul", cell.x, cell.weight(D, D)))
    weights = [cell.weight(4 * H, D), cell.weight(4 * H, H), cell.weight(4 * H)]
    row = cell.add("Unsqueeze", x, axes=(1,))
    _, h, c = cell.builder.node(Recurrent(), (row, *weights, "", "", cell.h, cell.c))
    return cell.graph(h, c, cell.add("Tanh", h))


CELLS: dict[str, tuple[Callable[[], Graph], str]] = {
    "separate matrices": (separate_matrices, "LSTM"),
    "a joint matrix": (joint_matrix, "LSTM"),
    "a GRU": (one_state_gru, "GRU"),
    "a simple RNN": (rnn, "RNN"),
    "ReLU": (lambda: rnn("Relu"), "RNN"),
    "a layer of one step": (layer_of_one_step, "LSTM"),
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_is_a_recurrent_layer(name: str) -> None:
    build, kind = CELLS[name]
    graph = with_recurrent(build())
    cells = [node.operation.cell for node in graph.nodes if isinstance(node.operation, Recurrent)]
    assert cells == [kind]
    assert not any(isinstance(node.operation, Loop) for node in graph.nodes)
    assert not any(node.operation.name() == "Identity" for node in graph.nodes)
    compare(build(), graph)


def compare(loop: Graph, graph: Graph) -> None:
    assert graph.outputs == loop.outputs
    assert [graph.types[name] for name in graph.outputs] == [loop.types[name] for name in loop.outputs]
    rng = np.random.default_rng(1)
    for batch, steps in ((1, 1), (3, 6)):
        inputs = {"x": rng.standard_normal((batch, steps, D)), "h0": rng.standard_normal((batch, H))}
        inputs["c0"] = rng.standard_normal((batch, H))
        inputs = {name: inputs[name] for name in loop.inputs}
        expected = loop.run(inputs, execution=Execution(dtype=np.float64))
        computed = graph.run(inputs, execution=Execution(dtype=np.float64))
        for output, array in expected.items():
            np.testing.assert_allclose(computed[output], array, rtol=1e-10, atol=1e-12)


# Almost a cell


def tanh_of_the_old_c() -> Graph:
    cell = Cell()
    o = cell.gate()
    _, c = cell.lstm(cell.gate(), cell.gate(), cell.add("Tanh", cell.pre()), o)
    h = cell.add("Mul", o, cell.add("Tanh", cell.c))
    return cell.graph(h, c, h)


def relu_of_c() -> Graph:
    cell = Cell()
    h, c = cell.lstm(cell.gate(), cell.gate(), cell.add("Tanh", cell.pre()), cell.gate(), squash="Relu")
    return cell.graph(h, c, h)


def c_is_returned() -> Graph:
    cell = Cell()
    h, c = cell.lstm(cell.gate(), cell.gate(), cell.add("Tanh", cell.pre()), cell.gate())
    return cell.graph(h, c, c)


def c_is_read() -> Graph:
    cell = Cell()
    h, c = cell.lstm(cell.gate(), cell.gate(), cell.add("Tanh", cell.pre()), cell.gate())
    return cell.graph(h, c, cell.add("Add", h, c))


def peephole() -> Graph:
    cell = Cell()
    f = cell.add("Sigmoid", cell.add("Add", cell.pre(), cell.add("Mul", cell.c, cell.weight(H))))
    h, c = cell.lstm(cell.gate(), f, cell.add("Tanh", cell.pre()), cell.gate())
    return cell.graph(h, c, h)


def states_change_places() -> Graph:
    cell = Cell()
    h, c = cell.lstm(cell.gate(), cell.gate(), cell.add("Tanh", cell.pre()), cell.gate())
    return cell.graph(c, h, h)


def the_state_before_is_returned() -> Graph:
    cell = Cell()
    h, c = cell.lstm(cell.gate(), cell.gate(), cell.add("Tanh", cell.pre()), cell.gate())
    return cell.graph(h, c, cell.add("Add", h, cell.h))


def normalised_gates() -> Graph:
    cell = Cell()
    norm = cell.add("LayerNormalization", cell.pre(), cell.weight(H), cell.weight(H), axis=-1)
    h, c = cell.lstm(cell.gate(), cell.add("Sigmoid", norm), cell.add("Tanh", cell.pre()), cell.gate())
    return cell.graph(h, c, h)


def x_reads_the_state() -> Graph:
    """As attention does."""
    cell = Cell()
    x = cell.add("Mul", cell.x, cell.add("MatMul", cell.h, cell.weight(H, D)))
    gates = [cell.gate(x=x) for _ in range(3)]
    h, c = cell.lstm(gates[0], gates[1], cell.add("Tanh", cell.pre(x=x)), gates[2])
    return cell.graph(h, c, h)


def gate_of_the_new_state() -> Graph:
    cell = Cell()
    i, f, g = cell.gate(), cell.gate(), cell.add("Tanh", cell.pre())
    c = cell.add("Add", cell.add("Mul", f, cell.c), cell.add("Mul", i, g))
    h = cell.add("Mul", cell.gate(h=c), cell.add("Tanh", c))
    return cell.graph(h, c, h)


@pytest.mark.parametrize(
    "build",
    [
        tanh_of_the_old_c,
        relu_of_c,
        c_is_returned,
        c_is_read,
        peephole,
        states_change_places,
        the_state_before_is_returned,
        normalised_gates,
        x_reads_the_state,
        gate_of_the_new_state,
        lambda: one_state_gru(2.0),
        gru,
    ],
    ids=lambda build: build.__name__,
)
def test_what_is_almost_a_cell_stays_a_loop(build: Callable[[], Graph]) -> None:
    graph = with_recurrent(build())
    assert [node.operation.name() for node in graph.nodes] == ["Loop"]
    compare(build(), graph)


def test_a_loop_that_may_have_no_step_stays_a_loop() -> None:
    """A recurrent layer has at least one."""
    (node,) = rnn().nodes
    assert isinstance(node.operation, Loop)
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, D)))
    h0 = builder.input("h0", ValueType("float", (B, H)))
    weights = [builder.constant(array, name) for name, array in rnn().constants.items()]
    later = builder.add("Slice", x, starts=(1,), ends=(T,), axes=(1,))
    loop = Loop(node.operation.body, T - 1, (1,), (1,))
    graph = builder.graph(builder.node(loop, (h0, later, *weights)))
    assert [node.operation.name() for node in with_recurrent(graph).nodes] == ["Slice", "Loop"]
    compare(graph, with_recurrent(graph))
