"""Settings: dataclasses whose fields are checked, parsed from texts and TOML files, and described.

A field's type and range stand in its annotation, its meaning in the docstring below it. A field that is a dataclass
itself is a group: its fields are called `group.field`, in Python keyword arguments `group__field`, or by the bare name
where no other group has it. A field of type `str` names the settings and is none of them.
"""

from __future__ import annotations

import ast
import inspect
import math
import numbers
import sys
import types
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import pairwise
from operator import attrgetter
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from gatewise.errors import InputError, did_you_mean, quote

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`; open_low, open_high: without that end."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        return above and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        if math.isinf(self.high):
            return f"{'above' if self.open_low else 'at least'} {self.low:g}"
        if self.open_low and self.open_high:
            return f"between {self.low:g} and {self.high:g}"
        return f"from {self.low:g} to {'below ' if self.open_high else ''}{self.high:g}"


Count = Annotated[int, Range(1)]
"""A whole number, at least 1."""
Number = Annotated[int, Range(0)]
"""A whole number, at least 0."""
Positive = Annotated[float, Range(0, open_low=True)]
"""A number above 0."""
NotNegative = Annotated[float, Range(0)]
"""A number, at least 0."""
Probability = Annotated[float, Range(0, 1, open_high=True)]
"""A number from 0 to below 1."""


@dataclass(frozen=True)
class Field:
    """One setting. name: `group.field`. type: int, float, bool or str; range: of a number; choices: of a text."""

    name: str
    type: type
    range: Range | None = None
    choices: tuple[str, ...] = ()

    @property
    def type_name(self) -> str:
        """What the field takes, in words: "whole number, at least 1"."""
        if self.choices:
            *first, last = map(repr, self.choices)
            return f"{', '.join(first)} or {last}" if first else last
        name = {int: "whole number", float: "number", bool: "true or false"}[self.type]
        return name if self.range is None else f"{name}, {self.range}"

    def checked(self, value: Any) -> Any:
        """The value as a plain Python one. NumPy's numbers are taken, lossy conversions are not. Raises InputError."""
        if self.type is bool and isinstance(value, (bool, np.bool_)):
            return bool(value)
        if self.type is str and isinstance(value, str):
            if value not in self.choices:
                nearest = did_you_mean(value, self.choices)
                raise InputError(f"{self.name} must be {self.type_name}, not {quote(value)}{nearest}")
            return str(value)
        is_number = not isinstance(value, (bool, np.bool_))
        if self.type is int and is_number and isinstance(value, numbers.Integral):
            return self._in_range(int(value))
        if self.type is float and is_number and isinstance(value, numbers.Real):
            return self._in_range(float(value))
        shown = quote(value) if isinstance(value, str) else quote(value).strip("'")
        kind = {int: "a whole number", float: "a number"}.get(self.type, self.type_name)
        raise InputError(f"{self.name} must be {kind}, not {shown}")

    def parsed(self, text: str) -> Any:
        """The value that `text` says, as `--set field=value` takes it. Raises InputError."""
        value: Any = text
        if self.type is bool:
            value = {"true": True, "false": False}.get(text.strip().lower(), text)
        elif self.type in (int, float):
            with suppress(ValueError):  # `checked` says what it must be
                value = self.type(text)
        return self.checked(value)

    def _in_range(self, value: float) -> float:
        if self.range is not None and value not in self.range:
            raise InputError(f"{self.name} must be {self.range}, not {value}")
        if not math.isfinite(value):
            raise InputError(f"{self.name} must be finite, not {value}")
        return value


def fields_of(settings: type[Any]) -> Mapping[str, Field]:
    """The fields of a class by `group.field`, in the order of the class."""
    if settings not in _FIELDS:
        _FIELDS[settings] = types.MappingProxyType(_fields_of(settings))
    return _FIELDS[settings]


_FIELDS: dict[type[Any], Mapping[str, Field]] = {}


def _fields_of(settings: type[Any]) -> dict[str, Field]:
    hints: dict[str, Any] = get_type_hints(settings, include_extras=True)
    found = dict[str, Field]()
    for field in fields(settings):
        hint = hints[field.name]
        if is_dataclass(hint):
            found |= {
                f"{field.name}.{name}": replace(one, name=f"{field.name}.{name}")
                for name, one in fields_of(cast(Any, hint)).items()
            }
        elif hint is not str:
            found[field.name] = _field(field.name, hint)
    return found


def field_named(settings: type[Any], name: str, others: Iterable[str] = ()) -> Field:
    """The field that `name` means: `group.field`, `group__field`, or a bare name that one group alone has.

    Raises InputError for an unknown or ambiguous name, with the nearest of the fields and `others`.
    """
    known, path = fields_of(settings), name.replace("__", ".")
    bare = [(one.rpartition(".")[2], one) for one in known]
    found = [path] if path in known else [one for last, one in bare if last == path]
    if len(found) == 1:
        return known[found[0]]
    if found:
        raise InputError(f"a recipe has more than one {quote(name)}: {', '.join(found)}")
    nearest = did_you_mean(path, [*known, *(last for last, _ in bare), *others])
    raise InputError(f"a recipe has no {quote(name)}{nearest or '; gatewise info --recipe fast lists its fields'}")


def named_values(settings: type[Any], values: Mapping[str, Any], others: Iterable[str] = ()) -> dict[str, Any]:
    """The values by `group.field`. Raises InputError as `field_named` does, and for a field with two values."""
    found = dict[str, Any]()
    for name, value in values.items():
        path = field_named(settings, name, others).name
        if path in found:
            raise InputError(f"{path} is given twice")
        found[path] = value
    return found


def values_of(settings: Any) -> dict[str, Any]:
    """The values of all fields by `group.field`."""
    return {path: attrgetter(path)(settings) for path in fields_of(type(settings))}


def value_of(settings: Any, name: str) -> Any:
    """The value of the field that `name` means. Raises InputError as `field_named` does."""
    return attrgetter(field_named(type(settings), name).name)(settings)


def with_values(settings: T, values: Mapping[str, Any]) -> T:
    """The settings with other values, by any name of their fields. Raises InputError as `named_values` does."""
    changes = dict[str, Any]()
    for path, value in named_values(type(settings), values).items():
        group, _, last = path.rpartition(".")
        if group:
            changes[group] = replace(changes.get(group, getattr(settings, group)), **{last: value})
        else:
            changes[last] = value
    return replace(settings, **changes)  # type: ignore[type-var]


def check_values(settings: Any, what: str) -> None:
    """Replace each value of frozen settings by a plain Python one. Raises InputError, which begins with `what`, for a
    wrong type or range.
    """
    for path, field in fields_of(type(settings)).items():
        group, _, last = path.rpartition(".")
        owner = getattr(settings, group) if group else settings
        try:
            object.__setattr__(owner, last, field.checked(getattr(owner, last)))
        except InputError as error:
            raise InputError(f"{what}: {error}") from None


def meanings(settings: type[Any]) -> dict[str, str]:
    """The docstring below each field, on one line, by `group.field`; {} where the source is not installed."""
    try:
        source = inspect.getsource(sys.modules[settings.__module__])
    except OSError:
        return {}
    classes = {node.name: node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    hints, found = get_type_hints(settings), dict[str, str]()
    for node, after in pairwise(classes[settings.__name__]):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name = node.target.id
        if is_dataclass(hints[name]):
            found |= {f"{name}.{one}": text for one, text in meanings(hints[name]).items()}
        elif isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[name] = " ".join(str(after.value.value).split())
    return found


def _field(name: str, hint: Any) -> Field:
    within = None
    if get_origin(hint) is Annotated:
        hint, within = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):  # Precision | Literal["auto"]
        return Field(name, str, None, tuple(choice for part in get_args(hint) for choice in get_args(part)))
    if get_origin(hint) is Literal:
        return Field(name, str, None, get_args(hint))
    return Field(name, hint, within)
