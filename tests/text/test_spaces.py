"""The encoding of words at spaces."""

import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.text import SpaceEncoding, encoding_from
from gatewise.text.spaces import shapes_of

TEXTS = ["The cat saw Anna in the garden .", "the cat saw 1999 dogs .", "Zounded Pleaded 2001 dogs barked"]


def test_each_word_is_one_step() -> None:
    encoding = SpaceEncoding.fit(TEXTS)
    found = encoding.tokenize("  The\u00a0x cat...\tunheard 1888 ")
    assert found.names == ["The\u00a0x", "cat...", "unheard", "1888"]
    assert ["  The\u00a0x cat...\tunheard 1888 "[a:b] for a, b in found.spans] == found.names
    assert [len(ids) for ids in encoding.encode_batch([*TEXTS, ""])] == [8, 6, 5, 0]


def test_rare_words_are_read_by_case_shape_and_ending() -> None:
    encoding = SpaceEncoding.fit(TEXTS)
    words = ["the", "THE", "Faded", "Loaded", "1888", "12", "Anna", "Otto", "x-7"]
    ids = {word: int(encoding.encode(word)[0]) for word in words}
    assert ids["the"] == ids["THE"], "a form that is not in the vocabulary is read in lower case"
    assert ids["Faded"] == ids["Loaded"] > 2
    assert ids["1888"] == ids["12"] != ids["Faded"]
    assert ids["Otto"] == ids["Anna"] != ids["Faded"], "by shape where the ending is rare"
    assert ids["x-7"] == encoding.unknown == 2
    assert shapes_of("McDonald's") == (" XxXx'x", " XxXx'x")


def test_it_is_saved_and_checked() -> None:
    encoding = SpaceEncoding.fit(TEXTS, vocab_size=9)
    config, files = encoding.to_files()
    again = encoding_from(config, files.__getitem__)
    assert (config["kind"], encoding.vocab_size, again.vocab_size) == ("spaces", 9, 9)
    assert all((again.encode(text) == encoding.encode(text)).all() for text in TEXTS)
    with pytest.raises(ModelFileError, match=r"vocabulary\.json"):
        encoding_from(config, lambda _: b'["a", 1]')
    with pytest.raises(InputError, match=r"row 1: .* lone surrogate"):
        encoding.encode_batch(["a", "\ud800"])
