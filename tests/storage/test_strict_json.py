"""Strict JSON round trips; any other input is refused with the name of the file."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.errors import InputError, ModelFileError
from gatewise.storage.strict_json import json_bytes, parse_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    back = parse_json(json_bytes(value), "config.json")
    assert back == value
    assert json_bytes(back) == json_bytes(value)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "at column 1"),
        (b'{"a": 1,\n "b" 2}', "line 2, column 6"),
        (b'{"a": 1, "b": 2, "a": 1}', "duplicate key ('a')"),
        (b'[{"x": {"dup": 1, "dup": 2}}]', "duplicate key ('dup')"),
        (b"[NaN]", "NaN and Infinity are not JSON ('NaN')"),
        (b"[-Infinity]", "NaN and Infinity are not JSON ('-Infinity')"),
        (b"[1e999]", "too large"),
        (b"1" * 5000, "too many digits"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'"\\ud800"', "lone surrogate"),
        (b'{"\\uDFFF": 1}', "lone surrogate"),
        (b"[" * 17 + b"]" * 17, "nested more than 16 levels deep"),
        (b"[" * 1_000_000, "nested more than 16 levels deep"),
        (b'{"a":' * 100_000, "nested more than 16 levels deep"),
        (b"{} {}", "Extra data"),
        (b"{'a': 1}", "at column 2"),
        (b"[1,]", "at column 4"),
        (b" " * 64_000_001, "64,000,001 bytes"),
        (b"[" + b"[]," * 1_000_000 + b"[]]", "more than 2,000,000 values"),
        (rb'["\\"' + b",[]" * 1_000_000 + b',""]', "more than 2,000,000 values"),
    ],
)
def test_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(ModelFileError, match=r"^config\.json: ") as caught:
        parse_json(raw, "config.json")
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_string_without_an_end_takes_linear_time() -> None:
    raw = b"," * 2_000_001 + b'"' + b'\\"' * 400_000  # reading on from each quote would take minutes
    with pytest.raises(ModelFileError, match="more than 2,000,000 values"):
        parse_json(raw, "x")


@pytest.mark.parametrize("end", [b"", b"\\", b'\\"'])
def test_a_string_without_an_end_is_refused(end: bytes) -> None:
    with pytest.raises(ModelFileError, match="not JSON at column 4: Unterminated string"):
        parse_json(b'[1,"' + b"," * 2_000_001 + end, "x")


@pytest.mark.parametrize("raw", [b'{"secret": 1, "secret": 2}', b"[1e998877]", b"[-Infinity]"])
def test_without_echo_the_message_does_not_repeat_the_input(raw: bytes) -> None:
    with pytest.raises(OSError, match=r"^body: ") as caught:
        parse_json(raw, "body", error=OSError, echo=False)
    assert not any(part in str(caught.value) for part in ("secret", "998877", "-Inf", "("))


def test_lone_surrogates_pass_where_the_caller_checks_them() -> None:
    assert parse_json(b'"\\ud800"', "body", surrogates=True) == "\ud800"


def test_sixteen_deep_is_fine_and_so_is_an_escaped_pair() -> None:
    deep: Any = 1
    for _ in range(16):
        deep = [deep]
    assert parse_json(json_bytes(deep), "x") == deep
    assert parse_json(b'"\\ud83d\\ude00"', "x") == "\N{GRINNING FACE}"


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)
NUMBERS: list[object] = [math.nan, [math.inf], np.float32(1), {"a": np.int64(3)}]


@pytest.mark.parametrize("value", [*NUMBERS, "\ud800", {1: "a"}, [{None: 0}], {"a": {1, 2}}, b"x", CIRCLE], ids=repr)
def test_what_json_cannot_hold(value: object) -> None:
    with pytest.raises(InputError, match="cannot be written as JSON"):
        json_bytes(value)


def test_commas_and_brackets_in_a_text_are_no_values() -> None:
    text = '[{,"\\' * 600_000
    assert parse_json(json_bytes([text, text]), "config.json") == [text, text]
