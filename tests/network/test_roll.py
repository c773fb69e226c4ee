"""`rolled`: loops over steps that were written step by step become loops again, or are refused with the node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.network.canonical import same
from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.roll import rolled
from gatewise.network.size import symbol
from gatewise.network.unroll import unrolled

B, T = symbol("B"), symbol("T")
LENGTHS = (1, 2, 3, 5, 8)
RNG = np.random.default_rng(17)
W, U, V = (RNG.standard_normal(shape) for shape in ((3, 4), (4, 4), (4, 3)))
BIAS = RNG.standard_normal(4)


class Network(GraphBuilder):
    """A builder with x (B, T, 3), T fixed, and the words of a loop."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.x = self.input("x", ValueType("float", (B, steps, 3)))
        self.w, self.u, self.v, self.bias = (
            self.constant(a, n) for a, n in ((W, "w"), (U, "u"), (V, "v"), (BIAS, "bias"))
        )

    def row(self, t: int, value: str = "") -> str:
        return self.add("Gather", value or self.x, self.constant(np.array(t)), axis=1)

    def zeros(self, units: int = 4) -> str:
        return self.add("Expand", self.constant(np.zeros((1, units))), shape=(B, units))

    def tanh(self, x: str, h: str) -> str:
        """A step of a simple RNN."""
        pre = self.add("Add", self.add("MatMul", x, self.w), self.add("MatMul", h, self.u))
        return self.add("Tanh", self.add("Add", pre, self.bias))

    def stack(self, rows: list[str], axis: int = 1) -> str:
        return self.add("Concat", *(self.add("Unsqueeze", row, axes=(axis,)) for row in rows), axis=axis)

    def rnn(self, order: Any = None, rows: list[str] | None = None) -> list[str]:
        """All states, in the order of the steps that are read."""
        h = self.zeros()
        states = []
        for t in range(self.steps) if order is None else order:
            h = self.tanh(self.row(t) if rows is None else rows[t], h)
            states.append(h)
        return states


def simple(steps: int) -> Graph:
    network = Network(steps)
    states = network.rnn()
    return network.graph([network.stack(states), states[-1]])


def time_first_stack(steps: int) -> Graph:
    network = Network(steps)
    stacked = network.stack(network.rnn(), axis=0)
    return network.graph([network.add("Transpose", stacked, perm=(1, 0, 2))])


def reversed_loop(steps: int) -> Graph:
    network = Network(steps)
    states = network.rnn(range(steps - 1, -1, -1))
    return network.graph([network.stack(states[::-1]), states[-1]])


def both_directions(steps: int) -> Graph:
    network = Network(steps)
    forward = network.rnn()
    backward = network.rnn(range(steps - 1, -1, -1))
    joined = [network.add("Concat", f, b, axis=1) for f, b in zip(forward, backward[::-1], strict=True)]
    return network.graph([network.stack(joined)])


def layers(steps: int) -> Graph:
    """The second layer reads the list of the first one, by a matrix of its own."""
    network = Network(steps)
    rows = [network.add("MatMul", h, network.v) for h in network.rnn()]
    return network.graph([network.rnn(rows=rows)[-1]])


def rows_before_the_loop(steps: int) -> Graph:
    """As `for x_t in x.split(1, 1)` and `x.unbind(1)` do."""
    network = Network(steps)
    chunks = network.node(_operation("Split", num_outputs=steps, axis=1), (network.x,))
    rows = [network.add("Squeeze", chunk, axes=(1,)) for chunk in chunks]
    return network.graph([network.rnn(rows=rows)[-1]])


def joined_columns(steps: int) -> Graph:
    """torch.cat of (B, 3) along axis 1."""
    network = Network(steps)
    columns = [network.add("MatMul", h, network.v) for h in network.rnn()]
    return network.graph([network.add("Concat", *columns, axis=1)])


def future(steps: int) -> Graph:
    """Three predictions of its own after the loop, in one list with the others."""
    network = Network(steps)
    states = network.rnn()
    outputs = [network.add("MatMul", h, network.v) for h in states]
    h = states[-1]
    for _ in range(3):
        h = network.tanh(outputs[-1], h)
        outputs.append(network.add("MatMul", h, network.v))
    return network.graph([network.stack(outputs)])


def first_step_apart(steps: int) -> Graph:
    """if t == 0: without the state."""
    network = Network(steps)
    h = network.add("Tanh", network.add("Add", network.add("MatMul", network.row(0), network.w), network.bias))
    states = [h]
    for t in range(1, steps):
        h = network.tanh(network.row(t), h)
        states.append(h)
    return network.graph([network.stack(states), h])


def differences(steps: int) -> Graph:
    """x_t - x_{t-1}, from the second step on."""
    network = Network(steps)
    h = network.zeros()
    for t in range(1, steps):
        h = network.tanh(network.add("Sub", network.row(t), network.row(t - 1)), h)
    return network.graph([h])


def mean_of_steps(steps: int) -> Graph:
    """sum(states) / len(states)."""
    network = Network(steps)
    states = network.rnn()
    total = network.add("Add", states[0], network.constant(np.float64(0)))
    for h in states[1:]:
        total = network.add("Add", total, h)
    return network.graph([network.add("Div", total, network.constant(np.float64(steps)))])


def last_and_first(steps: int) -> Graph:
    network = Network(steps)
    states = [network.add("MatMul", h, network.v) for h in network.rnn()]
    return network.graph([network.add("Sub", states[-1], states[0]), states[-1]])


def masked_by_lengths(steps: int) -> Graph:
    """A step changes the state where t is below the length of the sequence."""
    network = Network(steps)
    lengths = network.input("lengths", ValueType("int64", (B, 1)))
    h = network.zeros()
    for t in range(steps):
        read = network.add("Less", network.constant(np.array(t)), lengths)
        h = network.add("Where", read, network.tanh(network.row(t), h), h)
    return network.graph([h])


def attention(steps: int) -> Graph:
    """Each step attends to all steps of a first layer: sizes inside of the loop depend on T."""
    network = Network(steps)
    keys = network.stack(network.rnn())  # (B, T, 4)
    h = network.zeros()
    states = []
    for t in range(steps):
        query = network.add("Unsqueeze", h, axes=(2,))
        scores = network.add("Reshape", network.add("MatMul", keys, query), shape=(B, steps))
        weights = network.add("Unsqueeze", network.add("Softmax", scores), axes=(1,))
        context = network.add("Squeeze", network.add("MatMul", weights, keys), axes=(1,))
        h = network.tanh(network.row(t), network.add("Add", h, context))
        states.append(h)
    return network.graph([network.stack(states)])


def steps_inside(steps: int) -> Graph:
    """Three updates of the state in each step, with the same weights."""
    network = Network(steps)
    h = network.zeros()
    for t in range(steps):
        for _ in range(3):
            h = network.tanh(network.row(t), h)
    return network.graph([h])


def pairs(steps: int) -> Graph:
    """x[:, t : t + 2] of a padded sequence."""
    network = Network(steps)
    padded = network.add("Pad", network.x, pads=(0, 0, 0, 0, 1, 0))
    h = network.zeros()
    for t in range(steps):
        rows = network.add("Slice", padded, starts=(t,), ends=(t + 2,), axes=(1,))
        h = network.tanh(network.add("ReduceSum", rows, axes=(1,), keepdims=0), h)
    return network.graph([h])


def lstm_cell(steps: int) -> Graph:
    """LSTMCell, without a state at first."""
    network = Network(steps)
    rng = np.random.default_rng(4)
    weights = [
        network.constant(rng.standard_normal(shape), f"lstm_{n}") for n, shape in enumerate(((16, 3), (16, 4), (16,)))
    ]
    state: tuple[str, ...] = ()
    for t in range(steps):
        row = network.add("Unsqueeze", network.row(t), axes=(1,))
        _, *last = network.node(Recurrent(), (row, *weights, *(("", "", *state) if state else ())))
        state = tuple(last)
    return network.graph([state[0], state[1]])


def flattened(steps: int) -> Graph:
    """A size that depends on T in front of the loop, and one after it."""
    network = Network(steps)
    flat = network.add("Reshape", network.x, shape=(-1, 3 * steps))
    network.x = network.add("Reshape", network.add("Tanh", flat), shape=(B, steps, 3))
    states = network.stack(network.rnn())
    return network.graph([network.add("Reshape", states, shape=(-1, steps * 4))])


def first_row_as_state(steps: int) -> Graph:
    """An exponential average, which starts from the first row."""
    network = Network(steps)
    states = [network.row(0)]
    for t in range(1, steps):
        kept = network.add("Mul", states[-1], network.constant(np.float64(0.7)))
        states.append(network.add("Add", network.add("Mul", network.row(t), network.constant(np.float64(0.3))), kept))
    return network.graph([network.stack(states)])


def _operation(name: str, **attributes: Any) -> Any:
    from gatewise.network.operations import operation_of

    return operation_of(name, attributes)


NETWORKS: dict[Callable[[int], Graph], int] = {
    simple: 1,
    time_first_stack: 1,
    reversed_loop: 1,
    both_directions: 2,
    layers: 2,
    rows_before_the_loop: 1,
    joined_columns: 1,
    future: 1,
    first_step_apart: 1,
    differences: 1,
    mean_of_steps: 2,
    last_and_first: 1,
    masked_by_lengths: 1,
    attention: 2,
    steps_inside: 1,
    pairs: 1,
    lstm_cell: 1,
    flattened: 1,
    first_row_as_state: 1,
}
"""With the number of loops at least."""


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)
def test_a_loop_over_steps_is_a_loop(network: Callable[[int], Graph]) -> None:
    graph = rolled([network(steps) for steps in LENGTHS], LENGTHS)
    loops = [node for node in graph.nodes if isinstance(node.operation, Loop)]
    assert len(loops) >= NETWORKS[network]
    names = {name for node in graph.nodes for name in node.outputs}
    assert set(graph.outputs) <= names
    rng = np.random.default_rng(3)
    tried = 0
    for steps in (1, 2, 4, 7, 13):
        if not all(guard.holds({"T": steps, "B": 3}) for guard in graph.guards):
            continue
        tried += 1
        assert same(network(steps), unrolled(graph, {"T": steps}))
        inputs = {"x": rng.standard_normal((3, steps, 3)), "lengths": rng.integers(1, steps + 1, (3, 1))}
        inputs = {name: inputs[name] for name in graph.inputs}
        expected = network(steps).run(inputs, execution=Execution(dtype=np.float64))
        computed = graph.run(inputs, execution=Execution(dtype=np.float64))
        for ours, theirs in zip(computed.values(), expected.values(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert tried >= 3


@pytest.mark.parametrize(
    ("network", "least"),
    [(simple, 1), (first_row_as_state, 1), (first_step_apart, 1), (differences, 1), (lstm_cell, 1), (attention, 1)],
)
def test_it_holds_for_as_few_steps_as_were_read(network: Callable[[int], Graph], least: int) -> None:
    graph = rolled([network(steps) for steps in LENGTHS], LENGTHS)
    assert graph.guards == () or str(graph.guards[0]) == f"{least} <= T"
    graph = rolled([network(steps) for steps in (4, 6, 7)], (4, 6, 7))
    assert [str(guard) for guard in graph.guards] == ["4 <= T"]
    with pytest.raises(InputError, match="must be at least 4"):
        graph.run({"x": np.zeros((2, 3, 3))})


def last_five(steps: int) -> Graph:
    network = Network(steps)
    states = network.rnn()[-5:]
    return network.graph([network.add("ReduceMean", network.stack(states), axes=(1,), keepdims=0)])


def test_the_last_five_steps_need_five() -> None:
    lengths = (1, 2, 5, 7, 8)
    graph = rolled([last_five(steps) for steps in lengths], lengths)
    assert [str(guard) for guard in graph.guards] == ["5 <= T"]
    x = RNG.standard_normal((2, 11, 3))
    expected = last_five(11).run({"x": x}, execution=Execution(dtype=np.float64))
    computed = graph.run({"x": x}, execution=Execution(dtype=np.float64))
    np.testing.assert_allclose(*(next(iter(of.values())) for of in (computed, expected)), rtol=1e-12)


# What is refused


def branch_on_a_step(steps: int) -> Graph:
    network = Network(steps)
    h = network.zeros()
    for t in range(steps):
        h = network.tanh(network.row(t), h)
        if t == 4:
            h = network.add("Relu", h)
    return network.graph([h])


def every_second_step(steps: int) -> Graph:
    network = Network(steps)
    h = network.zeros()
    for t in range(steps):
        h = network.tanh(network.row(t), h)
        if t % 2:
            h = network.add("Relu", h)
    return network.graph([h])


def teacher_at_random(steps: int) -> Graph:
    network = Network(steps)
    rng = np.random.default_rng(steps)
    h = network.zeros()
    for t in range(steps):
        x = network.row(t)
        if t and rng.random() < 0.5:
            x = network.add("MatMul", h, network.v)
        h = network.tanh(x, h)
    return network.graph([h])


def step_as_a_number(steps: int) -> Graph:
    network = Network(steps)
    h = network.zeros()
    for t in range(steps):
        h = network.add("Mul", network.tanh(network.row(t), h), network.constant(np.float64(0.9**t)))
    return network.graph([h])


def weights_of_their_own(steps: int) -> Graph:
    network = Network(steps)
    h = network.zeros()
    for t in range(steps):
        network.w = network.constant(W * (t + 1), f"w_{t}")
        h = network.tanh(network.row(t), h)
    return network.graph([h])


def two_steps_before(steps: int) -> Graph:
    network = Network(steps)
    states = [network.zeros(), network.zeros()]
    for t in range(steps):
        states.append(network.add("Add", network.tanh(network.row(t), states[-1]), states[-2]))
    return network.graph([states[-1]])


def attention_to_the_past(steps: int) -> Graph:
    network = Network(steps)
    states = [network.zeros()]
    for t in range(steps):
        past = network.add("ReduceSum", network.stack(states), axes=(1,), keepdims=0)
        states.append(network.tanh(network.row(t), past))
    return network.graph([states[-1]])


def square_of_steps(steps: int) -> Graph:
    network = Network(steps)
    states = network.stack(network.rnn())
    total = network.add("ReduceSum", states, axes=(1,), keepdims=0)
    return network.graph([network.add("Div", total, network.constant(np.float64(steps**2)))])


def half_of_steps(steps: int) -> Graph:
    network = Network(steps)
    states = network.stack(network.rnn())
    return network.graph([network.add("Slice", states, starts=(0,), ends=(steps // 2 + 1,), axes=(1,))])


def other_row(steps: int) -> Graph:
    """The rows do not move as the steps do."""
    network = Network(steps)
    return network.graph([network.rnn([t * (t + 1) // 2 % steps for t in range(steps)])[-1]])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (branch_on_a_step, "differs between"),
        (every_second_step, "differs between"),
        (teacher_at_random, "differs between"),
        (step_as_a_number, "reads a constant that differs from step to step"),
        (weights_of_their_own, "differs between"),
        (two_steps_before, "reads what was computed more than one step before"),
        (attention_to_the_past, "differs"),
        (square_of_steps, "does not grow evenly with the steps"),
        (half_of_steps, "does not grow evenly with the steps"),
        (other_row, "reads something else than in the other steps"),
    ],
)
def test_what_is_no_regular_loop_is_refused(network: Callable[[int], Graph], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rolled([network(steps) for steps in LENGTHS], LENGTHS)


def test_three_numbers_of_steps_are_needed() -> None:
    with pytest.raises(InputError, match="3 numbers of steps"):
        rolled([simple(2), simple(5)], (2, 5))
    with pytest.raises(InputError, match="3 numbers of steps"):
        rolled([simple(2), simple(5), simple(5)], (2, 5, 5))
    with pytest.raises(InputError, match="at least 4 steps"):
        rolled([simple(1), simple(2), simple(3)], (1, 2, 3))


def test_graphs_of_other_networks_are_refused() -> None:
    with pytest.raises(InputError, match="does not grow evenly"):
        rolled([simple(3), reversed_loop(4), simple(5)], (3, 4, 5))


# The comparison of two graphs


def test_graphs_are_the_same_by_their_structure() -> None:
    assert same(simple(3), simple(3))
    assert not same(simple(3), reversed_loop(3))

    def scaled(factor: float) -> Graph:
        builder = Network(2)
        return builder.graph([builder.add("Mul", builder.x, builder.constant(np.array([[[1.0, 2.0, factor]]])))])

    assert same(scaled(3.0), scaled(3.0))
    assert not same(scaled(3.0), scaled(np.nextafter(3.0, 4.0)))


def test_rows_that_are_read_and_stacked_are_the_same() -> None:
    """However they are written; other rows are not."""

    def rows(order: tuple[int, ...], how: str) -> Graph:
        builder = Network(3)
        parts = []
        for t in order:
            if how == "gather":
                parts.append(builder.add("Unsqueeze", builder.row(t), axes=(1,)))
            else:
                parts.append(builder.add("Slice", builder.x, starts=(t,), ends=(t + 1,), axes=(1,)))
        return builder.graph([builder.add("Tanh", builder.add("Concat", *parts, axis=1))])

    plain = Network(3)
    expected = plain.graph([plain.add("Tanh", plain.x)])
    for how in ("gather", "slice"):
        assert same(expected, rows((0, 1, 2), how))
        assert not same(expected, rows((0, 2, 1), how))
    assert same(rows((2, 0), "gather"), rows((2, 0), "slice"))
