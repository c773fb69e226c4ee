"""Misspelt words as the known ones, with spans, limits and files."""

import numpy as np
import pytest

import gatewise as gw
from gatewise.errors import InputError
from gatewise.text import TokenEncoding, encoding_from
from gatewise.text.respelling import respelt
from tests.refusals import assert_refused

WORDS = ("good", "boring", "great", "film", "grate", "wonderful", "now", "so", "!!")
IDS = {word: row for row, word in enumerate(WORDS, 2)}


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("borring", "boring"),  # a letter too many
        ("wonderfl", "wonderful"),  # one too few
        ("gpod", "good"),  # another one
        ("fiml", "film"),  # two swapped
        ("ogod", "good"),  # the first two
        ("greate", "great"),  # the more frequent one of two
        ("goooood", "good"),
        ("booooring", "boring"),
        ("sooo", "so"),
        ("!!!!!", "!!"),
        ("nob", None),  # too short
        ("wnderfl", None),  # two edits
        ("hood", None),  # the first letter
        ("göod", None),
        ("film" * 6, None),
    ],
)
def test_a_word_is_read_as_the_most_frequent_one_that_is_one_edit_away(word: str, known: str | None) -> None:
    assert respelt(word, IDS.get) == (None if known is None else IDS[known])


def encoding() -> TokenEncoding:
    return TokenEncoding.of_words(["", "", "good", "film", ".", "a", "truly"])


def test_all_ways_in_read_the_same_tokens() -> None:
    text = "A GOOOD flim. Xyz, a godo filn"
    plain, respelling = encoding(), encoding().respelling()
    ids = [5, 2, 3, 4, 1, 1, 5, 2, 3]
    assert respelling.encode(text).tolist() == respelling.encode_batch(["a", text])[1].tolist() == ids
    found = respelling.tokenize(text)
    assert found.sequence.tolist() == ids
    assert (found.names, found.spans) == (plain.tokenize(text).names, plain.tokenize(text).spans)
    assert plain.encode(text).tolist() == [5, 1, 1, 4, 1, 1, 5, 1, 1]


def test_it_is_kept_in_files_and_in_a_smaller_vocabulary() -> None:
    config, files = encoding().respelling().to_files()
    for one in (encoding_from(config, files.__getitem__), encoding().respelling().truncate_vocab(5)):
        assert one.encode("goood").tolist() == [2]
    assert_refused("1,000,000", encoding().respelling().encode, "a" * 1_000_001)


def test_a_hostile_text_has_a_limit() -> None:
    ids = encoding().respelling().encode("goood " * 1_500)
    assert np.bincount(ids, minlength=3)[1:3].tolist() == [500, 1_000]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("goood\u2019s", [7]),  # the other apostrophe
        ("goo\x00ood, hello\u200bo", [2, 1, 8]),  # characters that are dropped
        ("filn\u0301", [1]),  # a letter with an accent
        ("go\u0308o\u0308o\u0308d", [9]),
    ],
)
def test_a_word_is_respelt_as_the_tokeniser_reads_it(text: str, ids: list[int]) -> None:
    words = ["", "", "good", "film", ".", "a", "truly", "good's", "hello", "g\u00f6d"]
    respelling = TokenEncoding.of_words(words).respelling()
    assert respelling.encode(text).tolist() == respelling.encode_batch([text])[0].tolist() == ids


def test_a_recipe_asks_for_it() -> None:
    texts = [f"a {word} film number {n}" for n in range(30) for word in ("good", "bad")]
    model = gw.train(texts, ["yes", "no"] * 30, epochs=1, units=4, tokenization="respelled", verbose=0)
    assert np.array_equal(model.logits(["a good film"]), model.logits(["a goood flim"]))
    plain = gw.train(texts, ["yes", "no"] * 30, epochs=1, units=4, verbose=0)
    assert not np.array_equal(plain.logits(["a good film"]), plain.logits(["a goood flim"]))
    further = gw.train(texts, ["yes", "no"] * 30, epochs=1, pretrained=model, verbose=0)
    assert np.array_equal(further.logits(["a good film"]), further.logits(["a goood flim"]))
    with pytest.raises(InputError, match=r"the pretrained model has text\.tokenization words"):
        gw.train(texts, ["yes", "no"] * 30, pretrained=plain, tokenization="respelled", verbose=0)
