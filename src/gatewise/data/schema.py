"""`RowSchema`: the typed columns of a row that a model reads besides its text or series, and what a value of them is.

Every entrance reads its columns here: files, data frames, mappings, the Scorer and HTTP. So a value is converted in one
place, or refused.

    number      int, float, Decimal, NumPy, or the text of one -> float64; no booleans, dates, complex numbers
    category    a text without the spaces around it; true, True, TRUE and booleans are "true"; 1, 1.0 and "1.0" are "1"
    missing     None, NaN, pandas.NA and an empty text; the texts `MISSING` are missing numbers, and names of categories

A text keeps what a number loses: "00501", "1.50" and "1e5" are names of their own. What a library lost on the way
cannot be told from the value alone. The schema of a model knows the categories of its training rows, and refuses a
value that may have been one of them: 501 where they have "00501", NaN where they have "NA".
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, Self

import numpy as np

from gatewise.data.frames import is_finite, is_missing, is_real, missing_name
from gatewise.errors import InputError, ModelFileError, counted, number_text, quote
from gatewise.storage.fields import fields_from
from gatewise.types import ColumnNames

LARGEST = float(np.finfo(np.float32).max)
MAX_COLUMNS, MAX_CATEGORIES = 1_000, 100_000  # in a file
MIN_CATEGORY_ROWS = 5
"""Training rows of a category that the model knows. Rarer ones, unknown ones and missing ones are one to it."""
MAX_KNOWN = 1_000  # categories of a column that a model knows
_EXACT = 2**53  # from here on a float64 stands for several whole numbers
_STANDARD_ERRORS = 3  # by which the share of unknown categories exceeds that of training before it is a warning

PANDAS_MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
    *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
"""The cells that `pandas.read_csv` reads as NaN, in a column of texts too."""
MISSING = frozenset({*(text.casefold() for text in PANDAS_MISSING), "+nan", "?"})
"""The texts of a missing number, without case."""

_SPACE = r"[^\S\x1c-\x1f]*"  # Python's float refuses the separators of ASCII
NUMBER = re.compile(
    _SPACE + r"([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?nan|[+-]?inf(inity)?|\?)" + _SPACE, re.I
)
"""The text of a number, also of one that is infinite or missing."""
_WHOLE = re.compile(r"(-?(0|[1-9][0-9]*))(\.0+)?")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {spelling: name for name in ("true", "false") for spelling in (name, name.title(), name.upper())}


def number_of(value: Any, limit: float = LARGEST) -> float:
    """The number that a cell holds, NaN for a missing one. Raises InputError, whose message follows the name of a
    column, for another value and for one that is infinite or above the limit.
    """
    if isinstance(value, str):
        if value.strip().casefold() in MISSING:
            return math.nan
        number = float(value) if NUMBER.fullmatch(value) else None
    elif is_missing(value):
        return math.nan
    else:
        number = _float(value) if is_real(value) else None
    if number is None:
        raise InputError(f"must be a number, not {quote(value, 40)}")
    if abs(number) == math.inf:
        raise InputError(f"must be a finite number, not {quote(value, 40)}")
    if abs(number) > limit:
        raise InputError(f"must be a finite number of at most {limit:g}, not {quote(value, 40)}")
    return number


def _float(value: Any) -> float:
    """A real number as float64, infinite where it is too large."""
    return float(value) if isinstance(value, float) or is_finite(value) else math.inf


def category_of(value: Any) -> str | float:
    """The name of the category that a cell holds, "" for a missing one, and NaN for NaN and pandas.NA, which may have
    been a text such as NA. Raises InputError, whose message follows the name of a column, for another value and for a
    number that has lost digits.
    """
    if isinstance(value, str):
        name = str(value).strip()
        whole = _WHOLE.fullmatch(name)
        return _BOOLEANS.get(name) or (_unsigned_zero(whole[1]) if whole else name)
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if is_missing(value):
        if missing_name(value) == "NaT":
            raise InputError("must be a text, a number or true/false, not a date")
        return math.nan
    if isinstance(value, int | np.integer) and is_real(value):
        return str(int(value))
    if isinstance(value, float | np.floating | Decimal):
        return _name_of_real(value)
    raise InputError(f"must be a text, a number or true/false, not {quote(value, 40)}")


def _name_of_real(value: Any) -> str:
    """The name of a number that may have a fraction: 1 for 1.0, and the shortest text of a float64 for others."""
    number = _float(value)
    if abs(number) == math.inf:
        raise InputError(f"must be a finite number, not {quote(value, 40)}")
    if number != int(number):
        return repr(number)
    if isinstance(value, Decimal):
        return _unsigned_zero(str(int(value)))
    if abs(number) >= _EXACT:
        raise InputError(
            f"is {number:.17g} as a float, which does not hold each whole number from 2^53 on: read the column as "
            "texts, in pandas with dtype=str"
        )
    return str(int(number))


def _unsigned_zero(name: str) -> str:
    return "0" if name == "-0" else name


def _decimal(name: str) -> Decimal | None:
    """The exact number that a name is, None for other names."""
    return Decimal(name) if _DECIMAL.fullmatch(name) else None


@dataclass(frozen=True)
class NumericColumn:
    """A column of numbers. low, high: their range in the training rows; None before `RowSchema.fitted`, and where no
    training row has a number. Raises InputError for numbers that are no range.
    """

    name: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        both = (self.low, self.high)
        if both == (None, None):
            return
        if None in both or not -LARGEST <= self.low <= self.high <= LARGEST:  # type: ignore[operator]
            raise InputError(f"the column {quote(self.name)} has no range from {self.low} to {self.high}")

    def read(self, value: Any) -> float:
        """The number, NaN for a missing one. Errors as `number_of`."""
        try:
            return number_of(value)
        except InputError as error:
            hint = "; name it in categorical" if isinstance(value, str | bool | np.bool_) else ""
            raise InputError(f"{error}{hint}") from None

    @property
    def has_values(self) -> bool:
        """Whether a training row has a number."""
        return self.low is not None

    def is_outside(self, value: float) -> bool:
        """Whether a number is beyond the range of training by more than the width of the range."""
        if self.low is None or self.high is None:
            return False
        width = self.high - self.low
        return value < self.low - width or value > self.high + width


@dataclass(frozen=True)
class CategoricalColumn:
    """A column of names of categories.

    categories: those of MIN_CATEGORY_ROWS training rows or more, sorted, the most frequent MAX_KNOWN at most.
    unknown_share: of the training rows with a name, those of other ones; None before `RowSchema.fitted`, and where no
    training row has a name. respelled: two names of training that are one number, such as 1.1 and 1.10; () for none.
    Raises InputError for categories that occur twice, and for a share that is none.
    """

    name: str
    categories: tuple[str, ...] = ()
    unknown_share: float | None = None
    respelled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.categories)) < len(self.categories) or "" in self.categories:
            raise InputError(f"the column {quote(self.name)} has a category twice, or one without a name")
        if self.unknown_share is not None and not 0 <= self.unknown_share <= 1:
            raise InputError(f"the column {quote(self.name)} has no share of {self.unknown_share} unknown categories")

    @cached_property
    def places(self) -> dict[str, int]:
        """The number of each category, from 1; 0 is that of all others."""
        return {name: place for place, name in enumerate(self.categories, 1)}

    @cached_property
    def _missing_like(self) -> str:
        """A category that pandas reads as NaN, "" if there is none."""
        return next((name for name in self.categories if name in PANDAS_MISSING), "")

    @cached_property
    def _by_number(self) -> dict[Decimal, str]:
        """The categories that are numbers."""
        numbers = ((_decimal(name), name) for name in self.categories)
        return {number: name for number, name in numbers if number is not None}

    @property
    def has_values(self) -> bool:
        """Whether a training row has a name."""
        return self.unknown_share is not None

    def read(self, value: Any) -> str | float:
        """The name, "" for a missing one; NaN, see `category_of`, only of a column that is not fitted.

        Raises InputError as `category_of`, and for a value that may have been one of the categories before a library
        read it as a number or as missing.
        """
        name = category_of(value)
        if not self.has_values:
            return name
        if isinstance(name, float):
            if self._missing_like:
                raise InputError(
                    f"is {missing_name(value)}, and the model knows a category {quote(self._missing_like)}, which "
                    "pandas reads as NaN: read the table with keep_default_na=False, and pass None where a value is "
                    "missing"
                )
            return ""
        if self.respelled and not isinstance(value, str | bool | np.bool_ | None):
            first, second = self.respelled
            raise InputError(
                f"is the number {name}, and the model tells {quote(first)} from {quote(second)}: read the column as "
                "texts, in pandas with dtype=str"
            )
        if name in self.places or self.respelled or (number := _decimal(name)) not in self._by_number:
            return name
        raise InputError(
            f"is {quote(name)}, and the model knows {quote(self._by_number[number])}, an equal number in another "
            "spelling: read the column as texts where the model was trained and where it predicts, in pandas with "
            "dtype=str"
        )

    def fitted(self, names: Sequence[str]) -> Self:
        """The column with the facts of these names of training rows, "" for a missing one."""
        counts = Counter(name for name in names if name)
        frequent = counts.most_common(MAX_KNOWN)
        known = tuple(sorted(name for name, rows in frequent if rows >= MIN_CATEGORY_ROWS))
        total = counts.total()
        unknown_share = 1 - sum(counts[name] for name in known) / total if total else None
        by_number: dict[Decimal, str] = {}
        respelled: tuple[str, ...] = ()
        for name in sorted(counts):
            number = _decimal(name)
            if number is None:
                continue
            if number in by_number:
                respelled = (by_number[number], name)
            by_number[number] = name
        return replace(self, categories=known, unknown_share=unknown_share, respelled=respelled)


@dataclass(frozen=True)
class RowSchema:
    """The columns of a row that a model reads besides its text or series: numbers and categories, in this order.

    `RowSchema.named` has the names that a user gives; `fitted` adds what the training rows hold, and a model stores
    that. Raises InputError for too many columns or categories.
    """

    numeric: tuple[NumericColumn, ...] = ()
    categorical: tuple[CategoricalColumn, ...] = ()

    def __post_init__(self) -> None:
        if len(self) > MAX_COLUMNS or sum(len(one.categories) for one in self.categorical) > MAX_CATEGORIES:
            raise InputError(f"there are more than {MAX_COLUMNS:,} columns or {MAX_CATEGORIES:,} categories")

    @classmethod
    def named(cls, numeric: Iterable[str] = (), categorical: Iterable[str] = ()) -> Self:
        """Columns of these names, without the facts of training rows."""
        return cls(tuple(map(NumericColumn, numeric)), tuple(map(CategoricalColumn, categorical)))

    @classmethod
    def of(cls, names: ColumnNames) -> Self:
        """The numeric and categorical ones of the columns of a table."""
        return cls.named(names.numeric, names.categorical)

    @property
    def columns(self) -> tuple[NumericColumn | CategoricalColumn, ...]:
        """All of them."""
        return (*self.numeric, *self.categorical)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(one.name for one in self.columns)

    @property
    def names_by_type(self) -> dict[str, list[str]]:
        """The names of the numeric and of the categorical columns, as options and JSON have them."""
        return {
            "numeric": [one.name for one in self.numeric],
            "categorical": [one.name for one in self.categorical],
        }

    def __len__(self) -> int:
        return len(self.numeric) + len(self.categorical)

    def __str__(self) -> str:
        return ", ".join(self.names)

    def read(self, row: Mapping[str, Any]) -> dict[str, float | str]:
        """The value of each column by name. Raises InputError that names the column, for one that the row does not
        have too.
        """
        values: dict[str, float | str] = {}
        for column in self.columns:
            if column.name not in row:
                there = ", ".join(quote(name, 40) for name in list(row)[:20]) or "none"
                raise InputError(f"column {quote(column.name)} is missing, which the model reads; there are {there}")
            try:
                values[column.name] = column.read(row[column.name])
            except InputError as error:
                raise InputError(f"column {quote(column.name)} {error}") from None
        return values

    def values(self, columns: Mapping[str, float | str]) -> tuple[float | str, ...]:
        """What `read` returned, in the order of the columns, as members read it: numbers, then names, "" for every
        missing one.
        """
        numbers = [columns[column.name] for column in self.numeric]
        names = [columns[column.name] for column in self.categorical]
        return (*numbers, *("" if isinstance(name, float) else name for name in names))

    def fitted(self, rows: Sequence[Sequence[float | str]]) -> Self:
        """The schema with the facts of training rows, their values as in `values`."""
        numeric = []
        for place, column in enumerate(self.numeric):
            known = [float(row[place]) for row in rows if row[place] == row[place]]
            numeric.append(replace(column, low=min(known, default=None), high=max(known, default=None)))
        categorical = []
        for place, named in enumerate(self.categorical, start=len(self.numeric)):
            categorical.append(named.fitted([str(row[place]) for row in rows]))
        return replace(self, numeric=tuple(numeric), categorical=tuple(categorical))

    def check_filled(self, source: str, rows: int) -> None:
        """Raise InputError for a column in which no training row has a value: there is nothing to learn from it."""
        empty = [one for one in self.columns if not one.has_values]
        if empty:
            noun = "number" if isinstance(empty[0], NumericColumn) else "category"
            raise InputError(
                f"{source}: the column {quote(empty[0].name)} has no {noun} in any of {counted(rows, 'training row')}: "
                f"take it out"
            )


NO_ROW_COLUMNS = RowSchema()


@dataclass
class OutsideCounts:
    """Counts rows whose columns are outside of what the model was trained on. rows: all; present, outside: those with a
    value in a column, and those whose value is outside, by name.
    """

    schema: RowSchema
    rows: int = 0
    present: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)

    def add(self, rows: Iterable[Sequence[float | str]]) -> None:
        """Count rows, their values as in `RowSchema.values`."""
        for row in rows:
            self.rows += 1
            for column, value in zip(self.schema.columns, row, strict=True):
                if value == "" or value != value:
                    continue
                self.present[column.name] += 1
                if isinstance(column, NumericColumn):
                    self.outside[column.name] += column.is_outside(float(value))
                else:
                    self.outside[column.name] += value not in column.places

    def messages(self) -> list[str]:
        """A line for each column with rows outside of the training data: its name and their share."""
        found = []
        for column in self.schema.columns:
            n, outside = self.present[column.name], self.outside[column.name]
            if not outside or not column.has_values:
                continue
            share = f"{outside / n:.1%} of the rows ({outside:,} of {n:,} with a value)"
            if isinstance(column, NumericColumn):
                low, high = number_text(column.low or 0.0), number_text(column.high or 0.0)
                what = f"is beyond the training range, {low} to {high}, by more than its width"
                found.append(f"column {quote(column.name)} {what}, in {share}: the prediction is an extrapolation")
                continue
            # A rare category of training is unknown too, so new rows may have unknown ones as often as training rows.
            usual = column.unknown_share or 0.0
            if outside / n > usual + _STANDARD_ERRORS * math.sqrt(usual * (1 - usual) / n):
                what = f"has categories that the model does not know, in {share}"
                found.append(f"column {quote(column.name)} {what}; in training {usual:.1%}")
        return found


def schema_from(entry: object, where: str) -> RowSchema:
    """The schema of a file. Raises ModelFileError."""
    lists = [named for named in entry.values() if isinstance(named, list)] if isinstance(entry, dict) else []
    if any(isinstance(one, str) for named in lists for one in named):
        raise ModelFileError(f"{where}: the columns have names alone, as an earlier gatewise wrote them: train again")
    schema = fields_from(RowSchema, entry, where)
    if len(set(schema.names)) < len(schema):
        raise ModelFileError(f"{where}: two columns have one name")
    return schema


def check_names(schema: RowSchema, others: Mapping[str, Sequence[str]]) -> None:
    """Raise InputError for a column that is named twice. others: further columns by what they are."""
    seen: dict[str, str] = {}
    for what, names in {**schema.names_by_type, **others}.items():
        for name in names:
            if name in seen:
                raise InputError(f"the column {quote(name)} is named as {seen[name]} and as {what}: name another one")
            seen[name] = what
