"""The graph of an architecture: what is recognised in it, and the same logits as those of the network."""

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from gatewise.kernels import get
from gatewise.network.architecture import Architecture, Hidden, Layer, parameter_shapes
from gatewise.network.architecture_graph import graph_of, graph_of_sequences
from gatewise.network.batch import truncate
from gatewise.network.forward import forward, in_batches
from gatewise.network.graph import Graph
from gatewise.network.operation import Execution
from gatewise.network.ops import Ops
from gatewise.network.recognise import Recognised, recognise
from gatewise.types import Activation, Array
from tests.refusals import assert_refused

SEEDS = range(60)
POOLINGS = ("last", "step", "mean", "max", "mean+max", "none")


def random_layer(rng: np.random.Generator) -> Layer:
    direction = rng.choice(["forward", "backward", "both"])
    merge = rng.choice(["concat", "sum", "mean", "product"]) if direction == "both" else "concat"
    return Layer(int(rng.integers(1, 6)), str(direction), str(merge))  # type: ignore[arg-type]


def random_hidden(rng: np.random.Generator) -> Hidden:
    activation = str(rng.choice(get_args(Activation)))
    slope = round(float(rng.uniform(0.02, 0.4)), 3) if activation == "leaky_relu" else 0.01
    return Hidden(int(rng.integers(1, 6)), activation, slope)  # type: ignore[arg-type]


def random_architecture(seed: int) -> Architecture:
    """Any architecture: of any options that go together."""
    rng = np.random.default_rng(seed)
    pooling = POOLINGS[seed % len(POOLINGS)]
    is_text = rng.random() < 0.6
    options: dict[str, Any] = {
        "layers": tuple(random_layer(rng) for _ in range(rng.integers(1, 4))),
        "pooling": pooling,
        "hidden": tuple(random_hidden(rng) for _ in range(rng.integers(0, 3))),
        "outputs": int(rng.integers(1, 4)),
        "max_length": int(rng.choice([0, 5, 9])),
        "truncation": str(rng.choice(["front", "middle"])),
    }
    if is_text and pooling == "last" and rng.random() < 0.5:
        layers = tuple(Layer(layer.units) for layer in options["layers"])
        options |= {"padding": "pre", "max_length": int(rng.integers(2, 9)), "layers": layers}
    if is_text:
        return Architecture("tokens", 11, int(rng.integers(1, 5)), **options)
    return Architecture("channels", int(rng.integers(1, 4)), 0, **options)


def random_parameters(arch: Architecture, seed: int, dtype: str = "float32") -> dict[str, Array]:
    rng = np.random.default_rng([seed, 1])
    return {name: rng.normal(0, 0.6, shape).astype(dtype) for name, shape in parameter_shapes(arch).items()}


def random_sequences(arch: Architecture, seed: int) -> list[Array]:
    """Sequences of 0 to 14 steps, the first one empty."""
    rng = np.random.default_rng([seed, 2])
    sequences: list[Array] = []
    for length in [0, *rng.integers(1, 15, 7)]:
        if arch.inputs == "tokens":
            sequences.append(rng.integers(0, arch.vocab_size, length))
        else:
            sequences.append(rng.normal(0, 1, (length, arch.channels)).astype(np.float32))
    return sequences


def padded(arch: Architecture, sequences: list[Array], more: int = 2) -> dict[str, Array]:
    """The inputs of a graph for these sequences, with other numbers behind their ends."""
    lengths = np.array([len(sequence) for sequence in sequences])
    name = "tokens" if arch.inputs == "tokens" else "series"
    fill = 3 if arch.inputs == "tokens" else 1e3
    steps = np.full((len(sequences), lengths.max() + more, *sequences[0].shape[1:]), fill, sequences[0].dtype)
    for row, sequence in zip(steps, sequences, strict=True):
        row[: len(sequence)] = sequence
    return {name: steps, "lengths": lengths}


def run(graph: Graph, arch: Architecture, sequences: list[Array], inputs: dict[str, Array], dtype: Any) -> Array:
    """The logits of a graph, those of all steps that are read one after the other."""
    execution = Execution(dtype=dtype, keep=False)
    logits = graph.run(inputs, execution=execution)["logits"]
    if arch.pooling != "none":
        return logits
    read = [len(truncate(sequence, arch)) for sequence in sequences]
    return np.concatenate([rows[:count] for rows, count in zip(logits, read, strict=True)])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_architecture_and_its_weights_are_recognised(seed: int) -> None:
    arch = random_architecture(seed)
    parameters = random_parameters(arch, seed)
    found = recognise(graph_of(arch, parameters))
    assert isinstance(found, Recognised), found
    # How sequences are truncated and padded before is no part of the graph.
    expected = replace(arch, max_length=0, truncation="front", padding="none")
    if arch.pooling == "step" and arch.top.direction == "forward":
        expected = replace(expected, pooling="last")  # the same state
    assert found.arch == expected
    assert list(found.parameters) == list(parameters)
    for name, array in parameters.items():
        np.testing.assert_array_equal(found.parameters[name], array)
    is_padded = arch.padding == "pre"
    assert (found.steps, found.lengths_input) == ((arch.max_length, "") if is_padded else (None, "lengths"))
    assert (found.scaling, found.pad_value, found.output_activation) == (None, None, "linear")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_graph_has_the_logits_of_the_network(seed: int) -> None:
    arch = random_architecture(seed)
    parameters = random_parameters(arch, seed, "float64")
    sequences = random_sequences(arch, seed)
    expected = in_batches(forward, parameters, arch, sequences, Ops(get("reference")))
    whole = graph_of_sequences(arch, parameters)
    logits = run(whole, arch, sequences, padded(arch, sequences), np.float64)
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-11)
    single = run(whole, arch, sequences, padded(arch, sequences), np.float32)
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)
    read = [np.asarray(truncate(sequence, arch)) for sequence in sequences[1:]]
    inputs = padded(arch, read)
    if arch.padding == "pre":
        in_front = [np.pad(sequence, (arch.max_length - len(sequence), 0)) for sequence in read]
        inputs = {"tokens": np.stack(in_front)}
    logits = run(graph_of(arch, parameters), arch, read, inputs, np.float64)
    of_read = expected if arch.pooling == "none" else expected[1:]
    np.testing.assert_allclose(logits, of_read, rtol=1e-9, atol=1e-11)


def test_the_random_architectures_have_all_options() -> None:
    architectures = [random_architecture(seed) for seed in SEEDS]
    layers = {(layer.direction, layer.merge) for arch in architectures for layer in arch.layers}
    assert len(layers) == 6
    assert {layer.activation for arch in architectures for layer in arch.hidden} == set(get_args(Activation))
    assert {arch.pooling for arch in architectures} == set(POOLINGS)
    read = {(arch.inputs, arch.padding, bool(arch.max_length), arch.truncation) for arch in architectures}
    assert len(read) == 10


def test_binary_gates_are_refused() -> None:
    arch = replace(random_architecture(1), gate="binary")
    assert_refused("gate='binary': the LSTM layers of a graph have sigmoid gates only", graph_of, arch, {})
