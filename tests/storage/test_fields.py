"""JSON of files: strict, and converted to dataclasses exactly; any other input is refused with the name of the file."""

import dataclasses
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.errors import InputError, ModelFileError
from gatewise.storage.fields import fields_from
from gatewise.storage.strict_json import json_bytes, parse_json
from tests.refusals import assert_refused

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


def test_what_is_no_json() -> None:
    for raw, reason in (
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
    ):
        message = assert_refused(r"^config\.json: ", parse_json, raw, "config.json", error=ModelFileError)
        assert reason in message
        assert len(message) < 200


def test_a_string_without_an_end_is_refused_in_linear_time() -> None:
    raw = b"," * 2_000_001 + b'"' + b'\\"' * 400_000  # reading on from each quote would take minutes
    assert_refused("more than 2,000,000 values", parse_json, raw, "x", error=ModelFileError)
    for end in (b"", b"\\", b'\\"'):
        raw = b'[1,"' + b"," * 2_000_001 + end
        assert_refused("not JSON at column 4: Unterminated string", parse_json, raw, "x", error=ModelFileError)


@pytest.mark.parametrize("raw", [b'{"secret": 1, "secret": 2}', b"[1e998877]", b"[-Infinity]"])
def test_without_echo_the_message_does_not_repeat_the_input(raw: bytes) -> None:
    message = assert_refused(r"^body: ", lambda: parse_json(raw, "body", error=OSError, echo=False), error=OSError)
    assert not any(part in message for part in ("secret", "998877", "-Inf", "("))


def test_sixteen_deep_an_escaped_pair_and_commas_in_a_text_are_fine() -> None:
    """So are lone surrogates, where the caller checks them."""
    deep: Any = 1
    for _ in range(16):
        deep = [deep]
    assert parse_json(json_bytes(deep), "x") == deep
    assert parse_json(b'"\\ud83d\\ude00"', "x") == "\N{GRINNING FACE}"
    text = '[{,"\\' * 600_000
    assert parse_json(json_bytes([text, text]), "config.json") == [text, text]
    assert parse_json(b'"\\ud800"', "body", surrogates=True) == "\ud800"


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)
NUMBERS: list[object] = [math.nan, [math.inf], np.float32(1), {"a": np.int64(3)}]


@pytest.mark.parametrize("value", [*NUMBERS, "\ud800", {1: "a"}, [{None: 0}], {"a": {1, 2}}, b"x", CIRCLE], ids=repr)
def test_what_json_cannot_hold(value: object) -> None:
    assert_refused("cannot be written as JSON", json_bytes, value)


@dataclass(frozen=True)
class Layer:
    units: int
    gate: Literal["sigmoid", "binary"] = "sigmoid"


@dataclass(frozen=True)
class Everything:
    units: int
    dropout: float
    name: str
    masked: bool
    layers: tuple[Layer, ...]
    pair: tuple[int, str]
    limit: int | None = None
    rate: float | int = 0.5
    pick: Literal[1, "all", None] = "all"
    ranks: list[int] = field(default_factory=list)
    table: dict[str, float] = field(default_factory=dict)
    computed: int = field(init=False, default=3)

    def __post_init__(self) -> None:
        if self.units < 1:
            raise InputError(f"units must be at least 1, not {self.units}")


GOOD: dict[str, Any] = {
    "units": 7,
    "dropout": 0.25,
    "name": "σ",
    "masked": True,
    "layers": [{"units": 3, "gate": "binary"}, {"units": 4}],
    "pair": [1, "a"],
}


def test_all_kinds_of_fields() -> None:
    made = fields_from(Everything, {**GOOD, "limit": 9, "pick": 1, "ranks": [3, 1], "table": {"a": 1}}, "config.json")
    layers = (Layer(3, "binary"), Layer(4))
    assert made == Everything(7, 0.25, "σ", True, layers, (1, "a"), 9, 0.5, 1, [3, 1], {"a": 1.0})
    assert type(made.table["a"]) is float
    plain = {key: value for key, value in dataclasses.asdict(made).items() if key != "computed"}
    assert fields_from(Everything, parse_json(json_bytes(plain), "x"), "x") == made


def test_missing_keys_take_their_defaults_and_an_int_may_stand_for_a_float() -> None:
    made = fields_from(Everything, {**GOOD, "dropout": 0}, "config.json")
    assert (made.limit, made.rate, made.pick, made.ranks, made.computed) == (None, 0.5, "all", [], 3)
    assert type(made.dropout) is float
    assert type(fields_from(Everything, {**GOOD, "rate": 1}, "x").rate) is int


def test_fields_of_another_form() -> None:
    for change, message in (
        ({"unit": 3}, "unknown key 'unit'; known keys are units, dropout"),
        ({"computed": 3}, "unknown key 'computed'"),
        ({"__class__": "os.system"}, "unknown key '__class__'"),
        ({"units": True}, "units must be a whole number, not 'True'"),
        ({"units": 7.0}, "units must be a whole number, not '7.0'"),
        ({"units": "7"}, "units must be a whole number, not '7'"),
        ({"units": None}, "units must be a whole number, not null"),
        ({"units": 0}, "config.json: units must be at least 1, not 0"),
        ({"dropout": True}, "dropout must be a number, not 'True'"),
        ({"dropout": "0.5"}, "dropout must be a number"),
        ({"dropout": 10**400}, "dropout: the number is too large"),
        ({"units": 10**400}, "units: the number is too large"),
        ({"units": -(2**63)}, "units: the number is too large"),
        ({"name": 3}, "name must be a text, not '3'"),
        ({"name": ["a"]}, "name must be a text, not a list"),
        ({"masked": 1}, "masked must be true or false, not '1'"),
        ({"layers": {"units": 3}}, "layers must be a list, not an object"),
        ({"layers": "ab"}, "layers must be a list, not a text"),
        ({"layers": [3]}, "layers[0]: must be an object, not a whole number"),
        ({"layers": [{"units": 3}, {"units": "x"}]}, "layers[1]: units must be a whole number, not 'x'"),
        ({"layers": [{"units": 3, "gates": 1}]}, "layers[0]: unknown key 'gates'; known keys are units, gate"),
        ({"layers": [{"units": 3, "gate": "hard"}]}, "layers[0]: gate must be 'sigmoid' or 'binary', not 'hard'"),
        ({"pair": [1]}, "pair must have 2 entries, not 1"),
        ({"pair": ["a", 1]}, "pair[0] must be a whole number"),
        ({"limit": "none"}, "limit must be a whole number, not 'none'"),
        ({"limit": False}, "limit must be a whole number"),
        ({"pick": True}, "pick must be 1 or 'all' or None, not 'True'"),
        ({"pick": 1.0}, "pick must be 1"),
        ({"ranks": [1, True]}, "ranks[1] must be a whole number"),
        ({"table": [1]}, "table must be an object, not a list"),
        ({"table": {"a": "b"}}, "table.a must be a number"),
    ):
        where = r"^config\.json: .*" if not message.startswith("config.json") else "^"
        assert_refused(
            where + re.escape(message), fields_from, Everything, GOOD | change, "config.json", error=ModelFileError
        )


@pytest.mark.parametrize("key", GOOD)
def test_a_key_without_default_is_missing(key: str) -> None:
    with pytest.raises(ModelFileError, match=f"config.json: {key} is missing"):
        fields_from(Everything, {name: value for name, value in GOOD.items() if name != key}, "config.json")


@pytest.mark.parametrize("value", [None, 3, "text", [["units", 3]]])
def test_not_an_object(value: object) -> None:
    assert_refused("must be an object, not", fields_from, Layer, value, "config.json", error=ModelFileError)


def test_a_type_that_is_not_for_files_is_the_programmers_error() -> None:
    @dataclass(frozen=True)
    class Odd:
        what: complex

    with pytest.raises(TypeError, match="complex"):
        fields_from(Odd, {"what": 1}, "config.json")
