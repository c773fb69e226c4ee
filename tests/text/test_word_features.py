"""Features of the spelling of words: templates, ids by frequency, rows of ids, files, and hostile text."""

import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.errors import InputError, ModelFileError
from gatewise.model.preprocessor import TextPreprocessor, preprocessor_from
from gatewise.text import FeatureEncoding, SpaceEncoding, encoding_from
from gatewise.text.word_features import MAX_FEATURES, TEMPLATES, WordFeatures, features_of
from tests.refusals import assert_refused

TEXTS = ["Zoe lives at 52 Elm St., Apt 7", "Zoë lived at 1052 Elm Street", "the Elms, St. Ives"]
ENCODING = FeatureEncoding.fit(TEXTS)
WIDTH = 1 + len(TEMPLATES)


def template(name: str, word: str) -> str:
    return features_of(word)[TEMPLATES.index(name)]


@pytest.mark.parametrize(
    ("word", "name", "feature"),
    [
        ("St.", "word", "St."),
        ("St.", "lower case", "st."),
        ("St.", "letters and digits", "st"),
        ("(B-52s),", "letters and digits", "b-00s"),
        ("--", "letters and digits", ""),
        ("(B-52s),", "long shape", "(X-ddx),"),
        ("(B-52s),", "short shape", "(X-dx),"),
        ("MacDonald", "short shape", "XxXx"),
        ("Characteristically", "long shape", "Xxxxxxxxxx"),
        ("MacDonald", "prefix of 3", "mac"),
        ("MacDonald", "suffix of 4", "nald"),
        ("of", "prefix of 2", "of"),
        ("of", "prefix of 3", ""),
        ("of", "suffix of 3", ""),
        ("of", "length", "2"),
        ("Characteristically", "length", "12"),
        ("(B-52s),", "punctuation", "(-),"),
        ("Elm", "punctuation", ""),
        ("1052", "case", "digits"),
        ("IBM", "case", "upper"),
        ("Elm", "case", "title"),
        ("elm", "case", "lower"),
        ("eBay", "case", "mixed"),
        ("--", "case", ""),
        ("x" * 101, "word", ""),
        ("x" * 101, "suffix of 2", "xx"),
    ],
)
def test_what_a_template_makes_of_a_word(word: str, name: str, feature: str) -> None:
    assert template(name, word) == feature


def test_ids_are_in_the_order_of_occurrences() -> None:
    features = WordFeatures.fit({"elm": 3, "elms": 2, "Oak": 1}, most=1_000)
    counts = {}
    for word, count in {"elm": 3, "elms": 2, "Oak": 1}.items():
        for id in features.ids_of(word):
            counts[id] = counts.get(id, 0) + count
    counts.pop(0)
    assert sorted(counts) == list(range(1, len(features) + 1))
    by_id = [counts[id] for id in sorted(counts)]
    assert by_id == sorted(by_id, reverse=True)
    assert features.repeated == sum(count >= 2 for count in by_id)
    assert features.described(features.ids_of("elm")[TEMPLATES.index("prefix of 2")]) == "prefix of 2 'el'"


def test_only_the_most_frequent_features_are_kept() -> None:
    every = WordFeatures.fit({"elm": 3, "elms": 2, "Oak": 1}, most=1_000)
    some = WordFeatures.fit({"elm": 3, "elms": 2, "Oak": 1}, most=9)
    assert some.features == every.features[:9]
    expected = [id if id <= 9 else 0 for id in every.ids_of("elms")]
    assert list(some.ids_of("elms")) == expected
    assert 0 in expected
    assert max(expected) > 0


def test_equal_text_of_two_templates_is_two_features() -> None:
    features = WordFeatures.fit({"x": 1}, most=1_000)
    ids = dict(zip(TEMPLATES, features.ids_of("x"), strict=True))
    assert len({ids[name] for name in ("word", "lower case", "prefix of 1", "suffix of 1", "short shape")}) == 5


def test_a_step_is_the_id_of_the_word_and_those_of_its_features() -> None:
    rows = ENCODING.encode("at Elm zzz")
    assert rows.shape == (3, WIDTH)
    assert rows.dtype == np.int32
    words = SpaceEncoding.fit(TEXTS)
    assert rows[:, 0].tolist() == words.encode("at Elm zzz").tolist()
    for row, word in zip(rows, ["at", "Elm", "zzz"], strict=True):
        assert tuple(row[1:]) == ENCODING.features.ids_of(word)
    unknown = ENCODING.encode("電影・・・・・・・・・・・・・・・・")[0]
    assert unknown[0] == ENCODING.unknown
    assert ENCODING.unknown_step.tolist() == [ENCODING.unknown] + [0] * len(TEMPLATES)
    assert ENCODING.vocab_size == words.vocab_size


def test_a_text_without_words_has_no_rows() -> None:
    assert ENCODING.encode(" \t ").shape == (0, WIDTH)
    batch = ENCODING.encode_batch(["", "Elm St."])
    assert batch.lengths.tolist() == [0, 2]
    assert batch.values.shape == (2, WIDTH)
    assert ENCODING.encode_batch([]).values.shape == (0, WIDTH)


@given(texts=st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=40), max_size=4))
def test_a_batch_is_its_texts(texts: list[str]) -> None:
    batch = ENCODING.encode_batch(texts)
    for text, rows in zip(texts, batch, strict=True):
        found = ENCODING.tokenize(text)
        np.testing.assert_array_equal(rows, found.sequence)
        assert [text[start:end] for start, end in found.spans] == found.names


@given(text=st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_features_of_any_words_are_saved_and_loaded(text: str) -> None:
    encoding = FeatureEncoding.fit([text, "a"], min_count=1)
    config, files = encoding.to_files()
    again = encoding_from(json.loads(json.dumps(config)), files.__getitem__)
    np.testing.assert_array_equal(again.encode(text), encoding.encode(text))
    assert again.to_files() == (config, files)
    assert again.features.repeated == encoding.features.repeated


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "é\u0301" * 300_000, "a " * 200_000, "İ" * 100, "\x00\x1b[31m \ufdfa"]
)
def test_hostile_text_is_encoded_in_seconds(text: str) -> None:
    begin = time.process_time()
    rows = ENCODING.encode(text)
    assert time.process_time() - begin < 4
    assert rows.shape[1] == WIDTH
    assert rows.max() <= max(len(ENCODING.features), ENCODING.vocab_size)
    fitted = FeatureEncoding.fit([text])
    assert all(len(feature) <= 400 for feature in fitted.features.features)


def test_what_cannot_be_read_is_refused_with_its_row() -> None:
    assert_refused("1,000,001 characters; the limit is 1,000,000", ENCODING.encode, "a" * 1_000_001)
    assert_refused(r"^row 1: .*lone surrogate", ENCODING.encode_batch, ["good", f"a{chr(0xD800)}"])
    assert_refused(r"^row 1: .*lone surrogate", FeatureEncoding.fit, ["good", f"a{chr(0xD800)}"])


def test_rows_of_many_distinct_words_do_not_stay_in_memory() -> None:
    encoding = FeatureEncoding.fit(TEXTS)
    text = " ".join(map(str, range(45_000)))
    rows = encoding.encode(text)
    assert len(encoding._rows) <= 20_000
    np.testing.assert_array_equal(rows[[0, 44_999]], FeatureEncoding.fit(TEXTS).encode("0 44999"))


def test_a_smaller_vocabulary_keeps_the_features() -> None:
    small = ENCODING.truncate_vocab(6)
    assert small.vocab_size == 6
    np.testing.assert_array_equal(small.encode("Ives St.")[:, 1:], ENCODING.encode("Ives St.")[:, 1:])
    assert small.encode(TEXTS[0])[:, 0].max() < 6


def test_a_preprocessor_reads_lists_of_words_and_is_saved() -> None:
    preprocessor = TextPreprocessor(ENCODING)
    batch = preprocessor.encode_batch([["Elm", "St."], "at 52"])
    np.testing.assert_array_equal(batch.steps.values, ENCODING.encode("Elm St. at 52"))
    assert batch[0].steps.shape == (2, WIDTH)
    assert preprocessor.encode("at 52").sequence.steps.shape == (2, WIDTH)
    again = preprocessor_from(*_files_of(preprocessor))
    np.testing.assert_array_equal(again.encode_batch(["Elm St."]).steps.values, batch.steps.values[:2])
    rows, names = preprocessor.replace_tokens("Elm St.", {1: "Street"})
    np.testing.assert_array_equal(rows, ENCODING.encode("Elm Street"))
    assert names == ["Elm", "Street"]


def _files_of(preprocessor: TextPreprocessor) -> tuple[dict[str, Any], Any]:
    config, files = preprocessor.to_files()
    return config, files.__getitem__


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"{}",
        b'["axx", 1]',
        b'["axx", "axx"]',
        b'["a"]',
        b'[""]',
        b'["qxx"]',
        b'["a' + b"x" * 400 + b'"]',
        b"[" * 100_000,
    ],
)
def test_changed_features_are_refused(raw: bytes) -> None:
    config, files = ENCODING.to_files()
    files = {**files, "word_features.json": raw}
    assert_refused(r"^word_features\.json: ", encoding_from, config, files.__getitem__, error=ModelFileError)


@pytest.mark.parametrize(
    "changes", [{"repeated": None}, {"repeated": True}, {"repeated": -1}, {"repeated": 10_000}, {"more": 1}]
)
def test_a_changed_config_is_refused(changes: dict[str, Any]) -> None:
    config, files = ENCODING.to_files()
    with pytest.raises(ModelFileError):
        encoding_from({**config, **changes}, files.__getitem__)


def test_too_many_features_are_refused() -> None:
    features = [f"a{number}" for number in range(MAX_FEATURES + 1)]
    with pytest.raises(InputError, match="1,000,001 are more than 1,000,000"):
        WordFeatures(features, 0)
