"""The characters of tokens, in files and of subwords; tests/members/test_ngrams.py has their n-grams."""

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.members.member import Inputs
from gatewise.members.ngrams import Ngrams
from gatewise.members.spelling import Spelling
from gatewise.text import SubwordEncoding
from tests.members.ngram_keys import random_pieces, random_spelled

PIECES = random_pieces(np.random.default_rng(3), 40)


def test_the_file_is_read_back_and_other_files_are_refused() -> None:
    ngrams = random_spelled(np.random.default_rng(6), PIECES, 2, scaled=True)
    inputs = Inputs("tokens", len(PIECES))
    entry, raw = ngrams.to_file()
    again = Ngrams.from_file(entry, raw, inputs, 2, "ngrams.safetensors")
    sequence = np.arange(len(PIECES))
    np.testing.assert_array_equal(again.logits([sequence]), ngrams.logits([sequence]))
    assert again.summary()[0][0] == "1- to 5-grams of characters"
    with pytest.raises(InputError, match="the characters are not those of a vocabulary of 39 tokens"):
        again.check(Inputs("tokens", len(PIECES) - 1))
    pruned = ngrams.prune(20, most=50)
    pruned.check(Inputs("tokens", 20))
    assert len(pruned) == 50
    assert 0 < len(ngrams.prune(3)) < len(ngrams)
    ngrams.prune(3).check(Inputs("tokens", 3))  # the last characters of the alphabet are in none of the three
    with pytest.raises(InputError, match="cannot be added"):
        ngrams.add(ngrams)
    for characters, message in (
        ([3, 0, 4], "with 0 after each token"),
        ([3, 0, 0], "a token has no character"),
        ([3] * 201 + [0], "or more than 200"),
    ):
        with pytest.raises(InputError, match=message):
            Spelling(np.array(characters, np.int32))
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
