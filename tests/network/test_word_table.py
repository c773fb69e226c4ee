"""The input product of a token is computed once per model, with the bits of a product made for each batch."""

import pickle
import threading
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from gatewise.kernels import get, native, read_only
from gatewise.members.lstm import LSTM
from gatewise.network import word_table
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


def test_a_full_table_keeps_its_rows_and_multiplies_the_tokens_of_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    vocab_size = 6_000
    width = 3
    monkeypatch.setattr(word_table, "_MOST_NUMBERS", 2_048 * width)
    table = WordTable(vocab_size, width, np.float32)
    numbers = np.random.default_rng(8).normal(size=vocab_size).astype(np.float32)
    multiplied: list[int] = []

    def product(tokens: Any) -> Any:
        multiplied.append(len(tokens))
        return np.repeat(numbers[tokens, None], width, axis=1)

    rng = np.random.default_rng(9)
    first = rng.permutation(1_500)
    for tokens in (first, rng.permutation(3_000), np.array([2_999, 7, 7, 2_999]), first[:50], np.array([5, 1_700])):
        rows, row_of_step = table.read(tokens, product)
        np.testing.assert_array_equal(rows[row_of_step, -1], numbers[tokens])
    assert multiplied == [1_500, 3_000, 1, 1]  # those of the second batch do not fit
    kept, _ = table.read(first, product)
    assert 1_502 <= len(kept) <= 2_048


def test_the_memory_is_that_of_the_tokens_that_occurred() -> None:
    vocab_size = 40_000
    width = 400
    table = WordTable(vocab_size, width, np.float32)
    products = np.random.default_rng(8).normal(size=(vocab_size, width)).astype(np.float32)
    tokens = np.random.default_rng(9).integers(0, vocab_size, 900)
    for some in np.split(tokens, 9):
        rows, row_of_step = table.read(some, lambda new: products[new])
        np.testing.assert_array_equal(rows[row_of_step], products[some])
    assert rows.nbytes <= 2 * len(np.unique(tokens)) * width * 4
    rows, row_of_step = table.read(np.arange(vocab_size), lambda new: products[new])
    np.testing.assert_array_equal(rows[row_of_step], products)
    assert rows.nbytes == products.nbytes


def test_threads_read_and_add_at_the_same_time() -> None:
    vocab_size = 3_000
    table = WordTable(vocab_size, 8, np.float32)
    products = np.random.default_rng(8).normal(size=(vocab_size, 8)).astype(np.float32)
    wrong: list[int] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(200):
            tokens = rng.integers(0, vocab_size, 20)
            rows, row_of_step = table.read(tokens, lambda new: products[new])
            if not np.array_equal(rows[row_of_step], products[tokens]):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_lock_that_stays_held_stops_no_prediction() -> None:
    """As in a process that was forked while another thread added rows."""
    lstm = lstm_of(ONE_LAYER)
    lstm.logits([np.array([3, 5])])
    assert lstm.tables
    [table] = lstm.tables.values()
    table._lock.acquire()
    sequences = sequences_of(2)
    expected = in_batches(forward, lstm.parameters, ONE_LAYER, sequences, Ops(get("reference")))
    np.testing.assert_array_equal(lstm.logits(sequences), expected.astype(np.float64))
