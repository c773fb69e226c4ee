"""The linear n-gram model, of words or characters: keys, logits, attributions, prefixes against a plain counter."""

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.members import ngrams as ngrams_module
from gatewise.members.member import Inputs
from gatewise.members.ngrams import MAX_VOCAB_SIZE, Ngrams, keys_of
from gatewise.members.spelling import CLOSES, FIRST, OPENS, UNKNOWN, Spelling
from gatewise.ragged import joined
from gatewise.text import SubwordEncoding
from tests.members.ngram_keys import random_pieces, random_spelled, tokens_of
from tests.refusals import assert_refused

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


def words_of(sequence: np.ndarray, pieces: list[str]) -> list[list[tuple[int, int]]]:
    """What n-grams are made of, with its steps: the tokens, or of spelled ones the characters of each word."""
    if not pieces:
        return [[(int(token), step) for step, token in enumerate(sequence)]]
    letters = sorted(set("".join(pieces)) - {" "})
    words: list[list[tuple[int, int]]] = []
    for step, token in enumerate(sequence):
        if not words or pieces[token].startswith(" "):
            words.append([])
        words[-1] += [(OPENS if one == " " else FIRST + letters.index(one), step) for one in pieces[token]]
        words[-1] += [] if pieces[token] else [(UNKNOWN, step)]
    return [[*word, (CLOSES, word[-1][1])] for word in words]


def by_hand(ngrams: Ngrams, sequence: np.ndarray, pieces: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Logits (outputs,) and attribution (T, outputs), n-gram by n-gram."""
    rows = {int(key): row for row, key in enumerate(ngrams.keys)}
    found: dict[int, list[list[int]]] = {}  # the steps of each occurrence
    for word in words_of(sequence, pieces):
        for n in range(1, ngrams.order + 1):
            for part in (word[a : a + n] for a in range(len(word) - n + 1)):
                key = sum(number + 1 << ngrams.bits * place for place, (number, _) in enumerate(reversed(part)))
                if key in rows:
                    found.setdefault(rows[key], []).append([step for _, step in part])
    tf = {row: 1.0 if ngrams.scale is None else 1 + np.log(len(every)) for row, every in found.items()}
    norm = 1.0 if ngrams.scale is None else np.sqrt(sum((tf[row] * ngrams.scale[row]) ** 2 for row in found)) or 1.0
    attribution = np.zeros((len(sequence), ngrams.outputs))
    for row, every in found.items():
        for steps in every:
            for step in steps:
                attribution[step] += ngrams.weight[row] * tf[row] / norm / len(every) / len(steps)
    return attribution.sum(axis=0), attribution


PIECES = random_pieces(np.random.default_rng(3), VOCAB_SIZE + 20)


@pytest.mark.parametrize("with_norm", [False, True])
@pytest.mark.parametrize(
    ("seed", "outputs", "order", "pieces"),
    [(1, 1, 3, []), (2, 3, 3, []), (3, 1, 2, []), (4, 2, 1, []), (5, 2, 5, PIECES)],
)
def test_against_a_plain_counter(seed: int, outputs: int, order: int, pieces: list[str], with_norm: bool) -> None:
    ngrams, _, sequences = some(seed, outputs, min(order, 3))
    if pieces:
        ngrams = random_spelled(np.random.default_rng(seed), pieces, outputs, with_norm)
        sequences = [np.random.default_rng(seed).integers(0, len(pieces), len(one)) for one in sequences]
    elif with_norm:
        ngrams = scaled(ngrams)
    ngrams.check(Inputs("tokens", len(pieces) or VOCAB_SIZE))
    every = ngrams.logits(sequences)
    assert every.shape == (len(sequences), outputs)
    for sequence, found in zip(sequences, every, strict=True):
        logits, attribution = by_hand(ngrams, sequence, pieces)
        np.testing.assert_allclose(found, logits, atol=1e-6)
        np.testing.assert_allclose(ngrams.attribution(sequence), attribution, atol=1e-6)
        prefixes = [by_hand(ngrams, sequence[:t], pieces)[0] for t in range(len(sequence) + 1)]
        np.testing.assert_allclose(ngrams.prefix_logits(sequence), prefixes, atol=1e-6)
        phrases = ngrams.phrases(sequence)
        np.testing.assert_allclose(
            sum((part for _, part, _ in phrases), np.zeros(outputs)), 0 if pieces else logits, atol=1e-6
        )
        for steps, _, times in phrases:
            begin, words = steps.start, sequence[list(steps)].tolist()
            found = [t for t in range(len(sequence)) if sequence[t : t + len(words)].tolist() == words]
            assert (begin, times) == (found[0], len(found))
        assert [steps.stop for steps, _, _ in phrases] == sorted(steps.stop for steps, _, _ in phrases)


def test_batches_do_not_change_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    ngrams, _, sequences = some(7, 2)
    whole = ngrams.logits(sequences * 300)  # long enough for the sorted look-up
    alone = np.concatenate([ngrams.logits([s]) for s in sequences])
    np.testing.assert_allclose(whole, np.tile(alone, (300, 1)), atol=1e-9)
    monkeypatch.setattr(ngrams_module, "TOKENS_PER_CHUNK", 30)
    np.testing.assert_allclose(ngrams.logits(sequences), alone, atol=1e-9)
    assert ngrams.logits([]).shape == (0, 2)


def scaled(ngrams: Ngrams, seed: int = 3) -> Ngrams:
    """The same weights with a scale, for texts of norm 1."""
    scale = np.random.default_rng(seed).uniform(0.1, 2, len(ngrams)).astype(np.float32)
    return Ngrams(ngrams.order, ngrams.keys, ngrams.weight, scale)


def test_scaled_models_keep_their_scale_and_do_not_add() -> None:
    plain, _, _ = some(9, 1)
    ngrams = scaled(plain)
    pruned = ngrams.prune(1000, 5)
    np.testing.assert_array_equal(pruned.scale, ngrams.scale[np.isin(ngrams.keys, pruned.keys)])
    assert_refused("cannot be added", ngrams.add, plain)
    assert_refused("scale must be", Ngrams, 3, ngrams.keys, ngrams.weight, ngrams.scale[1:])


@pytest.mark.parametrize(("outputs", "orders"), [(1, (3, 3)), (2, (1, 3)), (1, (2, 1))])
def test_the_sum_of_two(outputs: int, orders: tuple[int, int]) -> None:
    (one, _, sequences), (two, _, _) = (some(seed, outputs, order) for seed, order in enumerate(orders))
    both = one.add(two)
    assert both.order == max(orders)
    assert len(both) < len(one) + len(two), "some must be of both"
    np.testing.assert_allclose(both.logits(sequences), one.logits(sequences) + two.logits(sequences), atol=1e-5)
    nothing = Ngrams(3, np.zeros(0, np.int64), np.zeros((0, outputs), np.float32))
    assert one.add(nothing).keys.tolist() == one.keys.tolist()
    assert_refused(f"weights for {outputs} logits and for 3", one.add, some(5, 3)[0])


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
    assert_refused("a token is not below the vocabulary size", ngrams.check, Inputs("tokens", top))
    assert_refused("at most 2,097,151 tokens", ngrams.check, Inputs("tokens", MAX_VOCAB_SIZE + 1))


def test_refused() -> None:
    for order, keys, weight, message in (
        (4, [1], [[1.0]], "order must be from 1 to 3"),
        (1, [1], [[np.nan]], "NaN"),
        (1, [1, 2], [[1.0]], "weight must be"),
        (1, [[1]], [[1.0]], "keys must be"),
    ):
        assert_refused(message, Ngrams, order, np.array(keys, np.int64), np.array(weight, np.float32))


LETTERS = random_pieces(np.random.default_rng(3), 40)


def test_characters_are_read_back_from_a_file_and_other_files_are_refused() -> None:
    ngrams = random_spelled(np.random.default_rng(6), LETTERS, 2, scaled=True)
    inputs = Inputs("tokens", len(LETTERS))
    entry, raw = ngrams.to_file()
    again = Ngrams.from_file(entry, raw, inputs, 2, "ngrams.safetensors")
    sequence = np.arange(len(LETTERS))
    np.testing.assert_array_equal(again.logits([sequence]), ngrams.logits([sequence]))
    assert again.summary()[0][0] == "1- to 5-grams of characters"
    with pytest.raises(InputError, match="the characters are not those of a vocabulary of 39 tokens"):
        again.check(Inputs("tokens", len(LETTERS) - 1))
    pruned = ngrams.prune(20, most=50)
    pruned.check(Inputs("tokens", 20))
    assert len(pruned) == 50
    assert 0 < len(ngrams.prune(3)) < len(ngrams)
    ngrams.prune(3).check(Inputs("tokens", 3))  # the last characters of the alphabet are in none of the three
    assert_refused("cannot be added", ngrams.add, ngrams)
    for characters, message in (
        ([3, 0, 4], "with 0 after each token"),
        ([3, 0, 0], "a token has no character"),
        ([3] * 201 + [0], "or more than 200"),
    ):
        assert_refused(message, Spelling, np.array(characters, np.int32))
    with pytest.raises(
        InputError, match="20,000 tokens have 4,000,001 characters, which are too many"
    ):  # of a stranger
        Spelling(np.array([3] * 200 + [0], np.int32)).read(np.zeros(20_000, np.int64), np.array([20_000]))
    low = Spelling(np.minimum(ngrams.spelling.characters, 3) if ngrams.spelling is not None else np.zeros(1, np.int32))
    with pytest.raises(InputError, match="a character is not below the alphabet size 4"):
        Ngrams(5, ngrams.keys, ngrams.weight, None, low).check(inputs)


def test_the_pieces_of_subwords_are_their_words() -> None:
    texts = ["Anna nannte Nana ##", "Hannas Tanne, an Anna"]
    encoding = SubwordEncoding.fit(texts * 2)
    pieces = encoding.pieces()
    assert len(pieces) == encoding.vocab_size
    for text, ids in zip(texts, encoding.encode_batch(texts), strict=True):
        assert "".join(pieces[token] for token in ids).split() == text.lower().replace(",", " ,").split()
