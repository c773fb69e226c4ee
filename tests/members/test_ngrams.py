"""The linear n-gram model: keys, logits, attributions and prefix logits against a counter in plain Python."""

import tracemalloc

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels.ragged import joined
from gatewise.members import ngrams as ngrams_module
from gatewise.members.member import Inputs
from gatewise.members.ngrams import MAX_VOCAB_SIZE, Ngrams, counted_ngrams, keys_of
from tests.members.ngram_keys import tokens_of

VOCAB_SIZE = 9


Weights = dict[tuple[int, ...], np.ndarray]


def key_of(tokens: tuple[int, ...]) -> int:
    key = 0
    for token in tokens:
        key = key * 2**21 + token + 1
    return key


def some(seed: int, outputs: int, order: int = 3) -> tuple[Ngrams, Weights, list[np.ndarray]]:
    """Random n-grams over few tokens, so that many repeat, with sequences of 0 to 40 of them."""
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(0, VOCAB_SIZE, n).astype(np.int32) for n in (40, 0, 1, 2, 3, 17, 28)]
    weights: Weights = {}
    for n in range(1, order + 1):
        for _ in range(25 * n):
            weights[tuple(rng.integers(0, VOCAB_SIZE, n).tolist())] = rng.standard_normal(outputs).astype(np.float32)
    keys = np.array(sorted(key_of(tokens) for tokens in weights), dtype=np.int64)
    weight = np.stack([weights[tokens_of(int(key))] for key in keys])
    return Ngrams(order, keys, weight), weights, sequences


def positions(sequence: np.ndarray, order: int) -> dict[tuple[int, ...], list[int]]:
    """Every n-gram of the sequence and the steps at which it begins."""
    found: dict[tuple[int, ...], list[int]] = {}
    for n in range(1, order + 1):
        for t in range(len(sequence) - n + 1):
            found.setdefault(tuple(sequence[t : t + n].tolist()), []).append(t)
    return found


@pytest.mark.parametrize(("seed", "outputs", "order"), [(1, 1, 3), (2, 3, 3), (3, 1, 2), (4, 2, 1)])
def test_against_a_plain_counter(seed: int, outputs: int, order: int) -> None:
    ngrams, weights, sequences = some(seed, outputs, order)
    sums = ngrams.logits(sequences)
    assert sums.shape == (len(sequences), outputs)
    for sequence, total in zip(sequences, sums, strict=True):
        steps = len(sequence)
        attribution, prefix_logits = np.zeros((steps, outputs)), np.zeros((steps + 1, outputs))
        expected = np.zeros(outputs)
        for tokens, begins in positions(sequence, order).items():
            if tokens not in weights:
                continue
            expected += weights[tokens]
            prefix_logits[begins[0] + len(tokens) :] += weights[tokens]
            for begin in begins:
                for t in range(begin, begin + len(tokens)):
                    attribution[t] += weights[tokens] / len(begins) / len(tokens)
        np.testing.assert_allclose(total, expected, atol=1e-6)
        np.testing.assert_allclose(ngrams.attribution(sequence), attribution, atol=1e-6)
        np.testing.assert_allclose(ngrams.prefix_logits(sequence), prefix_logits, atol=1e-6)
        np.testing.assert_allclose(ngrams.attribution(sequence).sum(axis=0), total, atol=1e-6)


def test_phrases_are_the_ngrams_of_the_sequence() -> None:
    ngrams, weights, sequences = some(5, 2)
    sequence = sequences[0]
    phrases = ngrams.phrases(sequence)
    assert len(phrases) > 20
    found = positions(sequence, 3)
    assert {tuple(sequence[list(steps)].tolist()) for steps, _, _ in phrases} == set(found) & set(weights)
    for steps, weight, times in phrases:
        tokens = tuple(sequence[list(steps)].tolist())
        assert (steps.start, times) == (found[tokens][0], len(found[tokens]))
        np.testing.assert_array_equal(weight, weights[tokens])
    np.testing.assert_allclose(sum(weight for _, weight, _ in phrases), ngrams.logits([sequence])[0], atol=1e-6)
    assert [steps.stop for steps, _, _ in phrases] == sorted(steps.stop for steps, _, _ in phrases)


def test_leave_one_out_holds_one_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 steps have 9 million edited tokens, 72 MB; in chunks of 30,000 tokens they take less than 20 MB."""
    ngrams, _, sequences = some(8, 2)
    sequence = np.resize(np.concatenate(sequences), 3_000)
    monkeypatch.setattr(ngrams_module, "TOKENS_PER_CHUNK", 30_000)
    steps = np.arange(len(sequence))
    tracemalloc.start()
    found = ngrams.leave_one_out(sequence, steps)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    for t in (0, 1_234, 2_999):
        np.testing.assert_allclose(found[t], ngrams.logits([np.delete(sequence, t)])[0], atol=1e-9)


def test_batches_do_not_change_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    ngrams, _, sequences = some(7, 2)
    whole = ngrams.logits(sequences * 300)  # long enough for the sorted look-up
    alone = np.concatenate([ngrams.logits([s]) for s in sequences])
    np.testing.assert_allclose(whole, np.tile(alone, (300, 1)), atol=1e-9)
    monkeypatch.setattr(ngrams_module, "TOKENS_PER_CHUNK", 30)
    np.testing.assert_allclose(ngrams.logits(sequences), alone, atol=1e-9)
    assert ngrams.logits([]).shape == (0, 2)


def test_counted_ngrams() -> None:
    ngrams, weights, sequences = some(8, 1)
    owner, row, count = counted_ngrams(ngrams, sequences)
    found = {(int(o), tokens_of(int(ngrams.keys[r]))) for o, r in zip(owner, row, strict=True)}
    assert len(found) == len(owner)
    expected = {(n, tokens) for n, s in enumerate(sequences) for tokens in positions(s, 3) if tokens in weights}
    assert found == expected
    assert count.sum() == len(ngrams.occurrences(*joined(sequences, np.int64))[0]) > len(count)


def scaled(ngrams: Ngrams, seed: int = 3) -> Ngrams:
    """The same weights with a scale, for texts of norm 1."""
    scale = np.random.default_rng(seed).uniform(0.1, 2, len(ngrams)).astype(np.float32)
    return Ngrams(ngrams.order, ngrams.keys, ngrams.weight, scale)


def test_scaled_logits_by_hand_and_their_parts() -> None:
    """The logits divide by the norm; attribution, prefixes and phrases agree with them."""
    plain, _, sequences = some(8, 2)
    ngrams = scaled(plain)
    assert ngrams.scale is not None
    for sequence in [*sequences, np.tile(sequences[0], 3)]:
        row, count = np.unique(ngrams.occurrences(*joined([sequence], np.int64))[0], return_counts=True)
        tf = 1 + np.log(count)
        norm = np.sqrt(np.square(tf * ngrams.scale[row]).sum()) if len(row) else 1
        expected = (ngrams.weight[row] * tf[:, None]).sum(axis=0) / norm
        (logits,) = ngrams.logits([sequence])
        np.testing.assert_allclose(logits, expected, atol=1e-6)
        np.testing.assert_allclose(ngrams.attribution(sequence).sum(axis=0), logits, atol=1e-6)
        prefixes = [ngrams.logits([sequence[:t]])[0] for t in range(len(sequence) + 1)]
        np.testing.assert_allclose(ngrams.prefix_logits(sequence), prefixes, atol=1e-6)
        total = np.sum([weight for _, weight, _ in ngrams.phrases(sequence)], axis=0) if len(row) else 0
        np.testing.assert_allclose(total, logits, atol=1e-6)


def test_scaled_models_keep_their_scale_and_do_not_add() -> None:
    plain, _, _ = some(9, 1)
    ngrams = scaled(plain)
    pruned = ngrams.prune(1000, 5)
    assert ngrams.scale is not None
    assert pruned.scale is not None
    np.testing.assert_array_equal(pruned.scale, ngrams.scale[np.isin(ngrams.keys, pruned.keys)])
    with pytest.raises(InputError, match="cannot be added"):
        ngrams.add(plain)
    with pytest.raises(InputError, match="scale must be"):
        Ngrams(3, ngrams.keys, ngrams.weight, ngrams.scale[1:])


@pytest.mark.parametrize(("outputs", "orders"), [(1, (3, 3)), (2, (1, 3)), (1, (2, 1))])
def test_the_sum_of_two(outputs: int, orders: tuple[int, int]) -> None:
    (one, _, sequences), (two, _, _) = (some(seed, outputs, order) for seed, order in enumerate(orders))
    both = one.add(two)
    assert both.order == max(orders)
    assert len(both) < len(one) + len(two), "some must be of both"
    np.testing.assert_allclose(both.logits(sequences), one.logits(sequences) + two.logits(sequences), atol=1e-5)
    nothing = Ngrams(3, np.zeros(0, np.int64), np.zeros((0, outputs), np.float32))
    assert one.add(nothing).keys.tolist() == one.keys.tolist()
    with pytest.raises(InputError, match=f"weights for {outputs} logits and for 3"):
        one.add(some(5, 3)[0])


def test_keys_are_exact_and_can_be_read_back() -> None:
    top = MAX_VOCAB_SIZE - 1
    sequence = np.array([top, 0, top, top, top, 12345], dtype=np.int64)
    seen: dict[int, tuple[int, ...]] = {}
    for n, (keys, ends) in enumerate(keys_of(*joined([sequence, [5]]), 3), start=1):
        for key, end in zip(keys.tolist(), ends.tolist(), strict=True):
            if end < len(sequence):
                tokens = tuple(sequence[end - n + 1 : end + 1].tolist())
                assert key == key_of(tokens) > 0
                assert tokens_of(key) == tokens
                assert seen.setdefault(key, tokens) == tokens
    keys = np.array(sorted(seen), dtype=np.int64)
    ngrams = Ngrams(3, keys, np.ones((len(keys), 1), dtype=np.float32))
    ngrams.check(Inputs("tokens", MAX_VOCAB_SIZE))
    with pytest.raises(InputError, match="a token is not below the vocabulary size"):
        ngrams.check(Inputs("tokens", top))
    with pytest.raises(InputError, match="at most 2,097,151 tokens"):
        ngrams.check(Inputs("tokens", MAX_VOCAB_SIZE + 1))


def test_no_ngrams() -> None:
    ngrams = Ngrams(2, np.zeros(0, np.int64), np.zeros((0, 3), np.float32))
    ngrams.check(Inputs("tokens", 5))
    assert ngrams.logits([np.array([1, 2])]).tolist() == [[0, 0, 0]]
    assert ngrams.attribution(np.array([1, 2])).shape == (2, 3)
    assert ngrams.prefix_logits(np.array([1, 2])).tolist() == [[0, 0, 0]] * 3
    assert ngrams.phrases(np.array([1, 2])) == []


@pytest.mark.parametrize(
    ("order", "keys", "weight", "message"),
    [
        (0, [1], [[1.0]], "order must be from 1 to 3"),
        (4, [1], [[1.0]], "order must be from 1 to 3"),
        (1, [2, 1], [[1.0], [1.0]], "ascend"),
        (1, [1, 1], [[1.0], [1.0]], "ascend"),
        (1, [1], [[np.nan]], "NaN"),
        (1, [1, 2], [[1.0]], "weight must be"),
        (1, [[1]], [[1.0]], "keys must be"),
    ],
)
def test_refused(order: int, keys: list[int], weight: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Ngrams(order, np.array(keys, np.int64), np.array(weight, np.float32))
