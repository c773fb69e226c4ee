"""Streams of networks that are graphs: the predictions of each prefix, states as data, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.explain.serialize import network_json
from gatewise.members.clamp import Clamp
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.graph_network import GraphNetwork
from gatewise.model.model import Model
from gatewise.model.preprocessor import TextPreprocessor
from gatewise.model.step_rule import StepRule
from gatewise.network.graph import Graph, Guard
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.operations.loop import Loop
from gatewise.network.size import Dim
from gatewise.text.index import IndexEncoding
from gatewise.types import Array
from tests.members.graphs import B, T, operation_of_recurrence, recurrent_classifier, text_graph, weights_of
from tests.refusals import assert_refused

VOCAB = 19  # of `text_graph`


def last_state(steps: Dim = T, cell: str = "GRU", scale: float = 1.0) -> Graph:
    """The last state of a recurrence over tokens, without a mask; `scale` of the recurrent weights."""
    rng = np.random.default_rng(7)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, steps)))
    x = builder.add("Gather", builder.constant(rng.normal(size=(VOCAB, 4)).astype(np.float32), "embedding"), ids)
    weights = weights_of(builder, rng, cell, 4, 5)
    builder.constants[weights[1]] *= np.float32(scale)
    last = builder.node(operation_of_recurrence(cell), [x, *weights])[1]
    return builder.graph([builder.add("MatMul", last, builder.constant(rng.normal(size=(5, 2)).astype(np.float32)))])


def ids_of(count: int, seed: int = 0) -> list[int]:
    ids: list[int] = np.random.default_rng(seed).integers(0, VOCAB, count).tolist()
    return ids


def text(ids: list[int]) -> str:
    return " ".join(map(str, ids))


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_a_stream_predicts_what_the_model_predicts_of_each_prefix(cell: str) -> None:
    model = Model.of_graph(text_graph(cell))
    assert model.ensemble.network.is_causal
    ids = [0, 0, *ids_of(30)]
    stream = model.stream()
    branch = None
    for end in range(1, len(ids) + 1):
        pushed = stream.push(str(ids[end - 1]))
        np.testing.assert_allclose(pushed.logits, model.logits([text(ids[:end])])[0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(pushed.probabilities, model.predict_proba([text(ids[:end])])[0], rtol=0, atol=1e-6)
        assert pushed.label == model.predict([text(ids[:end])])[0]
        assert pushed.steps == stream.steps == end
        if end == 7:
            branch = stream.copy()
        if end % 5 == 0:
            stream = model.stream(stream.state)
    assert branch is not None
    several = branch.push(text(ids[7:12]))
    np.testing.assert_allclose(several.logits, model.logits([text(ids[:12])])[0], rtol=0, atol=1e-5)
    assert len(stream.state) < 4_000  # of any number of steps


def test_the_steps_of_a_loop_are_those_of_the_network() -> None:
    """Of a series (T, B, 3), which a graph without a recurrence would have with the batch first."""
    rng = np.random.default_rng(5)
    body = GraphBuilder()
    h = body.input("h", ValueType("float", (B, 4)))
    row = body.input("row", ValueType("float", (B, 3)))
    weights = [body.input(name, ValueType("float", shape)) for name, shape in (("w", (4, 4)), ("u", (3, 4)))]
    total = body.add("Add", body.add("MatMul", h, weights[0]), body.add("MatMul", row, weights[1]))
    builder = GraphBuilder()
    x = builder.input("series", ValueType("float", (T, B, 3)))
    start = builder.add("ConstantOfShape", input=(B, 4), value=0.5)
    of_loop = [builder.constant(rng.normal(size=size).astype(np.float32)) for size in ((4, 4), (3, 4))]
    loop = Loop(body=body.graph([body.add("Tanh", total)]), steps=T, axes=(0,))
    [last] = builder.node(loop, [start, x, *of_loop])
    model = Model.of_graph(builder.graph([last]), task="regression")
    assert model.ensemble.network.is_causal
    series = rng.normal(size=(8, 3)).astype(np.float32)
    stream = model.stream()
    for end in range(1, 9):
        state = np.full(4, 0.5)
        for step in series[:end]:
            state = np.tanh(state @ builder.constants[of_loop[0]] + step @ builder.constants[of_loop[1]])
        np.testing.assert_allclose(model.predict([series[:end]])[0], state, rtol=0, atol=1e-5)
        np.testing.assert_allclose(stream.push(series[end - 1]).label, state, rtol=0, atol=1e-5)


def test_a_state_is_that_of_one_model() -> None:
    stream = Model.of_graph(text_graph()).stream()
    stream.push("4 0 3")
    assert_refused("another model", Model.of_graph(text_graph("LSTM")).stream, stream.state)
    assert_refused("state", Model.of_graph(text_graph()).stream, stream.state[:-3])


def test_a_stream_of_a_prediction_per_step_has_that_of_the_step() -> None:
    model = Model.of_graph(text_graph(per_step=True), task="tagging")
    ids = ids_of(9)
    stream = model.stream()
    pushed = np.stack([stream.push(str(token)).probabilities for token in ids])
    np.testing.assert_allclose(pushed, model.predict_proba([text(ids)])[0], rtol=0, atol=1e-6)


def test_a_series_is_streamed_with_states_of_convolutions_and_means() -> None:
    rng = np.random.default_rng(3)
    builder = GraphBuilder()
    x = builder.input("series", ValueType("float", (B, T, 2)))
    channels = builder.add("Transpose", x, perm=(0, 2, 1))
    conv = builder.add("Conv", channels, builder.constant(rng.normal(size=(4, 2, 3)).astype(np.float32)), pads=(2, 0))
    read = builder.add("Relu", builder.add("Transpose", conv, perm=(0, 2, 1)))
    h = builder.node(operation_of_recurrence(), [read, *weights_of(builder, rng, "LSTM", 4, 5)])[0]
    pooled = builder.add("ReduceMean", h, axes=(1,), keepdims=0)
    model = Model.of_graph(builder.graph([pooled]), task="regression")
    series = rng.normal(size=(25, 2)).astype(np.float32)
    stream = model.stream()
    for end, row in enumerate(series, 1):
        np.testing.assert_allclose(stream.push(row).label, model.predict([series[:end]])[0], rtol=0, atol=1e-5)
    assert stream.steps == 25


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
def test_prefix_logits_of_a_causal_network_are_those_of_each_prefix(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = text_graph(cell)
    network = GraphNetwork.of(graph, graph.outputs[0], graph.nodes[-2].outputs[0])
    sequence = EncodedSequence(np.array(ids_of(12)))
    runs: list[int] = []
    logits = GraphNetwork.logits

    def counted(self: GraphNetwork, sequences: Any) -> Array:
        sequences = list(sequences)
        runs.append(len(sequences))
        return logits(self, sequences)

    monkeypatch.setattr(GraphNetwork, "logits", counted)
    found = network.prefix_logits(sequence)
    assert runs == [1]  # that of no step
    expected = network.logits([network.empty(sequence), *(sequence[:end] for end in range(1, 13))])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_prefix_logits_keep_the_clamps() -> None:
    graph = last_state(cell="LSTM")
    clamps = (Clamp("f", 0.0, unit=2, steps=range(2, 5)), Clamp("o", 0.3, unit=1))
    network = GraphNetwork.of(graph, *graph.outputs * 2).changed(clamps=clamps)
    sequence = EncodedSequence(np.array(ids_of(9)))
    expected = network.logits([sequence[:end] for end in range(1, 10)])
    np.testing.assert_allclose(network.prefix_logits(sequence)[1:], expected, rtol=0, atol=1e-5)
    free = network.changed(clamps=()).prefix_logits(sequence)
    assert np.abs(free[4:] - network.prefix_logits(sequence)[4:]).max() > 1e-3


def test_a_network_that_is_not_causal_says_so_where_it_is_explained() -> None:
    model = Model.of_graph(recurrent_classifier())
    network = model.ensemble.network
    assert not network.is_causal
    assert "Softmax over all steps" in network.not_causal
    explanation = model.explain("3 0 5", "prefix-difference")
    assert "the network is not known to be causal (node 'softmax': Softmax over all steps)" in explanation.method_note
    assert "Softmax" in network_json(network, model.target)["not_causal"]
    causal = Model.of_graph(text_graph()).explain("3 0 5", "prefix-difference")
    assert "known to be causal" not in causal.method_note
    fixed = Model.of_graph(text_graph(steps=3)).explain("3 0 5", "prefix-difference")
    assert "on the way through all steps of the network's length" in fixed.method_note


def test_some_prefixes_of_a_fixed_length_have_the_steps_after_them_replaced() -> None:
    """A page samples the prefixes of a long sequence where each is a run of its own."""
    graph = recurrent_classifier()
    fixed = GraphBuilder()
    ids = fixed.input("ids", ValueType("int64", (B, 30)))
    for name, array in graph.constants.items():
        fixed.constant(array, name)
    for node in graph.nodes:
        fixed.node(node.operation, [ids if name == "ids" else name for name in node.inputs], node.outputs, node.name)
    model = Model.of_graph(fixed.graph(graph.outputs[:1]))
    tokens = ids_of(30)
    example = model.trace(text(tokens))
    stride, logits = example.sampled_prefix_logits(120)
    ends = [*range(0, 30, stride), 30]
    assert stride > 1
    np.testing.assert_allclose(logits, example.prefix_logits[ends], rtol=0, atol=1e-6)


def test_what_is_not_causal_is_refused_with_the_node() -> None:
    model = Model.of_graph(recurrent_classifier())
    assert_refused("not known to be causal.*node 'softmax'.*over all steps", model.stream)


def test_a_fixed_length_is_streamed_where_each_step_has_a_prediction() -> None:
    assert_refused("reads 8 steps cannot be streamed.*after fewer steps", Model.of_graph(last_state(8)).stream)
    model = Model.of_graph(text_graph(steps=8, per_step=True), task="tagging")
    ids = ids_of(8)
    stream = model.stream()
    pushed = np.stack([stream.push(str(token)).probabilities for token in ids])
    np.testing.assert_allclose(pushed, model.predict_proba([text(ids)])[0], rtol=0, atol=1e-6)
    assert_refused("reads 8 steps", stream.push, "3")


def test_a_stream_ends_where_the_network_was_not_read() -> None:
    model = Model.of_graph(text_graph(guards=(Guard(T, "<=", 6),)))
    stream = model.stream()
    stream.push("1 2 3 4 5")
    state = stream.state
    assert_refused("T <= 6.*would have 7", stream.push, "6 7")
    assert stream.state == state
    stream.push("6")
    assert_refused(
        "not known to be causal.*single step", Model.of_graph(text_graph(guards=(Guard(T, "!=", 1),))).stream
    )


def with_pads(graph: Graph, rule: StepRule) -> Model:
    return Model.of_graph(graph, TextPreprocessor(IndexEncoding(VOCAB), rule))


@pytest.mark.parametrize("cell", ["LSTM", "GRU"])
@pytest.mark.parametrize("is_fixed", [False, True])
def test_pads_in_front_are_the_state_before_the_first_step(cell: str, is_fixed: bool) -> None:
    length = 400
    model = with_pads(last_state(length if is_fixed else T, cell, 0.4), StepRule(length))
    stream = model.stream()
    ids = ids_of(60)
    for end, token in enumerate(ids, 1):
        expected = model.logits([text(ids[:end])])[0]
        np.testing.assert_allclose(stream.push(str(token)).logits, expected, rtol=0, atol=2e-6)
    assert model.stream(stream.state).steps == 60
    assert_refused("too few pads", stream.push, text([3] * 340))


def pooled(reduction: str, cell: str = "GRU", steps: Dim = T) -> Graph:
    """A reduction of the states of a recurrence over all steps, pads too."""
    rng = np.random.default_rng(7)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, steps)))
    x = builder.add("Gather", builder.constant(rng.normal(size=(VOCAB, 4)).astype(np.float32)), ids)
    h = builder.node(operation_of_recurrence(cell), [x, *weights_of(builder, rng, cell, 4, 3)])[0]
    return builder.graph([builder.add(reduction, h, axes=(1,), keepdims=0)])


@pytest.mark.parametrize("reduction", ["ReduceMean", "ReduceSum", "ReduceL2", "ReduceMax"])
def test_a_pooling_counts_as_many_pads_as_the_steps_leave(reduction: str) -> None:
    model = with_pads(pooled(reduction, steps=150), StepRule(150))
    stream = model.stream()
    ids = ids_of(50)
    for end, token in enumerate(ids, 1):
        expected = model.logits([text(ids[:end])])[0]
        found = stream.push(str(token)).logits
        np.testing.assert_allclose(found, expected, rtol=0, atol=3e-6 * max(1, np.abs(expected).max()))
        if end % 20 == 0:
            stream = model.stream(stream.state)


def test_pads_that_change_the_state_in_other_ways_are_refused() -> None:
    message = "padding 'pre' cannot be streamed"
    assert_refused(message, with_pads(pooled("ReduceProd"), StepRule(150)).stream)
    assert_refused(message, with_pads(counting_loop(), StepRule(150)).stream)
    assert_refused("numbers its steps", with_pads(positions(), StepRule(150)).stream)
    assert_refused("padded at the end to 50 steps", with_pads(last_state(), StepRule(50, "post")).stream)
    assert_refused("reads 8 steps, and its sequences are padded to 50", with_pads(last_state(8), StepRule(50)).stream)


def counting_loop() -> Graph:
    """A loop whose state grows by the same number with each pad, and which other steps multiply."""
    rng = np.random.default_rng(9)
    body = GraphBuilder()
    state = body.input("state", ValueType("float", (B, 2)))
    row = body.input("row", ValueType("float", (B, 2)))
    factor = body.add("Exp", row)
    loop = body.graph([body.add("Add", body.add("Mul", state, factor), body.add("Add", factor, row))])
    table = rng.normal(size=(VOCAB, 2)).astype(np.float32)
    table[0] = 0
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    x = builder.add("Gather", builder.constant(table), ids)
    start = builder.add("ConstantOfShape", input=(B, 2))
    return builder.graph(builder.node(Loop(body=loop, steps=T, axes=(1,)), [start, x]))


def positions() -> Graph:
    """The sum of tokens times their places."""
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    x = builder.add(
        "Gather", builder.constant(np.random.default_rng(9).normal(size=(VOCAB, 2)).astype(np.float32)), ids
    )
    place = builder.add("Reshape", builder.add("Cast", builder.add("Range", limit=T), to="float"), shape=(1, T, 1))
    return builder.graph([builder.add("ReduceSum", builder.add("Mul", x, place), axes=(1,), keepdims=0)])


def test_a_stream_reads_as_many_steps_as_the_rule_keeps() -> None:
    model = with_pads(last_state(), StepRule(4, masked=True))
    stream = model.stream()
    assert [stream.push(token).steps for token in ("3", "0", "5", "6 2")] == [1, 1, 2, 4]
    assert_refused("reads 4 steps", stream.push, "7")


def test_several_inputs_are_refused() -> None:
    from tests.members.graphs import several_inputs

    assert_refused("also reads numbers, h0", Model.of_graph(several_inputs()).stream)


def test_a_network_with_other_parameters_is_analysed_again() -> None:
    graph = text_graph()
    network = GraphNetwork.of(graph, graph.outputs[0], graph.nodes[-2].outputs[0])
    sequence = EncodedSequence(np.array(ids_of(5)))
    assert network.is_causal
    parameters = {
        name: array * np.float32(0.5) if array.dtype.kind == "f" else array for name, array in graph.constants.items()
    }
    changed = network.changed(parameters=parameters)
    expected = changed.logits([sequence[:end] for end in range(1, 6)])
    np.testing.assert_allclose(changed.prefix_logits(sequence)[1:], expected, rtol=0, atol=1e-5)
    same = replace(network)
    np.testing.assert_array_equal(same.prefix_logits(sequence), network.prefix_logits(sequence))
