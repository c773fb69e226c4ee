"""A frozen dataclass from the dict of a file, without unknown keys, wrong types or lossy conversions."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from gatewise.errors import InputError, ModelFileError, quote

T = TypeVar("T")

_hints = cache(get_type_hints)  # it compiles each annotation again, and a file can have ten thousand records


def fields_from(cls: type[T], mapping: object, where: str) -> T:
    """An instance of the dataclass `cls` from `mapping`. where: what messages call it ("config.json: network").

    A field without a key takes its default. A bool is not an int; an int is converted to float and a list to tuple if
    the field needs it. An int has at most 64 bits. Fields may be int, float, str, bool, None, Literal, unions, tuple,
    list, dict with str keys, and dataclasses of these; other field types raise TypeError. Raises ModelFileError naming
    the key and the reason for an unknown key, a wrong type, and a value that the class refuses (InputError in
    `__post_init__`). A class with a static method `from_entry(entry, where)` reads its own entries, and an instance of
    the type of a field stays as it is.
    """
    assert is_dataclass(cls), f"{cls} is not a dataclass"
    if not isinstance(mapping, Mapping):
        raise ModelFileError(f"{where}: must be an object, not {_kind(mapping)}")
    known = {field.name: field for field in fields(cls) if field.init}
    for key in mapping:
        if key not in known:
            raise ModelFileError(f"{where}: unknown key {quote(key)}; known keys are {', '.join(known)}")
    hints = _hints(cls)
    values = {}
    for name, field in known.items():
        if name in mapping:
            values[name] = _value(hints[name], mapping[name], f"{where}: {name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ModelFileError(f"{where}: {name} is missing")
    try:
        return cls(**values)
    except InputError as error:
        reason = str(error).removeprefix(f"{where.rpartition(': ')[2]}: ")  # the class may name itself
        raise ModelFileError(f"{where}: {reason}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    """The value as the type `hint` needs it. Raises ModelFileError for a value of another type."""
    origin = get_origin(hint)
    args = get_args(hint)
    if origin is Literal:
        # By type and value, because 1 == True == 1.0 in Python.
        if any(type(value) is type(choice) and value == choice for choice in args):
            return value
        raise ModelFileError(f"{where} must be {' or '.join(map(repr, args))}, not {_shown(value)}")
    if origin in (Union, types.UnionType):
        return _value_of_union(args, value, where)
    if origin in (tuple, list):
        return origin(_entries(origin, args, value, where))
    if origin is dict and args[0] is str:
        if not isinstance(value, dict):
            raise ModelFileError(f"{where} must be an object, not {_kind(value)}")
        return {key: _value(args[1], entry, f"{where}.{key}") for key, entry in value.items()}
    if isinstance(hint, type) and hint not in _NAMES and isinstance(value, hint):
        return value
    if hasattr(hint, "from_entry"):
        return hint.from_entry(value, where)
    if isinstance(hint, type) and is_dataclass(hint):
        return fields_from(hint, value, where)
    if hint is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise ModelFileError(f"{where}: the number is too large") from None
    if hint is None:
        hint = type(None)
    if hint not in _NAMES:
        raise TypeError(f"fields_from does not know the type {hint!r}")
    if type(value) is int and abs(value) >= 1 << 63:
        raise ModelFileError(f"{where}: the number is too large")
    if type(value) is not hint:
        raise ModelFileError(f"{where} must be {_NAMES[hint]}, not {_shown(value)}")
    return value


def _value_of_union(types: Sequence[Any], value: Any, where: str) -> Any:
    """The value as the first type that accepts it: its own type first, so that in `float | int` an int stays an int,
    and null last.
    """
    errors: list[ModelFileError] = []
    for type_ in sorted(types, key=lambda type_: (type_ is not type(value), type_ is type(None))):
        try:
            return _value(type_, value, where)
        except ModelFileError as error:
            errors.append(error)
    is_optional = len(types) == 2 and type(None) in types
    if is_optional:  # "must be a text", and not "must be null"
        raise errors[0]
    raise errors[-1]


def _entries(origin: type, args: tuple[Any, ...], value: Any, where: str) -> list[Any]:
    """The entries of a list or a tuple. args: the types of the entries, or one type for all."""
    if not isinstance(value, (list, tuple)):
        raise ModelFileError(f"{where} must be a list, not {_kind(value)}")
    has_one_type = origin is list or args[1:] == (Ellipsis,)
    if has_one_type:
        hints = args[:1] * len(value)
    else:
        hints = args
    if len(hints) != len(value):
        raise ModelFileError(f"{where} must have {len(hints)} entries, not {len(value)}")
    return [_value(hint, entry, f"{where}[{i}]") for i, (hint, entry) in enumerate(zip(hints, value, strict=True))]


_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}


def _kind(value: object) -> str:
    names = {**_NAMES, list: "a list", tuple: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def _shown(value: object) -> str:
    if value is None or isinstance(value, (list, tuple, dict)):
        return _kind(value)
    return quote(value)
