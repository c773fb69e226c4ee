"""N-grams of characters: logits, attributions and prefix logits against strings in plain Python."""

from collections import Counter

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.members.member import Inputs
from gatewise.members.ngrams import Ngrams
from gatewise.members.spelling import Spelling
from gatewise.text import SubwordEncoding
from tests.members.ngram_keys import random_pieces, random_spelled

PIECES = random_pieces(np.random.default_rng(3), 40)


def words_of(sequence: np.ndarray, pieces: list[str] = PIECES) -> list[list[tuple[str, int]]]:
    """The words of a sequence as characters with their steps: "^" opens a word, "?" is not spelled, "$" closes it."""
    words: list[list[tuple[str, int]]] = []
    for step, token in enumerate(sequence):
        if not words or pieces[token].startswith(" "):
            words.append([])
        words[-1] += [(one, step) for one in pieces[token].replace(" ", "^") or "?"]
    return [[*word, ("$", word[-1][1])] for word in words]


def key_of(ngram: str, pieces: list[str] = PIECES) -> int:
    numbers = {"$": 1, "^": 2, "?": 3} | {one: n for n, one in enumerate(sorted(set("".join(pieces)) - {" "}), 4)}
    return sum(numbers[one] << 12 * place for place, one in enumerate(reversed(ngram)))


def by_hand(ngrams: Ngrams, sequence: np.ndarray) -> np.ndarray:
    rows = {int(key): row for row, key in enumerate(ngrams.keys)}
    found = Counter[int]()
    for word in words_of(sequence):
        text = "".join(one for one, _ in word)
        keys = (key_of(text[a : a + n]) for n in range(1, 6) for a in range(len(text) - n + 1))
        found.update(rows[key] for key in keys if key in rows)
    row, count = np.array([*found], dtype=int), np.array([*found.values()])
    if ngrams.scale is None or not found:
        return ngrams.weight[row].sum(axis=0, dtype=np.float64)
    tf = 1 + np.log(count)
    return (ngrams.weight[row] * tf[:, None]).sum(axis=0) / np.sqrt(np.square(tf * ngrams.scale[row]).sum())


@pytest.mark.parametrize("scaled", [False, True])
def test_against_strings(scaled: bool) -> None:
    rng = np.random.default_rng(5)
    ngrams = random_spelled(rng, PIECES, 2, scaled)
    ngrams.check(Inputs("tokens", len(PIECES)))
    sequences = [rng.integers(0, len(PIECES), n) for n in (30, 0, 1, 2, 3, 17)]
    logits = ngrams.logits(sequences)
    for sequence, found in zip(sequences, logits, strict=True):
        np.testing.assert_allclose(found, by_hand(ngrams, sequence), atol=1e-6)
        np.testing.assert_allclose(ngrams.attribution(sequence).sum(axis=0), found, atol=1e-6)
        prefixes = [by_hand(ngrams, sequence[:t]) for t in range(len(sequence) + 1)]
        np.testing.assert_allclose(ngrams.prefix_logits(sequence), prefixes, atol=1e-6)
        assert ngrams.phrases(sequence) == []


def test_an_ngram_is_divided_among_the_tokens_that_have_its_characters() -> None:
    pieces = ["", "", " an", "na", " na"]
    keys = np.array([key_of("^na$", pieces), key_of("nna$", pieces)])
    ngrams = Ngrams(5, keys, np.array([[2.0], [8.0]], np.float32), spelling=Spelling.of(pieces))
    # Of "nna$", n is of the first token, and n, a and the end of the word of the second; "^na$" occurs once.
    np.testing.assert_allclose(ngrams.attribution(np.array([2, 3, 4]))[:, 0], [2, 6, 2])
    np.testing.assert_allclose(ngrams.prefix_logits(np.array([2, 3, 4]))[:, 0], [0, 0, 8, 10])


def test_the_file_is_read_back_and_other_files_are_refused() -> None:
    ngrams = random_spelled(np.random.default_rng(6), PIECES, 2, scaled=True)
    inputs = Inputs("tokens", len(PIECES))
    entry, raw = ngrams.to_file()
    again = Ngrams.from_file(entry, raw, inputs, 2, "ngrams.safetensors")
    sequence = np.arange(len(PIECES))
    np.testing.assert_array_equal(again.logits([sequence]), ngrams.logits([sequence]))
    assert again.name == "character n-grams"
    assert again.summary()[0][0] == "1- to 5-grams of characters"
    with pytest.raises(InputError, match="the characters are not those of a vocabulary of 39 tokens"):
        again.check(Inputs("tokens", len(PIECES) - 1))
    pruned = ngrams.prune(20, most=50)
    pruned.check(Inputs("tokens", 20))
    assert len(pruned) == 50
    with pytest.raises(InputError, match="cannot be added"):
        ngrams.add(ngrams)
    for characters, message in (([3, 0, 4], "with 0 after each token"), ([3, 0, 0], "a token has no character")):
        with pytest.raises(InputError, match=message):
            Spelling(np.array(characters, np.int32))
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
