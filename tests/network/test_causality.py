"""Causal graphs read step by step compute what the whole graph computes of each prefix; the others say which node."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.network.causality import Causality, causality_of
from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import Dim
from gatewise.types import Array
from tests.members.graphs import B, T

Build = Callable[[GraphBuilder, str], str]
"""Adds nodes that read x (B, T, 3), and returns the name of the output."""

RNG = np.random.default_rng(4)


def constant(builder: GraphBuilder, *shape: int) -> str:
    return builder.constant(RNG.normal(size=shape).astype(np.float32))


def recurrence(builder: GraphBuilder, x: str, units: int = 4, mask: str = "", **options: Any) -> list[str]:
    """h, the last h, and of an LSTM the last c."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[options.get("cell", "LSTM")]
    width = builder.types[x].shape[2]
    assert isinstance(width, int)
    weights = [constant(builder, gates * units, size) for size in (width, units)]
    return builder.node(Recurrent(**options), [x, *weights, constant(builder, gates * units), "", mask])


def positive(builder: GraphBuilder, x: str) -> str:
    """A mask (B, T), of the sign of a number of each step."""
    first = builder.add("Gather", x, builder.constant(np.array(0)), axis=2)
    return builder.add("Greater", first, builder.constant(np.float32(0)))


def mean(builder: GraphBuilder, x: str) -> str:
    return builder.add("ReduceMean", x, axes=(1,), keepdims=0)


def masked_mean(builder: GraphBuilder, x: str) -> str:
    read = builder.add("Unsqueeze", builder.add("Cast", positive(builder, x), to="float"), axes=(2,))
    h = recurrence(builder, x, mask=positive(builder, x))[0]
    total = builder.add("ReduceSum", builder.add("Mul", h, read), axes=(1,), keepdims=0)
    count = builder.add("ReduceSum", read, axes=(1,), keepdims=0)
    return builder.add("Div", total, builder.add("Max", count, builder.constant(np.float32(1))))


def convolution(builder: GraphBuilder, x: str, pads: tuple[int, int] = (4, 0), dilation: int = 2) -> str:
    """Over three steps, of which each is `dilation` after the other."""
    channels = builder.add("Transpose", x, perm=(0, 2, 1))
    weights = [constant(builder, 5, 3, 3), constant(builder, 5)]
    windows = builder.add("Conv", channels, *weights, pads=pads, dilations=(dilation,))
    return builder.add("Transpose", windows, perm=(0, 2, 1))


def padded_convolution(builder: GraphBuilder, x: str) -> str:
    """With a node of its own for the pads, which are no zeros."""
    channels = builder.add("Transpose", x, perm=(0, 2, 1))
    padded = builder.add("Pad", channels, pads=(2, 0), axes=(2,), constant_value=-1.5)
    windows = builder.add("Conv", padded, constant(builder, 5, 3, 3))
    return builder.add("ReduceMax", windows, axes=(2,), keepdims=0)


def chomp(builder: GraphBuilder, x: str) -> str:
    """Padded on both sides, and what reads the pads after the last step cut off, as in a TCN."""
    channels = builder.add("Transpose", x, perm=(0, 2, 1))
    windows = builder.add("Conv", channels, constant(builder, 5, 3, 3), pads=(4, 4), dilations=(2,))
    both = builder.add("Relu", builder.add("Add", windows, constant(builder, 1, 5, 1)))
    return builder.add("Slice", both, starts=(0,), ends=(-4,), axes=(2,), steps=(1,))


def last_by_numbers(builder: GraphBuilder, x: str) -> str:
    """h[arange(B), lengths - 1]."""
    lengths = builder.input("lengths", ValueType("int64", (B,)))
    step = builder.add("Unsqueeze", builder.add("Sub", lengths, builder.constant(np.array(1))), axes=(1,))
    row = builder.add("Unsqueeze", builder.add("Range", limit=B), axes=(1,))
    return builder.add("GatherND", recurrence(builder, x)[0], builder.add("Concat", row, step, axis=1))


def loop_body() -> Graph:
    """h, c = tanh(h W + x), c + h²; it stacks h c."""
    body = GraphBuilder()
    h = body.input("h", ValueType("float", (B, 3)))
    c = body.input("c", ValueType("float", (B, 3)))
    row = body.input("row", ValueType("float", (B, 3)))
    weight = body.input("weight", ValueType("float", (3, 3)))
    new = body.add("Tanh", body.add("Add", body.add("MatMul", h, weight), row))
    memory = body.add("Add", c, body.add("Mul", new, new))
    return body.graph([new, memory, body.add("Mul", new, memory)])


def loop(builder: GraphBuilder, x: str) -> list[str]:
    """The last h and c, and the rows (T, B, 3). c starts from the first step."""
    rows = builder.add("Transpose", x, perm=(1, 0, 2))
    start = builder.add("Gather", rows, builder.constant(np.array(0)))
    zeros = builder.add("ConstantOfShape", input=(B, 3))
    operation = Loop(body=loop_body(), steps=T, axes=(0,), output_axes=(0,))
    return builder.node(operation, [zeros, start, rows, constant(builder, 3, 3)])


def last_by_lengths(builder: GraphBuilder, x: str) -> str:
    """h of the step that the lengths name, of a packed sequence."""
    lengths = builder.input("lengths", ValueType("int64", (B,)))
    read = builder.add("Less", builder.add("Range", limit=T), builder.add("Unsqueeze", lengths, axes=(1,)))
    h = recurrence(builder, x, mask=read, masked="zero")[0]
    h = builder.add("RequireLongest", h, lengths)
    index = builder.add("Sub", lengths, builder.constant(np.array(1)))
    index = builder.add("Expand", builder.add("Reshape", index, shape=(B, 1, 1)), shape=(B, 1, 4))
    return builder.add("Squeeze", builder.add("GatherElements", h, index, axis=1), axes=(1,))


def last_of_rows(builder: GraphBuilder, x: str) -> str:
    """The rows of all steps as one axis, as TimeDistributed has them, and the last step of them."""
    rows = builder.add("Reshape", x, shape=(B * T, 3))
    rows = builder.add("Relu", builder.add("MatMul", rows, constant(builder, 3, 2)))
    steps = builder.add("Reshape", rows, shape=(B, T, 2))
    return builder.add("Slice", steps, starts=(-1,), ends=(T,), axes=(1,), steps=(1,))


def positions(builder: GraphBuilder, x: str) -> str:
    """Numbers of the steps as a further channel, the sum over them, and how many there are."""
    place = builder.add("Cast", builder.add("Range", limit=T), to="float")
    place = builder.add("Expand", builder.add("Reshape", place, shape=(1, T, 1)), shape=(B, T, 1))
    h = builder.add("Concat", x, place, axis=2)
    total = builder.add("ReduceSum", h, axes=(1,), keepdims=0)
    count = builder.add("Cast", builder.add("Sizes", sizes=(T,), scalar=True), to="float")
    return builder.add("Div", total, count)


def residual(builder: GraphBuilder, x: str) -> str:
    wide = builder.add("MatMul", x, constant(builder, 3, 4))
    normal = builder.add("LayerNormalization", wide, constant(builder, 4), axis=2)
    return builder.add("Add", wide, recurrence(builder, normal, masked="zero")[0])


def shifted(builder: GraphBuilder, x: str) -> str:
    """x of the step before, after a learned row."""
    start = builder.add("Expand", constant(builder, 1, 1, 3), shape=(B, 1, 3))
    joined = builder.add("Concat", start, x, axis=1)
    before = builder.add("Slice", joined, starts=(0,), ends=(-1,), axes=(1,), steps=(1,))
    return builder.add("Sub", x, before)


def weighted_sum(builder: GraphBuilder, x: str) -> str:
    """Weights of a sigmoid (B, 1, T) times h (B, T, 4), and an Einsum that sums over the steps too."""
    h = recurrence(builder, x, cell="RNN")[0]
    weight = builder.add("Sigmoid", builder.add("MatMul", h, constant(builder, 4, 1)))
    total = builder.add("MatMul", builder.add("Transpose", weight, perm=(0, 2, 1)), h)
    other = builder.add("Einsum", h, x, equation="bth,btx->bhx")
    return builder.add("Concat", total, builder.add("Transpose", other, perm=(0, 2, 1)), axis=1)


def with_rows_of_words(builder: GraphBuilder, x: str) -> str:
    """A backward recurrence over the three numbers of each step, whose last states the steps read."""
    letters = builder.add("Reshape", x, shape=(B * T, 3, 1))
    state = recurrence(builder, letters, units=2, reverse=True)[1]
    words = builder.add("Reshape", state, shape=(B, T, 2))
    return recurrence(builder, words)[1]


CAUSAL: dict[str, Build] = {
    "the last state of an LSTM": lambda builder, x: recurrence(builder, x)[1],
    "its memory cell": lambda builder, x: recurrence(builder, x)[2],
    "a stack of GRUs": lambda builder, x: recurrence(builder, recurrence(builder, x, cell="GRU")[0], cell="GRU")[1],
    "outputs of each step": lambda builder, x: builder.add("Tanh", recurrence(builder, x)[0]),
    "the mean": lambda builder, x: mean(builder, recurrence(builder, x)[0]),
    "the maximum": lambda builder, x: builder.add("ReduceMax", recurrence(builder, x)[0], axes=(1,), keepdims=0),
    "the minimum": lambda builder, x: builder.add("ReduceMin", x, axes=(-2,), keepdims=1),
    "the norm": lambda builder, x: builder.add("ReduceL2", x, axes=(1,), keepdims=0),
    "the product": lambda builder, x: builder.add("ReduceProd", x, axes=(1, 2), keepdims=0),
    "the mean of all numbers": lambda builder, x: builder.add("ReduceMean", x, axes=(1, 2), keepdims=0),
    "a mask that is true once": lambda builder, x: builder.add(
        "Cast", builder.add("ReduceMax", positive(builder, x), axes=(1,), keepdims=0), to="float"
    ),
    "the masked mean": masked_mean,
    "steps that a mask leaves out": lambda builder, x: recurrence(builder, x, mask=positive(builder, x))[0],
    "zeros for steps that a mask leaves out": lambda builder, x: recurrence(
        builder, x, mask=positive(builder, x), masked="zero"
    )[0],
    "a causal convolution": lambda builder, x: convolution(builder, x),
    "a causal convolution and an LSTM": lambda builder, x: recurrence(builder, convolution(builder, x))[1],
    "pads of their own": padded_convolution,
    "pads that are cut off": chomp,
    "the last step by numbers": last_by_numbers,
    "a loop": lambda builder, x: loop(builder, x)[1],
    "the rows of a loop": lambda builder, x: builder.add("Tanh", loop(builder, x)[2]),
    "the last step by lengths": last_by_lengths,
    "the last of the rows of all steps": last_of_rows,
    "the first step": lambda builder, x: builder.add("Gather", x, builder.constant(np.array([0])), axis=1),
    "the step of all before the first": lambda builder, x: builder.add(
        "Sub", x, builder.add("Slice", x, starts=(0,), ends=(1,), axes=(1,), steps=(1,))
    ),
    "positions": positions,
    "a residual": residual,
    "the step before": shifted,
    "running sums": lambda builder, x: builder.add("CumSum", x, axis=1),
    "running sums of the steps before": lambda builder, x: builder.add("CumSum", x, axis=1, exclusive=1),
    "a sum with weights": weighted_sum,
    "rows of words": with_rows_of_words,
    "global pooling": lambda builder, x: builder.add("GlobalAveragePool", builder.add("Transpose", x, perm=(0, 2, 1))),
}

NOT_CAUSAL: dict[str, tuple[Build, str]] = {
    "backwards": (
        lambda builder, x: recurrence(builder, x, reverse=True)[1],
        "'recurrent'.*from the last to the first",
    ),
    "reversed": (
        lambda builder, x: builder.add("Slice", x, starts=(-1,), ends=(-1 - T,), axes=(1,), steps=(-1,)),
        "'slice'.*reverses the steps",
    ),
    "a softmax over the steps": (lambda builder, x: builder.add("Softmax", x, axis=1), "'softmax'.*over all steps"),
    "all steps with each other": (
        lambda builder, x: builder.add("MatMul", x, builder.add("Transpose", x, perm=(0, 2, 1))),
        "'matmul'.*relates all steps",
    ),
    "a difference from the mean": (
        lambda builder, x: builder.add("Sub", x, builder.add("ReduceMean", x, axes=(1,), keepdims=1)),
        "'sub'.*each step reads 'reducemean', which depends on all steps",
    ),
    "a convolution that looks ahead": (
        lambda builder, x: convolution(builder, x, (2, 2)),
        "'conv'.*reads up to 2 steps ahead",
    ),
    "pads that are not cut off": (
        lambda builder, x: builder.add("ReduceMax", convolution(builder, x, (4, 4)), axes=(1,), keepdims=0),
        "'conv'.*reads up to 4 steps ahead",
    ),
    "too few of the pads cut off": (
        lambda builder, x: builder.add(
            "Slice", convolution(builder, x, (4, 4)), starts=(0,), ends=(-3,), axes=(1,), steps=(1,)
        ),
        "'conv'.*reads up to 4 steps ahead",
    ),
    "pads cut off at the wrong end": (
        lambda builder, x: builder.add(
            "Slice", convolution(builder, x, (4, 4)), starts=(4,), ends=(T + 4,), axes=(1,), steps=(1,)
        ),
        "'conv'.*reads up to 4 steps ahead",
    ),
    "a convolution without pads": (
        lambda builder, x: convolution(builder, x, (0, 0)),
        "'conv'.*first step has no output",
    ),
    "norm over the steps": (
        lambda builder, x: builder.add("LayerNormalization", x, constant(builder, 3), axis=1),
        "'layernormalization'.*over all steps",
    ),
    "the last state for each step": (
        lambda builder, x: builder.add(
            "Expand", builder.add("Unsqueeze", recurrence(builder, x)[1], axes=(1,)), shape=(B, T, 4)
        ),
        "'expand'.*depends on all steps",
    ),
    "places from the end": (
        lambda builder, x: builder.add("Cast", builder.add("Range", start=T - 1, limit=-1, delta=-1), to="float"),
        "'range'.*counts the steps from the last one",
    ),
    "some of the steps": (
        lambda builder, x: mean(builder, builder.add("Slice", x, starts=(-5,), ends=(T,), axes=(1,), steps=(1,))),
        "'slice'.*some of the steps",
    ),
    "pooling": (
        lambda builder, x: builder.add(
            "MaxPool", builder.add("Transpose", x, perm=(0, 2, 1)), kernel_shape=(1,), strides=(1,)
        ),
        "'maxpool'.*joins several steps",
    ),
    "a decoder that starts from the last state": (
        lambda builder, x: builder.node(
            Recurrent(), [x, constant(builder, 16, 3), constant(builder, 16, 4), "", "", "", recurrence(builder, x)[1]]
        )[1],
        "which depends on all steps",
    ),
    "steps as channels": (
        lambda builder, x: builder.add("Transpose", builder.add("Reshape", x, shape=(B, 3, T)), perm=(0, 2, 1)),
        "'reshape'.*joins the numbers of several steps",
    ),
}


def graph_of(build: Build, steps: Dim = T) -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, steps, 3)))
    return builder.graph([build(builder, x)])


def causality(graph: Graph, rows: int = 1) -> Causality:
    lengths = "lengths" if "lengths" in graph.inputs else ""
    return causality_of(graph, graph.outputs[0], {"x": 1}, {"B": rows}, lengths)


def feeds_of(graph: Graph, x: Array) -> dict[str, Array]:
    feeds = {"x": x}
    if "lengths" in graph.inputs:
        feeds["lengths"] = np.full(len(x), x.shape[1])
    return feeds


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("rows", [1, 2])
def test_a_graph_that_is_read_step_by_step_computes_each_prefix(name: str, rows: int) -> None:
    graph = graph_of(CAUSAL[name])
    found = causality(graph, rows)
    if rows == 2 and name in ("the last of the rows of all steps", "rows of words"):
        assert (
            "several steps" in found.reason or "one number" in found.reason
        )  # of several sequences they are not in order
        return
    assert found.reason == ""
    assert found.step_graph is not None
    [output] = graph.outputs
    role = found.values[output]
    rng = np.random.default_rng(8)
    x = rng.normal(size=(rows, 11, 3)).astype(np.float32)
    for chunks in ([1] * 11, [3, 1, 5, 2], [11]):
        states = found.step_graph.start()
        sizes = {state: array.shape for state, array in states.items()}
        end = 0
        for count in chunks:
            begin, end = end, end + count
            result, states = found.step_graph.run(
                feeds_of(graph, x[:, begin:end]), states, begin, Execution(keep=False)
            )
            whole = graph.run(feeds_of(graph, x[:, :end]))[output]
            if role.axis is not None:
                whole = np.take(whole, np.arange(begin, end), axis=role.axis)
            np.testing.assert_allclose(result, whole, rtol=0, atol=2e-5 * max(1, np.abs(whole).max()))
        assert {state: array.shape for state, array in states.items()} == sizes


@pytest.mark.parametrize("name", NOT_CAUSAL)
def test_a_graph_that_is_not_causal_says_which_node_and_why(name: str) -> None:
    build, message = NOT_CAUSAL[name]
    found = causality(graph_of(build))
    assert found.step_graph is None
    assert "\n" not in found.reason
    assert re.search(message, found.reason), found.reason


def test_the_roles_of_values() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 3)))
    h, last, _ = recurrence(builder, x)
    moved = builder.add("Transpose", h, perm=(2, 0, 1))
    values = causality(builder.graph([last, moved])).values
    assert (values[h].role, values[h].axis) == ("steps", 1)
    assert (values[moved].role, values[moved].axis) == ("steps", 2)
    assert (values[last].role, values[last].axis) == ("prefix", None)
    assert {values[name].role for name in builder.constants} == {"fixed"}


def test_a_fixed_number_of_steps_is_free_where_no_node_needs_it() -> None:
    """A GRU over 7 steps reads any number of them; Flatten does not."""
    found = causality(graph_of(lambda builder, x: recurrence(builder, x, cell="GRU")[1], 7))
    assert found.step_graph is not None
    flat = causality(graph_of(lambda builder, x: builder.add("Reshape", x, shape=(B, 21)), 7))
    assert "'reshape'" in flat.reason
    assert "made for one number of steps" in flat.reason


def test_what_the_rules_do_not_see_is_found_by_the_values() -> None:
    """A causal graph keeps its first rows where later steps change, and an early step changes what follows."""
    rng = np.random.default_rng(2)
    for build in CAUSAL.values():
        graph = graph_of(build)
        found = causality(graph)
        [output] = graph.outputs
        axis = found.values[output].axis
        if axis is None:
            continue
        x = rng.normal(size=(1, 9, 3)).astype(np.float32)
        other = np.concatenate([x[:, :5], rng.normal(size=(1, 4, 3)).astype(np.float32)], axis=1)
        rows = [np.take(graph.run(feeds_of(graph, each))[output], np.arange(5), axis=axis) for each in (x, other)]
        np.testing.assert_array_equal(*rows)


def test_the_constants_of_the_graph_are_not_copied() -> None:
    graph = graph_of(CAUSAL["a stack of GRUs"])
    graph = replace(graph, constants={name: array.copy() for name, array in graph.constants.items()})
    found = causality(graph)
    assert found.step_graph is not None
    for name, array in found.step_graph.graph.constants.items():
        assert array is graph.constants[name]
