"""Pieces of words: the same in every run, with their spans, and no other file than gatewise writes. Words at spaces."""

import json
import os
import sys
from typing import Any

import numpy as np
import pytest

from gatewise.errors import ModelFileError
from gatewise.text import SpaceEncoding, SubwordEncoding, TokenEncoding, encoding_from
from gatewise.text.spaces import shapes_of
from tests.children import run_child
from tests.refusals import assert_refused

TEXTS = [
    f"{prefix}{stem}{ending} {stem}{other}, {ending}!"
    for prefix in ("", "un", "re")
    for stem in ("paint", "think", "lock", "čar", "wind")
    for ending, other in (("ing", "ed"), ("er", "s"), ("able", ""))
]
CODE = """
import hashlib
from gatewise.text import SubwordEncoding
from tests.text.test_subwords import TEXTS
print(hashlib.sha256(SubwordEncoding.fit(TEXTS).to_files()[1]["tokenizer.json"]).hexdigest())
"""


def fitted() -> SubwordEncoding:
    return SubwordEncoding.fit(TEXTS)


def test_equal_texts_give_equal_files_in_every_process() -> None:
    """Ties of the counts are many here; the trainer of the library alone breaks them at random."""
    digests = set()
    for parallel in ("true", "false"):
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": parallel, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = run_child([sys.executable, "-c", CODE], env=environment, check=True)
        digests.add(done.stdout)
    assert len(digests) == 1


def test_an_unseen_word_consists_of_pieces_with_their_spans() -> None:
    text = "A Rethinkable [UNK] 漢 čarer"
    found = fitted().tokenize(text)
    assert found.names == [text[start:end] for start, end in found.spans]
    pieces = [name for name, (start, end) in zip(found.names, found.spans, strict=True) if start >= 2 and end <= 13]
    assert "".join(pieces) == "Rethinkable"
    assert 1 < len(pieces) < 6
    ids = dict(zip(found.names, found.sequence.tolist(), strict=True))
    assert ids["漢"] == 1
    assert 1 not in {ids[piece] for piece in pieces}
    assert TokenEncoding.fit(TEXTS).encode("Rethinkable").tolist() == [1]


def test_a_piece_inside_a_word_is_another_token_than_the_same_word() -> None:
    encoding = fitted()
    assert set(encoding.encode("paint").tolist()).isdisjoint(encoding.encode("unpaint").tolist()[1:])


def test_the_files_are_read_back_and_a_smaller_vocabulary_makes_smaller_pieces() -> None:
    encoding = fitted()
    config, files = encoding.to_files()
    assert config["kind"] == "subwords"
    again = encoding_from(config, files.__getitem__)
    assert isinstance(again, SubwordEncoding)
    for one, two in zip(encoding.encode_batch(TEXTS), again.encode_batch(TEXTS), strict=True):
        np.testing.assert_array_equal(one, two)
    small = encoding.truncate_vocab(encoding.vocab_size - 30)
    assert small.vocab_size == encoding.vocab_size - 30
    assert len(small.encode("rethinking")) > len(encoding.encode("rethinking"))
    assert "".join(small.tokenize("rethinking").names) == "rethinking"
    limited = SubwordEncoding.fit(TEXTS, vocab_size=60)
    assert limited.vocab_size == 60
    assert_refused("vocab_size must be 3 to 60", limited.truncate_vocab, 61)


def test_rare_characters_are_unknown() -> None:
    encoding = SubwordEncoding.fit([*TEXTS, "seldom ж"])
    assert encoding.encode("ж").tolist() == [1]
    assert "ж" not in json.loads(encoding.to_files()[1]["tokenizer.json"])["model"]["vocab"]


def _merges(change: Any) -> Any:
    return lambda stored: stored["model"].__setitem__("merges", change(stored["model"]["merges"]))


@pytest.mark.parametrize(
    "change",
    [
        _merges(lambda merges: None),
        _merges(lambda merges: [*merges, ["p"]]),
        _merges(lambda merges: [*merges, ["p", 3]]),
        _merges(lambda merges: [*merges, ["p", "##absent"]]),
        _merges(lambda merges: [*merges, ["##g", "##p"]]),  # the result is not in the vocabulary
        _merges(lambda merges: [*merges, ["p", "a"]]),  # a word does not start inside a word
        _merges(lambda merges: [*merges, merges[0]]),
        _merges(lambda merges: [" ".join(merge) for merge in merges]),
        lambda stored: stored["model"].update(type="Unigram"),
        lambda stored: stored["model"].update(dropout=0.5),
        lambda stored: stored["model"].update(continuing_subword_prefix="@@"),
        lambda stored: stored["model"].update(fuse_unk=True),
    ],
)
def test_a_changed_file_is_refused(change: Any) -> None:
    config, files = fitted().to_files()
    stored = json.loads(files["tokenizer.json"])
    change(stored)
    with pytest.raises(ModelFileError, match=r"^tokenizer\.json: "):
        encoding_from(config, lambda _: json.dumps(stored).encode())


def test_words_and_subwords_do_not_read_each_others_files() -> None:
    words, pieces = TokenEncoding.fit(TEXTS).to_files(), fitted().to_files()
    for config, files in ((words[0], pieces[1]), (pieces[0], words[1])):
        assert_refused(r"^tokenizer\.json: ", encoding_from, config, files.__getitem__, error=ModelFileError)


SENTENCES = ["The cat saw Anna in the garden .", "the cat saw 1999 dogs .", "Zounded Pleaded 2001 dogs barked"]


def test_each_word_is_one_step() -> None:
    encoding = SpaceEncoding.fit(SENTENCES)
    found = encoding.tokenize("  The\u00a0x cat...\tunheard 1888 ")
    assert found.names == ["The\u00a0x", "cat...", "unheard", "1888"]
    assert ["  The\u00a0x cat...\tunheard 1888 "[a:b] for a, b in found.spans] == found.names
    assert [len(ids) for ids in encoding.encode_batch([*SENTENCES, ""])] == [8, 6, 5, 0]


def test_rare_words_are_read_by_case_shape_and_ending() -> None:
    encoding = SpaceEncoding.fit(SENTENCES)
    words = ["the", "THE", "Faded", "Loaded", "1888", "12", "Anna", "Otto", "x-7"]
    ids = {word: int(encoding.encode(word)[0]) for word in words}
    assert ids["the"] == ids["THE"], "a form that is not in the vocabulary is read in lower case"
    assert ids["Faded"] == ids["Loaded"] > 2
    assert ids["1888"] == ids["12"] != ids["Faded"]
    assert ids["Otto"] == ids["Anna"] != ids["Faded"], "by shape where the ending is rare"
    assert ids["x-7"] == encoding.unknown == 2
    assert shapes_of("McDonald's") == (" XxXx'x", " XxXx'x")


def test_it_is_saved_and_checked() -> None:
    encoding = SpaceEncoding.fit(SENTENCES, vocab_size=9)
    config, files = encoding.to_files()
    again = encoding_from(config, files.__getitem__)
    assert (config["kind"], encoding.vocab_size, again.vocab_size) == ("spaces", 9, 9)
    assert all((again.encode(text) == encoding.encode(text)).all() for text in SENTENCES)
    assert_refused(r"vocabulary\.json", encoding_from, config, lambda _: b'["a", 1]', error=ModelFileError)
    assert_refused(r"row 1: .* lone surrogate", encoding.encode_batch, ["a", "\ud800"])
