"""Settings: dataclasses whose fields are checked, parsed from texts and TOML files, and described.

A field's type stands in its annotation, a number's range too, in words and as a predicate; its meaning stands in the
docstring below it. A field that is a dataclass itself is a group: its fields are called `group.field`, in Python
keyword arguments `group__field`, or by the bare name: no two groups of the same settings have one field name. A field
of type `str` names the settings and is none of them.
"""

import ast
import inspect
import math
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import pairwise
from operator import attrgetter
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import numpy as np

from gatewise.errors import InputError, did_you_mean, quote

T = TypeVar("T")


Count = Annotated[int, "at least 1", lambda value: value >= 1]
"""A whole number, at least 1."""
Number = Annotated[int, "at least 0", lambda value: value >= 0]
"""A whole number, at least 0."""
Positive = Annotated[float, "above 0", lambda value: value > 0]
"""A number above 0."""
NotNegative = Annotated[float, "at least 0", lambda value: value >= 0]
"""A number, at least 0."""
Probability = Annotated[float, "from 0 to below 1", lambda value: 0 <= value < 1]
"""A number from 0 to below 1."""


@dataclass(frozen=True)
class Field:
    """One setting. name: `group.field`. type: int, float, bool or str. choices: of a text. range: what a number must
    be, in words; holds: whether one is it.
    """

    name: str
    type: type
    choices: tuple[str, ...] = ()
    range: str = ""
    holds: Callable[[float], bool] = bool

    @property
    def type_name(self) -> str:
        """What the field takes, in words: "whole number, at least 1"."""
        if self.choices:
            *first, last = map(repr, self.choices)
            return f"{', '.join(first)} or {last}" if first else last
        name = {int: "whole number", float: "number", bool: "true or false"}[self.type]
        return f"{name}, {self.range}" if self.range else name

    def checked(self, value: Any) -> Any:
        """The value as a plain Python one. NumPy's numbers are taken, lossy conversions are not. Raises InputError."""
        plain: Any = value.item() if isinstance(value, np.generic) else value
        plain = str(plain) if isinstance(plain, str) else plain  # of a subclass too
        if self.type is float and type(plain) is int:
            plain = float(plain)
        if type(plain) not in (self.type,):
            kind = {int: "a whole number", float: "a number"}.get(self.type, self.type_name)
            given = quote(value) if isinstance(value, str) else quote(value)[1:-1]
            raise InputError(f"{self.name} must be {kind}, not {given}")
        if self.choices and plain not in self.choices:
            nearest = did_you_mean(plain, self.choices)
            raise InputError(f"{self.name} must be {self.type_name}, not {quote(plain)}{nearest}")
        if self.range and not self.holds(plain):
            raise InputError(f"{self.name} must be {self.range}, not {plain}")
        if self.type is float and not math.isfinite(plain):
            raise InputError(f"{self.name} must be finite, not {plain}")
        return plain

    def parsed(self, text: str) -> Any:
        """The value that `text` says, as `--set field=value` takes it. Raises InputError."""
        value: Any = text
        if self.type is bool:
            value = {"true": True, "false": False}.get(text.strip().lower(), text)
        elif self.type is not str:
            with suppress(ValueError):  # `checked` says what it must be
                value = self.type(text)
        return self.checked(value)


def field_of(name: str, hint: Any) -> Field:
    """The field of a type: bool, a Literal, or a number with its range, such as `Count`."""
    hint, *within = get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    choices = get_args(hint)  # of a Literal
    return Field(name, str if choices else hint, choices, *within)


_Seed = Annotated[int, "from 0 to 2^63 - 1, or None to draw one", lambda value: 0 <= value < 2**63]


def checked_seed(seed: Any, resume: bool) -> int:
    """The seed as an int; None draws one. Raises InputError for any other value than a whole number from 0 to 2^63 - 1,
    and for None where a run is to resume: it continues with the seed that it began with.
    """
    if seed is None:
        if resume:
            raise InputError("seed: to resume, pass the seed that the run began with, not None")
        return secrets.randbelow(2**31)
    return int(field_of("seed", _Seed).checked(seed))


_FIELDS: dict[type[Any], dict[str, Field]] = {}


def fields_of(settings: type[Any]) -> Mapping[str, Field]:
    """The fields of a class by `group.field`, in the order of the class."""
    if settings in _FIELDS:
        return _FIELDS[settings]
    found, hints = _FIELDS.setdefault(settings, {}), get_type_hints(settings, include_extras=True)
    for name in (field.name for field in fields(settings)):
        if is_dataclass(hints[name]):
            group = fields_of(hints[name])
            found |= {f"{name}.{last}": replace(one, name=f"{name}.{last}") for last, one in group.items()}
        elif hints[name] is not str:
            found[name] = field_of(name, hints[name])
    return found


def field_named(settings: type[Any], name: str, others: Iterable[str] = ()) -> Field:
    """The field that `name` means: `group.field`, `group__field`, or its bare name. Raises InputError for an unknown
    name, with the nearest of the fields and `others`.
    """
    known, path = fields_of(settings), name.replace("__", ".")
    bare = {one.rpartition(".")[2]: field for one, field in known.items()}
    if (field := known.get(path) or bare.get(path)) is not None:
        return field
    nearest = did_you_mean(path, [*known, *bare, *others])
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


def with_values(settings: T, values: Mapping[str, Any]) -> T:
    """The settings with other values, by any name of their fields. Raises InputError as `named_values` does."""
    changes = dict[str, Any]()
    for path, value in named_values(type(settings), values).items():
        group, _, last = path.rpartition(".")
        changes |= {group: replace(changes.get(group, getattr(settings, group)), **{last: value})}
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
        body = ast.parse(inspect.getsource(settings)).body[0].body  # type: ignore[attr-defined]
    except OSError:
        return {}
    docs = {
        ast.unparse(node.target): " ".join(str(ast.literal_eval(after.value)).split())
        for node, after in pairwise(body)
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr)
    }
    found, hints = dict[str, str](), get_type_hints(settings)
    for field in fields(settings):
        if is_dataclass(hints[field.name]):
            found |= {f"{field.name}.{one}": text for one, text in meanings(hints[field.name]).items()}
        else:
            found[field.name] = docs[field.name]
    return found
