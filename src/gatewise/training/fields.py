"""The fields of a recipe: type, range and meaning; for checks, `--set FIELD=VALUE` and `gatewise info --recipe`.

A field's type and range stand in its annotation, its meaning in the docstring below it.
"""

from __future__ import annotations

import ast
import inspect
import math
import numbers
import sys
import types
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from gatewise.errors import InputError, did_you_mean, quote

__all__ = ["Count", "Field", "Number", "Positive", "Probability", "Range", "checked", "fields_of", "meanings"]


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
Probability = Annotated[float, Range(0, 1, open_high=True)]
"""A number from 0 to below 1."""


@dataclass(frozen=True)
class Field:
    """One field of a recipe. type: int, float, bool or str; range: of a number; choices: of a text, () for any."""

    name: str
    type: type
    range: Range | None
    choices: tuple[str, ...]

    @property
    def type_name(self) -> str:
        """What the field takes, in words: "whole number, at least 1"."""
        if self.choices:
            return _either([repr(choice) for choice in self.choices])
        name = {int: "whole number", float: "number", bool: "true or false", str: "text"}[self.type]
        return name if self.range is None else f"{name}, {self.range}"

    def checked(self, value: Any) -> Any:
        """The value as a plain Python one. NumPy's numbers are taken, lossy conversions are not. Raises InputError."""
        if self.type is bool and isinstance(value, (bool, np.bool_)):
            return bool(value)
        if self.type is str and isinstance(value, str):
            if self.choices and value not in self.choices:
                nearest = did_you_mean(value, self.choices)
                raise InputError(f"{self.name} must be {self.type_name}, not {quote(value)}{nearest}")
            return str(value)
        is_number = not isinstance(value, (bool, np.bool_))
        if self.type is int and is_number and isinstance(value, numbers.Integral):
            return self._in_range(int(value))
        if self.type is float and is_number and isinstance(value, numbers.Real):
            return self._in_range(float(value))
        shown = quote(value) if isinstance(value, str) else quote(value).strip("'")
        kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise InputError(f"{self.name} must be {self.type_name if self.choices else kinds[self.type]}, not {shown}")

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


def fields_of(recipe: type[Any]) -> dict[str, Field]:
    """The fields of a recipe class by name, in the order of the class."""
    hints = get_type_hints(recipe, include_extras=True)
    return {field.name: _field(field.name, hints[field.name]) for field in fields(recipe)}


def checked(recipe: Any) -> dict[str, Any]:
    """The values of all fields of a recipe, as plain Python ones. Raises InputError for a wrong type or range."""
    return {name: field.checked(getattr(recipe, name)) for name, field in fields_of(type(recipe)).items()}


def meanings(recipe: type[Any]) -> dict[str, str]:
    """The docstring below each field of a recipe class, on one line; {} where the source is not installed."""
    try:
        source = inspect.getsource(sys.modules[recipe.__module__])
    except OSError:
        return {}
    classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    body = next(node.body for node in classes if node.name == recipe.__name__)
    return {
        node.target.id: " ".join(str(after.value.value).split())
        for node, after in pairwise(body)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }


def _field(name: str, hint: Any) -> Field:
    within = None
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        within = next((extra for extra in extras if isinstance(extra, Range)), None)
    if get_origin(hint) in (Union, types.UnionType):  # Precision | Literal["auto"]
        choices = tuple(choice for part in get_args(hint) for choice in get_args(part))
        return Field(name, str, None, choices)
    if get_origin(hint) is Literal:
        return Field(name, str, None, get_args(hint))
    return Field(name, hint, within, ())


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
