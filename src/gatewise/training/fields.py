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
    """One setting."""

    name: str
    """`group.field`."""
    type: type
    """int, float, bool or str."""
    choices: tuple[str, ...] = ()
    """The values that a text can have."""
    range: str = ""
    """What a number must be, in words: "at least 1"."""
    holds: Callable[[float], bool] = bool
    """Whether a number is in the range."""

    @property
    def type_name(self) -> str:
        """What the field takes, in words: "whole number, at least 1"."""
        if len(self.choices) == 1:
            return repr(self.choices[0])
        if self.choices:
            *others, last = map(repr, self.choices)
            return f"{', '.join(others)} or {last}"
        name = {int: "whole number", float: "number", bool: "true or false"}[self.type]
        if self.range:
            name += f", {self.range}"
        return name

    def checked(self, value: Any) -> Any:
        """The value as a plain Python one. NumPy's numbers are taken, lossy conversions are not. Raises InputError."""
        plain: Any = self._plain(value)
        plain_type = type(plain)  # True is no number here
        if plain_type is not self.type:
            kind = {int: "a whole number", float: "a number"}.get(self.type, self.type_name)
            shown = quote(value)
            if not isinstance(value, str):  # the quotation marks are those of a text
                shown = shown[1:-1]
            raise InputError(f"{self.name} must be {kind}, not {shown}")
        if self.choices and plain not in self.choices:
            nearest = did_you_mean(plain, self.choices)
            raise InputError(f"{self.name} must be {self.type_name}, not {quote(plain)}{nearest}")
        if self.range and not self.holds(plain):
            raise InputError(f"{self.name} must be {self.range}, not {plain}")
        if self.type is float and not math.isfinite(plain):
            raise InputError(f"{self.name} must be finite, not {plain}")
        return plain

    def _plain(self, value: Any) -> Any:
        """The value as one of Python's own types: a number of NumPy, a subclass of str, an int for a float."""
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, str):
            return str(value)
        if self.type is float and type(value) is int:
            return float(value)
        return value

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
    range_and_check = []
    if hasattr(hint, "__metadata__"):  # Annotated
        hint, *range_and_check = get_args(hint)
    choices = get_args(hint)
    if choices:  # of a Literal
        return Field(name, str, choices, *range_and_check)
    return Field(name, hint, (), *range_and_check)


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
    by_path: dict[str, Field] = {}
    hints = get_type_hints(settings, include_extras=True)
    for name in (field.name for field in fields(settings)):
        hint = hints[name]
        if is_dataclass(hint):
            for last, setting in fields_of(hint).items():  # type: ignore[arg-type]
                path = f"{name}.{last}"
                by_path[path] = replace(setting, name=path)
        elif hint is not str:
            by_path[name] = field_of(name, hint)
    _FIELDS[settings] = by_path
    return by_path


def field_named(settings: type[Any], name: str, others: Iterable[str] = ()) -> Field:
    """The field that `name` means: `group.field`, `group__field`, or its bare name. Raises InputError for an unknown
    name, with the nearest of the fields and `others`.
    """
    path = name.replace("__", ".")
    by_path = fields_of(settings)
    by_bare_name = {known.rpartition(".")[2]: field for known, field in by_path.items()}
    if path in by_path:
        return by_path[path]
    if path in by_bare_name:
        return by_bare_name[path]
    known_paths = list(by_path)
    if name.isidentifier():  # a keyword argument of Python, which has no dot
        known_paths = [known.replace(".", "__") for known in by_path]
    nearest = did_you_mean(name, [*known_paths, *by_bare_name, *others])
    raise InputError(f"a recipe has no {quote(name)}{nearest or '; gatewise info --recipe fast lists its fields'}")


def named_values(settings: type[Any], values: Mapping[str, Any], others: Iterable[str] = ()) -> dict[str, Any]:
    """The values by `group.field`. Raises InputError as `field_named` does, and for a field with two values."""
    by_path: dict[str, Any] = {}
    for name, value in values.items():
        path = field_named(settings, name, others).name
        if path in by_path:
            raise InputError(f"{path} is given twice")
        by_path[path] = value
    return by_path


def values_of(settings: Any) -> dict[str, Any]:
    """The values of all fields by `group.field`."""
    return {path: attrgetter(path)(settings) for path in fields_of(type(settings))}


def with_values(settings: T, values: Mapping[str, Any]) -> T:
    """The settings with other values, by any name of their fields. Raises InputError as `named_values` does."""
    groups: dict[str, Any] = {}
    for path, value in named_values(type(settings), values).items():
        group, _, last = path.rpartition(".")
        groups[group] = replace(groups.get(group, getattr(settings, group)), **{last: value})
    return replace(settings, **groups)  # type: ignore[type-var]


def check_values(settings: Any, what: str) -> None:
    """Replace each value of frozen settings by a plain Python one. Raises InputError, which begins with `what`, for a
    wrong type or range.
    """
    for path, field in fields_of(type(settings)).items():
        group, _, last = path.rpartition(".")
        owner = settings
        if group:
            owner = getattr(settings, group)
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
    by_path: dict[str, str] = {}
    hints = get_type_hints(settings)
    for field in fields(settings):
        if is_dataclass(hints[field.name]):
            for last, meaning in meanings(hints[field.name]).items():
                by_path[f"{field.name}.{last}"] = meaning
        else:
            by_path[field.name] = docs[field.name]
    return by_path
