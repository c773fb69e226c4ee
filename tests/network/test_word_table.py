"""The input product of a token is computed once per model, with the bits of a product made for each batch."""

import pickle
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from gatewise.kernels import get, native, read_only
from gatewise.members.lstm import LSTM
from gatewise.network.architecture import Architecture, Layer, parameter_shapes
from gatewise.network.forward import forward, in_batches
from gatewise.network.ops import Ops
from gatewise.network.word_table import WordTable

VOCAB_SIZE = 40
ONE_LAYER = Architecture("tokens", VOCAB_SIZE, 5, (Layer(7),), outputs=3)
ARCHITECTURES = {
    "last": ONE_LAYER,
    "a tagger": replace(ONE_LAYER, pooling="none"),
    "two layers and directions": replace(ONE_LAYER, layers=(Layer(7, "bidirectional"), Layer(4)), pooling="mean+max"),
    "pads": replace(ONE_LAYER, max_length=12, padding="pre"),
}
KERNELS = ["reference", *["native"] * bool(native.isas()), *["bf16"] * bool(native.isas_bf16())]


def lstm_of(arch: Architecture, kernel: str = "reference") -> LSTM:
    rng = np.random.default_rng(6)
    parameters = {
        name: read_only(rng.normal(size=shape).astype(np.float32)) for name, shape in parameter_shapes(arch).items()
    }
    return LSTM(arch, MappingProxyType(parameters), kernel=get(kernel))


def sequences_of(seed: int, high: int = VOCAB_SIZE) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.integers(1, high, length) for length in (6, 1, 19, 3)]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("arch", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_logits_have_the_bits_of_a_product_for_each_batch(arch: Architecture, kernel: str) -> None:
    lstm = lstm_of(arch, kernel)
    for sequences in (sequences_of(1, 9), sequences_of(2), sequences_of(2)):
        expected = in_batches(forward, lstm.parameters, arch, sequences, Ops(get(kernel)))
        np.testing.assert_array_equal(lstm.logits(sequences), expected.astype(np.float64))
    assert lstm.tables


def test_a_token_is_multiplied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm = lstm_of(ONE_LAYER)
    multiplied: list[int] = []
    project = Ops.project
    monkeypatch.setattr(Ops, "project", lambda self, x, *more: multiplied.append(len(x)) or project(self, x, *more))
    lstm.logits([np.array([3, 5, 3]), np.array([8])])
    lstm.logits([np.array([8, 3])])
    lstm.logits([np.array([5, 9, 8])])
    assert multiplied == [3, 1]


def test_other_parameters_have_another_table() -> None:
    lstm = lstm_of(ONE_LAYER)
    before = lstm.logits(sequences_of(1))
    weight = read_only(2 * lstm.parameters["embedding.weight"])
    changed = lstm.changed(parameters=MappingProxyType({**lstm.parameters, "embedding.weight": weight}))
    assert changed.tables == {}
    assert np.abs(changed.logits(sequences_of(1)) - before).max() > 0.01
    np.testing.assert_array_equal(lstm.logits(sequences_of(1)), before)
    again = pickle.loads(pickle.dumps(lstm))
    assert again.tables == {}
    np.testing.assert_array_equal(again.logits(sequences_of(1)), before)


def test_parameters_that_can_change_have_no_table() -> None:
    lstm = lstm_of(ONE_LAYER)
    writeable = LSTM(ONE_LAYER, {name: array.copy() for name, array in lstm.parameters.items()})
    sequences = sequences_of(1)
    before = writeable.logits(sequences)
    writeable.parameters["embedding.weight"][:] *= 2
    assert np.abs(writeable.logits(sequences) - before).max() > 0.01


def test_a_large_vocabulary_has_no_table() -> None:
    assert WordTable.fits(10_000, 400)
    assert not WordTable.fits(88_588, 400)
