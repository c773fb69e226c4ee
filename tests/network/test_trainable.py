"""The network that an optimiser changes: its gradients accumulate and are forgotten, embedding rows, dropout masks."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels import get
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.network.autograd import gradients
from gatewise.network.batch import Batch
from gatewise.network.dropout import _PIECE, Dropout
from gatewise.network.forward import forward
from gatewise.network.ops import Ops
from gatewise.network.trainable import TABLE, BatchLoss, Network
from gatewise.types import Array
from tests.explain.random_net import sequence_of
from tests.network.oracle import dense
from tests.network.passes import backward

ARCHITECTURES = {
    "pads": Architecture.stacked("tokens", 30, 5, 7, max_length=40, padding="pre"),
    "both ways": Architecture.stacked("tokens", 30, 5, 7, bidirectional=True, pooling="mean+max", layers=2),
    "series": Architecture.stacked("channels", 4, 0, 6, bidirectional=True, pooling="max", outputs=5),
}
DROPOUT = {"embedding": 0.3, "word": 0.2, "output": 0.5}


def parameters_of(arch: Architecture) -> dict[str, Array]:
    return initial_parameters(arch, np.random.default_rng(1))


def batch_of(arch: Architecture, seed: int) -> Batch:
    return Batch.of([sequence_of(arch, length, seed) for length in (3, 1, 17, 8)], arch)


def squares(logits: Array) -> BatchLoss:
    return BatchLoss(float(np.square(logits).sum()), 2 * logits)


def gradients_of(network: Network) -> dict[str, Array]:
    return dense(network.gradients(), network.parameters)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_accumulate_until_they_are_forgotten(name: str) -> None:
    arch = ARCHITECTURES[name]
    network = Network(arch, parameters_of(arch), dtype="float64", kernel=get("reference"))
    some, others = batch_of(arch, 2), batch_of(arch, 3)
    logits, loss = backward(network, some, squares)
    assert loss == pytest.approx(float((logits**2).sum()))
    first = gradients_of(network)
    backward(network, others, squares)
    both = gradients_of(network)
    network.zero_grad()
    assert all(not gradient.any() for gradient in gradients_of(network).values())
    backward(network, others, squares)
    second = gradients_of(network)
    for key, gradient in both.items():
        np.testing.assert_allclose(gradient, first[key] + second[key], rtol=0, atol=1e-13, err_msg=key)
    network.zero_grad()
    backward(network, some, squares)
    for key, gradient in gradients_of(network).items():
        np.testing.assert_array_equal(gradient, first[key], err_msg=key)
    _, wanted = gradients(network.parameters, arch, some, lambda z: 2 * z, list(first), get("reference"))
    for key, gradient in wanted.items():
        np.testing.assert_array_equal(first[key], gradient, err_msg=key)


@pytest.mark.parametrize("pooling", ["last", "mean+max"])
def test_each_direction_has_a_share_of_the_loss(pooling: Any) -> None:
    """The gradient is that of the three losses, where a direction alone is the network with the other's weights 0."""
    arch = dataclasses.replace(ARCHITECTURES["both ways"], pooling=pooling)
    parameters, batch = parameters_of(arch), batch_of(arch, 2)
    network = Network(arch, parameters, direction_loss=0.4, dtype="float64", kernel=get("reference"))
    _, loss = backward(network, batch, squares)
    _, wanted = gradients(network.parameters, arch, batch, lambda z: 0.6 * 2 * z, list(parameters), get("reference"))
    forward = (np.arange(arch.features) // arch.top.units) % 2 == 0
    for factor in (2.0 * forward, 2.0 * ~forward):
        alone = {**network.parameters, "dense.weight": network.parameters["dense.weight"] * factor}
        _, part = gradients(alone, arch, batch, lambda z: 0.2 * 2 * z, list(parameters), get("reference"))
        wanted = {key: wanted[key] + part[key] * (factor if key == "dense.weight" else 1) for key in wanted}
    for key, gradient in gradients_of(network).items():
        np.testing.assert_allclose(gradient, wanted[key], rtol=0, atol=1e-13, err_msg=key)
    whole = Network(arch, parameters, dtype="float64", kernel=get("reference"))
    assert loss == backward(whole, batch, squares)[1], "that of both directions"


def test_trainable_rows_have_the_gradients_of_the_full_table() -> None:
    arch, rng = ARCHITECTURES["pads"], np.random.default_rng(5)
    rows = np.array([0, 2, 3, 5, 7, 11, 29])
    batch = Batch.of([rng.choice([2, 3, 7, 11], length) for length in (3, 1, 17)], arch)
    full, part = (Network(arch, parameters_of(arch), trainable_rows=some) for some in (None, rows))
    for network in (full, part):
        backward(network, batch, squares)
    wanted, found = gradients_of(full), gradients_of(part)
    np.testing.assert_array_equal(found[TABLE], wanted[TABLE][rows])
    assert not np.delete(wanted[TABLE], rows, axis=0).any()
    for key in wanted.keys() - {TABLE}:
        np.testing.assert_array_equal(found[key], wanted[key], err_msg=key)

    before = part.state()
    part.parameters[TABLE][...] += 1  # as an optimiser does
    moved = part.arrays()[TABLE]
    np.testing.assert_array_equal(moved[rows], before[TABLE] + 1)
    np.testing.assert_array_equal(np.delete(moved, rows, axis=0), np.delete(parameters_of(arch)[TABLE], rows, axis=0))
    np.testing.assert_array_equal(part.arrays(before)[TABLE], parameters_of(arch)[TABLE])
    part.set_state(before)
    for key, array in part.state().items():
        np.testing.assert_array_equal(array, before[key])


def test_a_token_without_a_row_is_refused() -> None:
    """Another row would be trained in its place."""
    arch = ARCHITECTURES["both ways"]
    network = Network(arch, parameters_of(arch), trainable_rows=np.array([0, 2, 3, 29]))
    backward(network, Batch.of([np.array([3, 2, 29]), np.zeros(0, np.int64)], arch), squares)
    with pytest.raises(InputError, match="token 7 is not among the trainable rows"):
        backward(network, Batch.of([np.array([3, 7, 29])], arch), squares)


@pytest.mark.parametrize("name", ["both ways", "series"])
def test_dropout_is_drawn_from_the_generator_and_in_training_only(name: str) -> None:
    arch = ARCHITECTURES[name]
    batch, parameters = batch_of(arch, 2), parameters_of(arch)
    runs = []
    for seed in (1, 1, 2):
        network = Network(arch, parameters, dropout=DROPOUT)
        network.dropout.rng = np.random.default_rng(seed)
        logits, _ = backward(network, batch, squares)
        runs.append((logits, gradients_of(network)))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    assert not np.array_equal(runs[0][0], runs[2][0])
    for key, gradient in runs[0][1].items():
        np.testing.assert_array_equal(gradient, runs[1][1][key], err_msg=key)
    plain = backward(Network(arch, parameters), batch, squares)[0]
    np.testing.assert_array_equal(forward(Ops(), network.parameters, arch, batch), plain)
    for part in DROPOUT if name == "both ways" else ():
        alone = Network(arch, parameters, dropout={part: DROPOUT[part]})
        alone.dropout.rng = np.random.default_rng(1)
        assert not np.array_equal(backward(alone, batch, squares)[0], plain), part


def test_a_probability_next_to_1_drops_nearly_everything() -> None:
    mask = Dropout({"output": 0.9999999}, np.random.default_rng(1)).mask("output", (1000, 1000), "float32")
    assert set(np.unique(mask).tolist()) == {0.0, 65536.0}
    assert mask.mean() == pytest.approx(1, abs=0.8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pieces_have_the_numbers_of_one_draw(dtype: str) -> None:
    rng = np.random.default_rng(3)
    dropout = Dropout({"word": 0.3}, np.random.default_rng(3))
    for shape in ((3 * _PIECE // 7 + 1, 7), (5, 3)):  # odd numbers of elements: the second shows where the first ended
        found = dropout.mask("word", shape, dtype)
        kept = rng.integers(0, 65_536, shape, dtype=np.uint16) >= round(0.3 * 65_536)
        expected = np.where(kept, 65_536 / (65_536 - round(0.3 * 65_536)), 0.0).astype(dtype)
        np.testing.assert_array_equal(found, expected, strict=True)
    assert dropout.mask("output", (2, 3), dtype) is None


def test_words_are_dropped_as_a_whole() -> None:
    mask = Dropout({"word": 0.5, "embedding": 0.2}, np.random.default_rng(4)).of_rows(
        "embedding", (4_000, 9), "float32"
    )
    dropped = (mask == 0).all(axis=1)
    assert abs(dropped.mean() - 0.5) < 0.03
    assert abs((mask[~dropped] == 0).mean() - 0.2) < 0.02
    np.testing.assert_allclose(mask[mask != 0], 1 / (0.5 * 0.8), rtol=1e-4)
