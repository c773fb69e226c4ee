"""A dict is converted to a dataclass exactly, or refused with the key and the reason."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from gatewise.errors import InputError, ModelFileError
from gatewise.storage.fields import fields_from
from gatewise.storage.strict_json import json_bytes, parse_json


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


def test_missing_keys_take_their_defaults_and_an_int_may_stand_for_a_float() -> None:
    made = fields_from(Everything, {**GOOD, "dropout": 0}, "config.json")
    assert (made.limit, made.rate, made.pick, made.ranks, made.computed) == (None, 0.5, "all", [], 3)
    assert type(made.dropout) is float
    assert type(fields_from(Everything, {**GOOD, "rate": 1}, "x").rate) is int


def test_through_json_and_back() -> None:
    made = fields_from(Everything, GOOD, "config.json")
    plain = {key: value for key, value in dataclasses.asdict(made).items() if key != "computed"}
    assert fields_from(Everything, parse_json(json_bytes(plain), "x"), "x") == made


@pytest.mark.parametrize(
    ("change", "message"),
    [
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
    ],
)
def test_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError, match=r"^config\.json: ") as caught:
        fields_from(Everything, {**GOOD, **change}, "config.json")
    assert message in str(caught.value)


@pytest.mark.parametrize("key", GOOD)
def test_a_key_without_default_is_missing(key: str) -> None:
    with pytest.raises(ModelFileError, match=f"config.json: {key} is missing"):
        fields_from(Everything, {name: value for name, value in GOOD.items() if name != key}, "config.json")


@pytest.mark.parametrize("value", [None, 3, "text", [["units", 3]]])
def test_not_an_object(value: object) -> None:
    with pytest.raises(ModelFileError, match="must be an object, not"):
        fields_from(Layer, value, "config.json")


def test_a_type_that_is_not_for_files_is_the_programmers_error() -> None:
    @dataclass(frozen=True)
    class Odd:
        what: complex

    with pytest.raises(TypeError, match="complex"):
        fields_from(Odd, {"what": 1}, "config.json")
