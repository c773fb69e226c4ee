"""Both encodings: ids, tokens, saving and loading, and hostile text."""

import json
import time
import tracemalloc
import unicodedata
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.errors import ModelFileError
from gatewise.text import KerasEncoding, TokenEncoding, encoding_from
from gatewise.text.encoding import ragged_ids
from tests.refusals import assert_refused

TEXTS = ["A good film, isn't it? Good!!!", "What a dull film... dull, DULL.", "Naïve and good: É"]
BOTH: list[KerasEncoding | TokenEncoding] = [KerasEncoding.fit(TEXTS), TokenEncoding.fit(TEXTS, min_count=1)]
both = pytest.mark.parametrize("encoding", BOTH, ids=lambda e: e.kind)

HOSTILE = {
    "nothing": "",
    "spaces": " \t\n\u3000\xa0 ",
    "one emoji": "🙂",
    "a family and a flag": "👩\u200d👩\u200d👧\u200d👦 🇮🇸",
    "NUL and other controls": "good\x00film\x01\x1b[31m\x7f",
    "right to left": "\u202egood\u202c سينما رائعة סרט טוב",
    "200k combining marks": "e" + "\u0301" * 200_000,
    "200k U+FDFA": "\ufdfa" * 200_000,
    "ideographs without a space": "電影很好" * 40_000,
    "special tokens as typed": "[PAD] [UNK] <pad> <start>",
    "markup": "<script>alert(1)</script><br /><br/><BR>",
    "a formula": "=cmd|' /C calc'!A0 {{7*7}} ../../etc",
    "apostrophes": "'" * 100_000 + "a'b" * 30_000,
}


@both
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_encoded_in_a_second(encoding: KerasEncoding | TokenEncoding, name: str) -> None:
    text = HOSTILE[name]
    begin = time.process_time()
    ids = encoding.encode(text)
    words = encoding.tokenize(text).names
    assert time.process_time() - begin < 4  # two calls, on a machine that may be busy
    assert ids.dtype == np.int32
    assert ids.ndim == 1
    assert len(ids) == len(words)
    assert len(ids) == 0 or 0 <= int(ids.min()) <= int(ids.max()) < encoding.vocab_size
    np.testing.assert_array_equal(ids, encoding.encode_batch(["good", text])[1])


@both
@pytest.mark.parametrize("text", [f"good {chr(0xD800)} film", f"good {chr(0xDC00)} film"], ids=["high", "low"])
def test_a_lone_surrogate_is_refused_with_its_place(encoding: KerasEncoding | TokenEncoding, text: str) -> None:
    for call in (encoding.encode, encoding.tokenize):
        assert_refused(r"lone surrogate U\+D[8C]00 at character 5$", call, text)
    assert_refused(r"^row 1: .*lone surrogate", encoding.encode_batch, ["good", text])


@both
@pytest.mark.parametrize("text", [None, b"good", 3, float("nan")])
def test_what_is_no_text_is_refused(encoding: KerasEncoding | TokenEncoding, text: object) -> None:
    assert_refused("a text must be a str, not ", encoding.encode, text)


def test_ten_million_letters_in_one_word() -> None:
    word = "a" * 10_000_000
    begin = time.process_time()
    assert BOTH[0].encode(word).tolist() == [1, 2]
    assert_refused("10,000,000 characters; the limit is 1,000,000", BOTH[1].encode, word)
    assert time.process_time() - begin < 1


@both
@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_ids_and_words_go_together(encoding: KerasEncoding | TokenEncoding, text: str) -> None:
    ids = encoding.encode(text)
    assert len(encoding.tokenize(text).names) == len(ids)
    np.testing.assert_array_equal(encoding.encode_batch([text])[0], ids)


@both
def test_saved_and_loaded_it_is_the_same(encoding: KerasEncoding | TokenEncoding) -> None:
    config, files = encoding.to_files()
    again = encoding_from(json.loads(json.dumps(config)), files.__getitem__)
    assert type(again) is type(encoding)
    assert again.vocab_size == encoding.vocab_size
    assert again.to_files() == (config, files)
    for text in [*TEXTS, *HOSTILE.values()]:
        np.testing.assert_array_equal(again.encode(text), encoding.encode(text))


def test_keras_encoding_of_no_word_is_the_start_alone() -> None:
    assert BOTH[0].encode(" ... ").tolist() == [1]
    assert BOTH[0].tokenize(" ... ").names == ["<start>"]


def test_keras_encoding_keeps_words_below_num_words() -> None:
    encoding = KerasEncoding({"good": 1, "bad": 2, "film": 3}, num_words=6)
    assert encoding.vocab_size == 7
    assert encoding.encode("bad film, good film").tolist() == [1, 5, 2, 4, 2]


@pytest.mark.parametrize("index", [{"good": 0}, {"good": 1, "bad": 3}, {"good": 1, "bad": 1}])
def test_an_index_with_a_gap_is_refused(index: dict[str, int]) -> None:
    assert_refused("ranks of the word index must be 1, 2, 3", KerasEncoding, index)


def test_token_ids_are_by_frequency_and_ties_by_code_point() -> None:
    encoding = TokenEncoding.fit(["b a b", "c a", "É é it's it’s it's"], min_count=2)
    assert encoding.vocab_size == 2 + 4
    assert encoding.encode("it's a b É c").tolist() == [2, 3, 4, 5, 1]
    assert TokenEncoding.fit(["b a b", "c a a"], vocab_size=3).encode("a b c").tolist() == [2, 1, 1]


def test_letters_are_the_same_composed_and_decomposed_and_in_any_case() -> None:
    encoding = TokenEncoding.fit(["café straße"], min_count=1)
    assert encoding.encode("CAFE\u0301 café Cafe\u0301 STRASSE").tolist() == [2, 2, 2, 1]


@pytest.mark.parametrize("text", ["a café film", "한국어 영화", "Ạ̈b, ö", "각e\u0301각"])
def test_a_decomposed_text_has_the_names_of_a_composed_one(text: str) -> None:
    """Its spans are those of its own code points."""
    encoding = TokenEncoding.fit(["a"], min_count=1)
    whole, parts = (encoding.tokenize(unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
    assert parts.names == whole.names
    assert parts.sequence.tolist() == whole.sequence.tolist()
    decomposed = unicodedata.normalize("NFD", text)
    assert [unicodedata.normalize("NFC", decomposed[a:b]) for a, b in parts.spans] == whole.names


def test_no_token_is_long() -> None:
    encoding = TokenEncoding.fit(["a" * 250] * 2)
    assert encoding.vocab_size == 4
    assert [len(word) for word in encoding.tokenize("a" * 250).names] == [100, 100, 50]


def test_caps_are_errors_and_never_a_silent_cut() -> None:
    encoding = TokenEncoding.fit(["good film"], min_count=1, max_characters=20)
    assert len(encoding.encode("good film good film ")) == 4
    assert_refused("21 characters; the limit is 20", encoding.encode, "good film good film  ")
    short = TokenEncoding(encoding.ids, max_tokens=3)
    assert_refused("row 1: the text has 4 tokens; the limit is 3", short.encode_batch, ["good good film", "a b c d"])
    assert_refused("row 1: the text has 21 characters", TokenEncoding.fit, ["good", "a" * 21], max_characters=20)


def _changed(path: list[str], value: object) -> bytes:
    stored = json.loads(BOTH[1].to_files()[1]["tokenizer.json"])
    part = stored
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return json.dumps(stored).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'{"model": {"vocab": []}}',
        b'{"model": {"vocab": {"a": "b", "c": 1}}}',
        b"[" * 100_000,
        _changed(["model", "vocab"], {"[PAD]": 0, "[UNK]": 1, "a": 3}),
        _changed(["model", "vocab"], {"[PAD]": 0, "a": 1, "[UNK]": 2}),
        _changed(["model", "vocab"], {"[PAD]": 0, "[UNK]": 1, "a": 2.0}),
        _changed(["model", "vocab"], {"[PAD]": False, "[UNK]": True}),
        _changed(["model", "unk_token"], "a"),
        _changed(["pre_tokenizer", "pattern", "Regex"], "(a*)*b"),
        _changed(["normalizer"], None),
        _changed(["truncation"], {"max_length": 5}),
        _changed(["surprise"], 1),
        _changed(["surprise"], None),
        _changed(["normalizer", "normalizers"], 1),
    ],
)
def test_a_changed_tokenizer_file_is_refused(raw: bytes) -> None:
    assert_refused(r"^tokenizer\.json: ", encoding_from, BOTH[1].to_files()[0], lambda _: raw, error=ModelFileError)


@pytest.mark.parametrize("raw", [b"", b"\xff", b"{}", b'["a", 1]', b'["a", "a"]', b"[" * 100_000])
def test_a_changed_vocabulary_is_refused(raw: bytes) -> None:
    with pytest.raises(ModelFileError, match=r"^vocabulary\.json: "):
        encoding_from({"kind": "keras", "num_words": 10_000}, lambda _: raw)


@pytest.mark.parametrize(
    "config",
    [
        {},
        [],
        "keras",
        {"kind": "bytes"},
        {"kind": ["keras"]},
        {"kind": "keras"},
        {"kind": "keras", "num_words": "10000"},
        {"kind": "keras", "num_words": True},
        {"kind": "keras", "num_words": 4},
        {"kind": "keras", "num_words": 10_000, "more": 1},
        {"kind": "tokens"},
        {**BOTH[1].to_files()[0], "pipeline": 4},
        {**BOTH[1].to_files()[0], "max_tokens": 0},
        {**BOTH[1].to_files()[0], "more": 1},
    ],
)
def test_a_config_that_to_files_does_not_write_is_refused(config: object) -> None:
    files = {name: raw for encoding in BOTH for name, raw in encoding.to_files()[1].items()}
    assert_refused(r"^encoding", encoding_from, config, files.__getitem__, error=ModelFileError)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ง่ายมาก ดี", ["ง่", "า", "ย", "ม", "า", "ก", "ดี"]),
        ("コーヒーは高い。", ["コ", "ー", "ヒ", "ー", "は", "高", "い", "。"]),
        ("我爱LSTM网络", ["我", "爱", "LSTM", "网", "络"]),
        ("မြန်မာ ລາວ ខ្មែរ", ["မြ", "န်", "မာ", "ລ", "າ", "ວ", "ខ្", "មែ", "រ"]),
        ("Don't stop!!! It’s 'čaša'... 2.5", ["Don't", "stop", "!!!", "It’s", "'", "čaša", "'", "...", "2", ".", "5"]),
        ("<br />\n[PAD] 電影 <BR/>x_y", ["[", "PAD", "]", "電", "影", "x_y"]),
        ("Привет, मित्र", ["Привет", ",", "मित्र"]),
    ],
)
def test_tokens_and_spans(text: str, tokens: list[str]) -> None:
    encoding = TokenEncoding.fit([text], min_count=1)
    found = encoding.tokenize(text)
    assert found.names == tokens
    assert [text[start:end] for start, end in found.spans] == tokens
    assert (found.sequence != encoding.unknown).all()


def test_a_model_keeps_the_pipeline_that_it_was_trained_with() -> None:
    """Pipeline 1 read such a text as one token. It is stored, read back and cut with it."""
    text = "ง่ายมาก ดี"
    old = TokenEncoding({"[PAD]": 0, "[UNK]": 1, "ง่ายมาก": 2, "ดี": 3}, pipeline=1)
    config, files = old.to_files()
    assert config["pipeline"] == 1
    again = TokenEncoding.from_files(config, files.__getitem__)
    assert again.encode(text).tolist() == [2, 3]
    assert again.truncate_vocab(3).encode(text).tolist() == [2, 1]
    with pytest.raises(ModelFileError, match="'pre_tokenizer' is not what gatewise writes"):
        TokenEncoding.from_files({**config, "pipeline": 2}, files.__getitem__)
    changed = json.loads(files["tokenizer.json"])
    changed["pre_tokenizer"]["pattern"] = {"Regex": "(a+)+$"}
    with pytest.raises(ModelFileError, match="'pre_tokenizer' is not what gatewise writes"):
        TokenEncoding.from_files(config, lambda name: json.dumps(changed).encode())


def test_ids_are_kept_as_four_bytes_while_texts_are_read() -> None:
    def texts() -> Iterator[list[int]]:
        for text in range(300):
            yield [1_000 + 7 * text + word for word in range(500)]

    tracemalloc.start()
    ragged = ragged_ids(texts())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row.tolist() for row in ragged] == list(texts())
    assert peak < 12 * len(ragged.values)  # the array that grows, and the one that is returned
