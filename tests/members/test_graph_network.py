"""A network of any form as a member: what it computes is that of an LSTM of the same weights."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.explain.attribution import METHODS, method_named, methods_of
from gatewise.explain.attribution.method import attribute
from gatewise.explain.example import Example
from gatewise.members.encoded_batch import EncodedBatch, ragged_steps
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.members.graph_network import GraphNetwork
from gatewise.members.lstm import LSTM
from gatewise.members.recurrent_layer import RecurrentLayer
from gatewise.model.model import Model
from gatewise.network.architecture import Architecture
from gatewise.network.graph import Graph, Guard
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.size import Dim, symbol
from gatewise.target import target_of
from tests.explain.random_net import ARCHITECTURES, names_of, sequence_of
from tests.members.graphs import B, T, of_architecture, operation_of_recurrence, recurrent_classifier
from tests.refusals import assert_refused

AS_GRAPHS = {name: arch for name, arch in ARCHITECTURES.items() if not arch.max_length and arch.gate == "sigmoid"}


def both(arch: Architecture, seed: int = 5) -> tuple[LSTM, GraphNetwork]:
    """An LSTM of random weights, and the graph of it."""
    rng = np.random.default_rng(seed)
    from gatewise.network.architecture import parameter_shapes

    parameters = {
        name: rng.normal(size=shape).astype(np.float32) * np.float32(0.5)
        for name, shape in parameter_shapes(arch).items()
    }
    graph = of_architecture(arch, parameters)
    return LSTM(arch, parameters), GraphNetwork.of(graph, graph.outputs[0], graph.outputs[0])


def sequences_of(arch: Architecture) -> list[EncodedSequence]:
    return [EncodedSequence(sequence_of(arch, length, length)) for length in (7, 1, 12, 7)]


@pytest.mark.parametrize("name", AS_GRAPHS)
def test_a_graph_of_an_architecture_computes_what_the_lstm_computes(name: str) -> None:
    lstm, network = both(AS_GRAPHS[name])
    sequences = sequences_of(lstm.arch)
    arrays = [sequence.steps for sequence in sequences]
    np.testing.assert_allclose(network.logits(sequences), lstm.logits(arrays), rtol=0, atol=1e-5)
    assert network.layers == lstm.layers
    for expected, activations in zip(lstm.activations(arrays), network.activations(sequences), strict=True):
        np.testing.assert_allclose(activations.logits, expected.logits, rtol=0, atol=1e-5)
        for of_lstm, gates in zip(expected.lstms, activations.lstms, strict=True):
            assert (gates.layer, gates.direction) == (of_lstm.layer, of_lstm.direction)
            for value in (*"ifgoch", "h0", "c0"):
                np.testing.assert_allclose(getattr(gates, value), getattr(of_lstm, value), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["plain", "mean and max", "bidirectional", "four classes", "product of the directions"]
)
@pytest.mark.parametrize("method", ["integrated-gradients", "leave-one-out", "prefix-difference"])
def test_a_graph_of_an_architecture_has_the_attribution_of_the_lstm(name: str, method: str) -> None:
    lstm, network = both(AS_GRAPHS[name])
    sequence = EncodedSequence(sequence_of(lstm.arch, 6, 2))
    target = target_of(names_of(lstm.arch))
    attributions = []
    for member in (lstm, network):
        example = Example(Ensemble.of(member, target), sequence)
        attributions.append(attribute(method_named(method), [example], channels=True)[0])
    expected, attribution = attributions
    # The first prefix differs: a graph has no prediction for no step.
    first = 1 if method == "prefix-difference" else 0
    np.testing.assert_allclose(attribution.scores[first:], expected.scores[first:], rtol=0, atol=1e-5)
    if method == "integrated-gradients":
        assert attribution.base_value == pytest.approx(expected.base_value, abs=1e-5)
    if expected.channels is not None and not first:
        assert attribution.channels is not None
        np.testing.assert_allclose(attribution.channels, expected.channels, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["two layers", "bidirectional", "sum of the directions, max"])
def test_the_preactivations_of_an_lstm_are_those_of_its_node(name: str) -> None:
    lstm, network = both(AS_GRAPHS[name])
    sequence = sequences_of(lstm.arch)[0]
    [expected] = lstm.activations([sequence.steps])
    [activations] = network.activations([sequence])
    for of_lstm, gates in zip(expected.lstms, activations.lstms, strict=True):
        parts = lstm.preactivations(sequence.steps, expected.lstms, of_lstm, 1)
        for gate, found in network.preactivations(sequence, activations.lstms, gates, 1).items():
            np.testing.assert_allclose(found.x, parts[gate].x, rtol=0, atol=1e-5)
            np.testing.assert_allclose(found.h, parts[gate].h, rtol=0, atol=1e-5)
            assert found.bias == pytest.approx(parts[gate].bias, abs=1e-6)


@pytest.mark.parametrize("cell", ["GRU", "LSTM", "RNN"])
def test_the_states_of_each_cell_follow_from_its_gates(cell: str) -> None:
    graph = recurrent_classifier(cell)
    network = GraphNetwork.of(graph, graph.outputs[0], graph.outputs[0])
    assert network.layers == (RecurrentLayer(5, ("forward",), cell),)  # type: ignore[arg-type]
    [activations] = network.activations([EncodedSequence(np.array([3, 0, 7, 18]))])
    [gates] = activations.lstms
    h_prev = np.concatenate([gates.h0[None], gates.h[:-1]])
    if cell == "GRU":
        np.testing.assert_allclose(gates.h, (1 - gates.z) * gates.n + gates.z * h_prev, rtol=0, atol=1e-6)
        assert 0 < gates.r.min() <= gates.r.max() < 1
    elif cell == "LSTM":
        np.testing.assert_allclose(gates.h, gates.o * np.tanh(gates.c), rtol=0, atol=1e-6)
    else:
        x = graph.constants["embedding"][[3, 0, 7, 18]] @ graph.constants["weight_ih"].T + graph.constants["bias"]
        np.testing.assert_allclose(gates.h, np.tanh(x + h_prev @ graph.constants["weight_hh"].T), rtol=0, atol=1e-6)
    assert gates.half_life().shape == (5,)
    np.testing.assert_allclose(gates.memory_changes().sum(axis=0), getattr(gates, gates.memory)[-1], rtol=0, atol=1e-6)


def attention_series(length: Any = T, guards: tuple[Guard, ...] = ()) -> Graph:
    """Self-attention over a series (B, length, 3), and the mean over its steps, two numbers."""
    rng = np.random.default_rng(8)
    builder = GraphBuilder()
    x = builder.input("series", ValueType("float", (B, length, 3)))
    query, key, value = (
        builder.add("MatMul", x, builder.constant(rng.normal(size=(3, 4)), name)) for name in ("q", "k", "v")
    )
    energy = builder.add("MatMul", query, builder.add("Transpose", key, perm=(0, 2, 1)))
    mixed = builder.add("MatMul", builder.add("Softmax", energy, axis=-1), value)
    pooled = builder.add("ReduceMean", mixed, axes=(1,), keepdims=0)
    logits = builder.add("MatMul", pooled, builder.constant(rng.normal(size=(4, 2)), "dense"))
    return builder.graph([logits], guards)


def attributions_of(network: GraphNetwork, sequence: EncodedSequence, method: str) -> tuple[Any, Any]:
    example = Example(Ensemble.of(network, target_of(["a", "b"], "regression")), sequence)
    return example, attribute(method_named(method), [example], channels=True)[0]


def test_a_network_without_recurrence_is_explained_along_its_steps() -> None:
    graph = attention_series()
    network = GraphNetwork.of(graph, *graph.outputs * 2)
    sequence = EncodedSequence(np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32))
    assert network.layers == ()
    for method in ("integrated-gradients", "prefix-difference"):
        example, attribution = attributions_of(network, sequence, method)
        total = attribution.base_value + attribution.scores.sum()
        assert total == pytest.approx(example.target_score, abs=2e-2 * abs(example.target_score))
    # The gradients are those of finite differences.
    _, by_gradient = attributions_of(network, sequence, "integrated-gradients")
    assert by_gradient.channels is not None
    small = EncodedSequence(sequence.steps * np.float32(1e-2))
    example, near_zero = attributions_of(network, small, "integrated-gradients")
    change = example.target_score - near_zero.base_value
    assert near_zero.scores.sum() == pytest.approx(change, rel=1e-3)


def test_leave_one_out_replaces_the_steps_of_a_fixed_length() -> None:
    graph = attention_series(9)
    network = GraphNetwork.of(graph, *graph.outputs * 2)
    sequence = EncodedSequence(np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32))
    assert network.replaces_steps
    example, attribution = attributions_of(network, sequence, "leave-one-out")
    for step in range(9):
        edited = sequence.steps.copy()
        edited[step] = 0
        [logits] = network.logits([EncodedSequence(edited)])
        fall = example.score(example.logits) - example.score(logits)
        assert attribution.scores[step] == pytest.approx(float(fall), abs=1e-6)
    method = method_named("leave-one-out")
    assert "replaced" in method.note(example.ensemble)
    assert method.base_value_note(example.ensemble) == "the prediction where every step is zeros"


def test_lengths_for_which_the_graph_does_not_hold_are_refused() -> None:
    graph = attention_series(guards=(Guard(T, "<=", 6), Guard(3, "<=", T)))
    network = GraphNetwork.of(graph, *graph.outputs * 2)
    series = np.ones((7, 3), np.float32)
    with pytest.raises(InputError, match="the number of steps must be at most 6, and is 7"):
        network.logits([EncodedSequence(series)])
    with pytest.raises(InputError, match="the number of steps must be at least 3, and is 2"):
        network.logits([EncodedSequence(series[:2])])
    halves = replace(graph, guards=(Guard(T // 2, "==", 2), Guard(T, "!=", 1)))
    with pytest.raises(InputError, match=r"with \(T // 2\) == 2, and these have T = 7, the number of steps$"):
        GraphNetwork.of(halves, *graph.outputs * 2).logits([EncodedSequence(series)])
    with pytest.raises(InputError, match=r"the size of axis 1 of .* must be at least 3, and is 2"):
        graph.sizes(dict.fromkeys(graph.inputs, series[None, :2]))
    assert network.logits([EncodedSequence(series[:5])]).shape == (1, 2)
    assert network.replaces_steps
    fixed = attention_series(5)
    with pytest.raises(InputError, match="the number of steps must be 5, and is 7"):
        GraphNetwork.of(fixed, *fixed.outputs * 2).logits([EncodedSequence(series)])


def test_a_length_that_takes_too_much_memory_is_refused() -> None:
    graph = attention_series()
    network = GraphNetwork.of(graph, *graph.outputs * 2)
    with pytest.raises(InputError, match="T = 100000"):
        network.logits([EncodedSequence(np.ones((100_000, 3), np.float32))])


def test_a_fixed_batch_and_one_of_at_least_two_give_each_row_its_logits() -> None:
    rng = np.random.default_rng(4)
    sequences = [EncodedSequence(rng.normal(size=(6, 3)).astype(np.float32)) for _ in range(5)]
    free = attention_series()
    expected = GraphNetwork.of(free, *free.outputs * 2).logits(sequences)
    of_two = attention_series(guards=(Guard(2, "<=", B),))
    np.testing.assert_allclose(GraphNetwork.of(of_two, *of_two.outputs * 2).logits(sequences), expected, atol=1e-6)
    builder = GraphBuilder()
    x = builder.input("series", ValueType("float", (4, T, 3)))
    weights = [builder.constant(rng.normal(size=size)) for size in ((8, 3), (8, 2), (8,))]
    last = builder.node(operation_of_recurrence(), [x, *weights])[1]
    fixed = builder.graph([last])
    network = GraphNetwork.of(fixed, last, last)
    assert network.form.axes.of_inputs["series"].batch == 0
    together = network.logits(sequences)
    for n, sequence in enumerate(sequences):
        np.testing.assert_allclose(network.logits([sequence])[0], together[n], rtol=0, atol=1e-6)
    assert len(np.unique(together.round(6), axis=0)) == 5


@pytest.mark.parametrize("steps_first", [False, True])
def test_the_axes_of_batch_and_steps_follow_from_the_recurrence(steps_first: bool) -> None:
    """A network that takes (T, B, D), with the sizes of both as numbers."""
    rng = np.random.default_rng(2)
    builder = GraphBuilder()
    shape = (7, 2, 3) if steps_first else (2, 7, 3)
    x = builder.input("series", ValueType("float", shape))
    if steps_first:
        x = builder.add("Transpose", x, perm=(1, 0, 2))
    weights = [builder.constant(rng.normal(size=size)) for size in ((8, 3), (8, 2), (8,))]
    last = builder.node(operation_of_recurrence(), [x, *weights])[1]
    network = GraphNetwork.of(builder.graph([last]), last, last)
    axes = network.form.axes.of_inputs["series"]
    assert (axes.batch, axes.steps) == ((1, 0) if steps_first else (0, 1))
    series = rng.normal(size=(7, 3)).astype(np.float32)
    [logits] = network.logits([EncodedSequence(series)])
    batch = np.stack([series, series])
    outputs = network.outputs_of({"series": batch.swapaxes(0, 1) if steps_first else batch})
    np.testing.assert_allclose(logits, outputs[last][1], rtol=0, atol=1e-6)


def test_one_sequence_without_a_batch_is_tagged() -> None:
    """As a tagger that takes ids (T,) and makes of them (T, 1, D), and outputs (T, K)."""
    rng = np.random.default_rng(9)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (T,)))
    x = builder.add("Gather", builder.constant(rng.normal(size=(11, 3)), "table"), ids)
    x = builder.add("Unsqueeze", x, axes=(0,))
    weights = [builder.constant(rng.normal(size=size)) for size in ((20, 3), (20, 5), (20,))]
    h = builder.node(operation_of_recurrence(), [x, *weights])[0]
    logits = builder.add("MatMul", builder.add("Squeeze", h, axes=(0,)), builder.constant(rng.normal(size=(5, 4))))
    network = GraphNetwork.of(builder.graph([logits]), logits, logits)
    assert (network.per_step, network.outputs, network.inputs.size) == (True, 4, 11)
    sequences = [EncodedSequence(np.array(ids)) for ids in ([3, 1, 4], [1, 5], [9, 2, 6])]
    rows = network.logits(sequences)
    assert rows.shape == (8, 4)
    np.testing.assert_allclose(rows[3:5], network.outputs_of({"ids": np.array([1, 5])})[logits], rtol=0, atol=1e-6)
    ensemble = Ensemble.of(network, target_of(list("abcd"), "tagging"))
    assert methods_of(ensemble) == ["integrated-gradients", "leave-one-out"]
    example = Example(ensemble, sequences[0]).at_step(2)
    [attribution] = attribute(method_named("integrated-gradients"), [example])
    total = attribution.base_value + attribution.scores.sum()
    assert total == pytest.approx(example.target_score, abs=2e-2)
    with pytest.raises(InputError, match="leave-one-out"):
        attribute(method_named("prefix-difference"), [example])


def test_a_method_that_does_not_fit_a_graph_is_refused_with_those_that_do() -> None:
    graph = recurrent_classifier()
    network = GraphNetwork.of(graph, graph.outputs[0], graph.outputs[0])
    ensemble = Ensemble.of(network, target_of(list("abc")))
    assert methods_of(ensemble) == [name for name in METHODS if name != "cell-decomposition"]
    example = Example(ensemble, EncodedSequence(np.array([3, 1])))
    with pytest.raises(InputError, match=r"cell-decomposition needs an LSTM .* leave-one-out explain"):
        attribute(method_named("cell-decomposition"), [example])
    with pytest.raises(InputError, match="needs an LSTM between embedding"):
        _ = ensemble.lstm


def test_a_graph_is_stored_as_data() -> None:
    graph = recurrent_classifier("GRU")
    mask = np.array([[0, -np.inf], [1, 2]], np.float32)
    graph = replace(graph, constants={**graph.constants, "mask": mask, "flags": np.array([True, False])})
    network = GraphNetwork.of(graph, *graph.outputs[:1] * 2)
    entry, raw = network.to_file()
    back = GraphNetwork.from_file(entry, raw, network.inputs, network.outputs, "graph.safetensors")
    sequences = [EncodedSequence(np.array(ids)) for ids in ([3, 1, 4], [1])]
    np.testing.assert_array_equal(back.logits(sequences), network.logits(sequences))
    np.testing.assert_array_equal(back.graph.constants["mask"], mask)
    np.testing.assert_array_equal(back.graph.constants["flags"], [True, False])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(network)).logits(sequences), network.logits(sequences))
    assert back.summary() == network.summary()
    small = network.changed(storage={"weight_hh": "int8"})
    entry, raw = small.to_file()
    back = GraphNetwork.from_file(entry, raw, network.inputs, network.outputs, "graph.safetensors")
    difference = np.abs(back.parameters["weight_hh"] - network.parameters["weight_hh"])
    assert 0 < difference.max() < 0.02


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": 3}, "must be names"),
        ({"output": "nothing"}, "no output 'nothing'"),
        ({"logits": "nothing"}, "the logits 'nothing'"),
        ({"constants": []}, "constants: must be an object"),
        ({"constants": {"embedding": {"dtype": "float64", "shape": [2]}}}, "dtype"),
        ({"graph": {"inputs": {}, "nodes": [], "outputs": []}}, "no output"),
    ],
)
def test_a_changed_file_is_refused(change: dict[str, Any], message: str) -> None:
    graph = recurrent_classifier("GRU")
    network = GraphNetwork.of(graph, *graph.outputs[:1] * 2)
    entry, raw = network.to_file()
    with pytest.raises((InputError, ModelFileError), match=message):
        GraphNetwork.from_file({**entry, **change}, raw, network.inputs, network.outputs, "graph.safetensors")


def test_a_constant_with_other_numbers_of_bytes_is_refused() -> None:
    graph = recurrent_classifier("GRU")
    network = GraphNetwork.of(graph, *graph.outputs[:1] * 2)
    entry, raw = network.to_file()
    constants = {**entry["constants"]}
    constants["bias"] = {**constants["bias"], "shape": [16]}
    with pytest.raises(ModelFileError, match="constants"):
        GraphNetwork.from_file({**entry, "constants": constants}, raw, network.inputs, 3, "graph.safetensors")


@pytest.mark.parametrize("steps_first", [False, True])
def test_rows_of_all_steps_are_the_steps_of_each_sequence(steps_first: bool) -> None:
    """Outputs (B T, K) of h (B, T, H), or of h (T, B, H), as language models have them."""
    rng = np.random.default_rng(2)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    x = builder.add("Gather", builder.constant(rng.normal(size=(7, 3))), ids)
    weights = [builder.constant(rng.normal(size=size)) for size in ((8, 3), (8, 2), (8,))]
    h = builder.node(operation_of_recurrence(), [x, *weights])[0]
    if steps_first:
        h = builder.add("Transpose", h, perm=(1, 0, 2))
    rows = builder.add("Reshape", h, shape=(B * T, 2))
    scores = builder.add("MatMul", rows, builder.constant(rng.normal(size=(2, 5))))
    graph = builder.graph([builder.add("LogSoftmax", scores, axis=-1)])
    model = Model.of_graph(graph, task="tagging")
    batch = rng.integers(0, 7, (3, 4))
    probabilities = model.predict_proba(batch.tolist())
    [rows_of_steps] = model.predict_outputs(batch).values()
    shape = (4, 3, 5) if steps_first else (3, 4, 5)
    expected = np.exp(rows_of_steps).reshape(shape)
    if steps_first:
        expected = expected.swapaxes(0, 1)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-6)


def test_the_steps_of_a_decoder_are_those_of_its_own_input() -> None:
    """The outputs (B, S, K) follow the target (B, S); the source (B, T) is a further input."""
    rng = np.random.default_rng(2)
    builder = GraphBuilder()
    values = []
    for name, size in (("source", T), ("target", symbol("S"))):
        ids = builder.input(name, ValueType("int64", (B, size)))
        x = builder.add("Gather", builder.constant(rng.normal(size=(7, 3))), ids)
        weights = [builder.constant(rng.normal(size=size)) for size in ((8, 3), (8, 2), (8,))]
        values.append(builder.node(operation_of_recurrence(), [x, *weights, "", "", *(v[1] for v in values)]))
    logits = builder.add("MatMul", values[1][0], builder.constant(rng.normal(size=(2, 4))))
    model = Model.of_graph(builder.graph([logits]), task="tagging")
    batch = {"source": rng.integers(0, 7, (2, 6)), "target": rng.integers(0, 7, (2, 3))}
    [expected] = model.predict_outputs(batch).values()
    np.testing.assert_allclose(np.stack(list(model.logits(batch))), expected, rtol=0, atol=1e-6)
    rows = [{"source": batch["source"][1], "target": batch["target"][1]}]
    assert len(model.explain(rows[0], "leave-one-out").scores) == 3


def test_an_empty_sequence_is_one_that_a_mask_does_not_empty() -> None:
    """The mean over the tokens that are not 0 has no value where all are."""
    rng = np.random.default_rng(2)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    x = builder.add("Gather", builder.constant(rng.normal(size=(7, 3))), ids)
    read = builder.add("Cast", builder.add("Not", builder.add("Equal", ids, builder.constant(0))), to="float")
    read = builder.add("Unsqueeze", read, axes=(2,))
    total = builder.add("ReduceSum", builder.add("Mul", x, read), axes=(1,), keepdims=0)
    graph = builder.graph([builder.add("Div", total, builder.add("ReduceSum", read, axes=(1,), keepdims=0))])
    model = Model.of_graph(graph)
    explanation = model.explain("3 0 5", "prefix-difference")
    assert np.isfinite(explanation.scores).all()
    assert explanation.base_value_note == "the prediction for a single word of id 1"
    stream = model.stream()
    for end, token in enumerate(("3", "0", "5"), 1):
        np.testing.assert_allclose(stream.push(token).logits, model.logits(["3 0 5"[: 2 * end - 1]])[0], atol=1e-6)


@pytest.mark.parametrize("name", AS_GRAPHS)
def test_a_batch_has_the_logits_of_its_rows(name: str) -> None:
    arch = AS_GRAPHS[name]
    _, network = both(arch)
    rows = [EncodedSequence(sequence_of(arch, length, number)) for number, length in enumerate((7, 1, 12, 7, 3, 12))]
    batch = EncodedBatch(ragged_steps(rows))
    network.check_sequences(batch)
    np.testing.assert_array_equal(network.logits(batch), network.logits(rows))
    np.testing.assert_array_equal(network.logits(batch[2:]), network.logits(rows[2:]))


def test_a_batch_of_a_graph_that_needs_several_rows() -> None:
    rng = np.random.default_rng(4)
    rows = [EncodedSequence(rng.normal(size=(length, 3)).astype(np.float32)) for length in (6, 4, 6, 6)]
    graph = attention_series(guards=(Guard(2, "<=", B),))
    network = GraphNetwork.of(graph, *graph.outputs * 2)
    np.testing.assert_allclose(network.logits(EncodedBatch(ragged_steps(rows))), network.logits(rows), atol=1e-6)


def test_a_row_of_a_batch_that_the_graph_does_not_read_is_named() -> None:
    graph = attention_series()
    network = GraphNetwork.of(graph, *graph.outputs * 2)
    rows = [EncodedSequence(np.ones((length, 3), np.float32)) for length in (5, 3, 100_000, 3)]
    assert_refused("row 2: .* T = 100000", network.check_sequences, EncodedBatch(ragged_steps(rows)))


def test_the_step_graphs_that_are_used_last_are_kept() -> None:
    """Two streams that are read beside runs of many other sizes are not analysed again for each step."""
    _, network = both(AS_GRAPHS["mean and max"])
    of_two = network.form.step_graph_of(2)
    assert of_two is not None
    assert of_two is not network.form.step_graph_of(3)
    for rows in range(3, 40):
        network.form.step_graph_of(rows)
        assert network.form.step_graph_of(2) is of_two


@pytest.mark.parametrize("steps_of_input", [T, 7])
def test_the_gates_of_a_layer_behind_a_convolution_that_moves_by_two_are_recorded(steps_of_input: Dim) -> None:
    """Its steps are those after the convolution; the steps of the input have no gates. Their number may be fixed."""
    rng = np.random.default_rng(31)
    builder = GraphBuilder()
    x = builder.add("Transpose", builder.input("x", ValueType("float", (B, steps_of_input, 2))), perm=(0, 2, 1))
    kernel = builder.constant(rng.normal(size=(3, 2, 3)))
    steps = builder.add("Conv", x, kernel, strides=(2,), pads=(1, 1), kernel_shape=(3,))
    steps = builder.add("Transpose", steps, perm=(0, 2, 1))
    weights = [builder.constant(rng.normal(size=size) * 0.6) for size in ((20, 3), (20, 5), (20,))]
    h, last, _ = builder.node(operation_of_recurrence("LSTM"), [steps, *weights])
    graph = builder.graph([builder.add("MatMul", last, builder.constant(rng.normal(size=(5, 1))))])
    network = GraphNetwork.of(graph, graph.outputs[0], graph.outputs[0])
    assert not network.layers
    assert network.inputs.size == 2
    series = rng.normal(size=(7, 2)).astype(np.float32)
    example = Example(Ensemble.of(network, target_of(["value"], "regression")), EncodedSequence(series))
    [gates] = example.other_lstms
    assert not example.lstms
    expected = graph.run({"x": series[None]}, values=[h])[h][0]
    np.testing.assert_allclose(gates.h, expected, rtol=0, atol=1e-6)
    assert gates.f.shape == (4, 5)
    np.testing.assert_allclose(gates.h, gates.o * np.tanh(gates.c), rtol=0, atol=1e-6)
    assert_refused("other_lstms has the gates of those that read other steps", example.half_lives)
