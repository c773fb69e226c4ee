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
"""The largest number that a model reads."""

MAX_COLUMNS = 1_000
"""Columns of a schema. A file of a model cannot ask for more."""
MAX_CATEGORIES = 100_000
"""Categories of all columns of a schema together."""

MIN_CATEGORY_ROWS = 5
"""Training rows of a category that the model knows. To the model, rarer, unknown and missing ones are one category."""
MAX_KNOWN = 1_000
"""Categories of a column that the model knows."""

_EXACT = 2**53
"""From here on a float64 stands for several whole numbers."""
_STANDARD_ERRORS = 3
"""The share of unknown categories is a warning if it exceeds that of training by more than so many standard errors."""

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
_BOOLEANS = {"true": "true", "True": "true", "TRUE": "true", "false": "false", "False": "false", "FALSE": "false"}


def number_of(value: Any, limit: float = LARGEST) -> float:
    """The number that a cell holds, NaN for a missing one. Raises InputError, whose message follows the name of a
    column, for another value and for one that is infinite or above the limit.
    """
    number: float | None = None
    if isinstance(value, str):
        number = _number_of_text(value)
    elif is_missing(value):
        number = math.nan
    elif is_real(value):
        number = _float(value)
    if number is None:
        raise InputError(f"must be a number, not {quote(value, 40)}")
    if abs(number) == math.inf:
        raise InputError(f"must be a finite number, not {quote(value, 40)}")
    if abs(number) > limit:
        raise InputError(f"must be a finite number of at most {limit:g}, not {quote(value, 40)}")
    return number


def _number_of_text(text: str) -> float | None:
    """The number that a text is, NaN for the text of a missing one, None for other texts."""
    if text.strip().casefold() in MISSING:
        return math.nan
    return float(text) if NUMBER.fullmatch(text) else None


def _float(number: Any) -> float:
    """A real number as float64, infinite where it is too large."""
    return float(number) if isinstance(number, float) or is_finite(number) else math.inf


def category_of(value: Any) -> str | float:
    """The name of the category that a cell holds, "" for a missing one, and NaN for NaN and pandas.NA, which may have
    been a text such as NA. Raises InputError, whose message follows the name of a column, for another value and for a
    number that has lost digits.
    """
    if isinstance(value, str):
        return _name_of_text(value)
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


def _name_of_text(value: str) -> str:
    """The name of a text: true for True and TRUE, 1 for 1.0, and the text without the spaces around it for others."""
    name = str(value).strip()  # numpy.str_ too
    if name in _BOOLEANS:
        return _BOOLEANS[name]
    # A column of whole numbers and missing values is one of floats in pandas, whose to_csv writes 1.0.
    whole = _WHOLE.fullmatch(name)
    if whole is not None:
        return _unsigned_zero(whole[1])
    return name


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
        if self.low is None and self.high is None:
            return
        if self.low is None or self.high is None or not -LARGEST <= self.low <= self.high <= LARGEST:
            raise InputError(f"the column {quote(self.name)} has no range from {self.low} to {self.high}")

    def read(self, value: Any) -> float:
        """The number, NaN for a missing one. Errors as `number_of`."""
        try:
            return number_of(value)
        except InputError as error:
            is_category = isinstance(value, str | bool | np.bool_)
            hint = "; name it in categorical" if is_category else ""
            raise InputError(f"{error}{hint}") from None

    @property
    def has_values(self) -> bool:
        """Whether a training row has a number."""
        return self.low is not None

    def fitted(self, numbers: Sequence[float]) -> Self:
        """The column with the range of these numbers of training rows, NaN for a missing one."""
        known = [number for number in numbers if not math.isnan(number)]
        return replace(self, low=min(known, default=None), high=max(known, default=None))

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
    unknown_share: the share of the training rows with a name whose name is not in `categories`; None before
    `RowSchema.fitted`, and where no training row has a name. respelled: two names of training rows that are the same
    number, such as 1.1 and 1.10; () for none. Raises InputError for categories that occur twice, and for a share that
    is not in [0, 1].
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
            self._refuse_lost_name(value)
            return ""
        if self.respelled:
            # Equal numbers are two categories here, so a number may be one or the other. A text is what it says.
            if not isinstance(value, str | bool | np.bool_ | None):
                first, second = self.respelled
                raise InputError(
                    f"is the number {name}, and the model tells {quote(first)} from {quote(second)}: read the column "
                    "as texts, in pandas with dtype=str"
                )
            return name
        if name not in self.places:
            self._refuse_other_spelling(name)
        return name

    def _refuse_lost_name(self, value: Any) -> None:
        """Raise InputError for NaN in a column with a category that pandas reads as NaN."""
        if self._missing_like:
            raise InputError(
                f"is {missing_name(value)}, and the model knows a category {quote(self._missing_like)}, which pandas "
                "reads as NaN: read the table with keep_default_na=False, and pass None where a value is missing"
            )

    def _refuse_other_spelling(self, name: str) -> None:
        """Raise InputError for a name that is unknown and the same number as a category: 501 where there is 00501."""
        number = _decimal(name)
        if number is not None and number in self._by_number:
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
        unknown_share = None
        if counts:
            known_rows = sum(counts[name] for name in known)
            unknown_share = 1 - known_rows / counts.total()
        return replace(self, categories=known, unknown_share=unknown_share, respelled=_respelled(counts))


def _respelled(names: Iterable[str]) -> tuple[str, ...]:
    """Two of the names that are the same number, the last such pair in sorted order; () for none."""
    by_number: dict[Decimal, str] = {}
    pair: tuple[str, ...] = ()
    for name in sorted(names):
        number = _decimal(name)
        if number is None:
            continue
        if number in by_number:
            pair = (by_number[number], name)
        by_number[number] = name
    return pair


@dataclass(frozen=True)
class RowSchema:
    """The columns of a row that a model reads besides its text or series: numbers and categories, in this order.

    `RowSchema.named` has the names that a user gives; `fitted` adds what the training rows hold, and a model stores
    that. Raises InputError for too many columns or categories.
    """

    numeric: tuple[NumericColumn, ...] = ()
    categorical: tuple[CategoricalColumn, ...] = ()

    def __post_init__(self) -> None:
        n_categories = sum(len(column.categories) for column in self.categorical)
        if len(self) > MAX_COLUMNS:
            raise InputError(f"there are {len(self):,} columns, and a model reads at most {MAX_COLUMNS:,}")
        if n_categories > MAX_CATEGORIES:
            raise InputError(
                f"the columns have {n_categories:,} categories, and a model reads at most {MAX_CATEGORIES:,}"
            )

    @classmethod
    def named(cls, numeric: Iterable[str] = (), categorical: Iterable[str] = ()) -> Self:
        """Columns of these names, without the facts of training rows."""
        return cls(tuple(map(NumericColumn, numeric)), tuple(map(CategoricalColumn, categorical)))

    @classmethod
    def of(cls, names: ColumnNames) -> Self:
        """The numeric and categorical columns of a table, without the facts of training rows."""
        return cls.named(names.numeric, names.categorical)

    @property
    def columns(self) -> tuple[NumericColumn | CategoricalColumn, ...]:
        """All columns, the numeric ones first."""
        return (*self.numeric, *self.categorical)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, the numeric ones first."""
        return tuple(column.name for column in self.columns)

    @property
    def names_by_type(self) -> dict[str, list[str]]:
        """The names of the numeric and of the categorical columns, as options and JSON have them."""
        return {
            "numeric": [column.name for column in self.numeric],
            "categorical": [column.name for column in self.categorical],
        }

    def __len__(self) -> int:
        return len(self.numeric) + len(self.categorical)

    def __str__(self) -> str:
        return ", ".join(self.names)

    def read(self, row: Mapping[str, Any]) -> dict[str, float | str]:
        """The value of each column by name. Raises InputError that names the column, for a value that cannot be read
        and for a column that the row does not have.
        """
        values: dict[str, float | str] = {}
        for column in self.columns:
            if column.name not in row:
                names = ", ".join(quote(name, 40) for name in list(row)[:20]) or "none"
                raise InputError(f"column {quote(column.name)} is missing, which the model reads; there are {names}")
            try:
                values[column.name] = column.read(row[column.name])
            except InputError as error:
                raise InputError(f"column {quote(column.name)} {error}") from None
        return values

    def values_of(self, rows: Sequence[Mapping[str, float | str]]) -> list[tuple[float | str, ...]]:
        """`values` of each row."""
        return [self.values(row) for row in rows]

    def values(self, columns: Mapping[str, float | str]) -> tuple[float | str, ...]:
        """What `read` returned, as the members read it: the numbers, NaN for a missing one, then the names of
        categories, "" for a missing one.
        """
        numbers = [columns[column.name] for column in self.numeric]
        names = [columns[column.name] for column in self.categorical]
        # A column that is not fitted reads NaN as NaN, see `CategoricalColumn.read`.
        without_nan = ["" if isinstance(name, float) else name for name in names]
        return (*numbers, *without_nan)

    def fitted(self, rows: Sequence[Sequence[float | str]]) -> Self:
        """The schema with the facts of training rows, their values as in `values`."""
        numeric = []
        for place, number_column in enumerate(self.numeric):
            numbers = [float(row[place]) for row in rows]
            numeric.append(number_column.fitted(numbers))
        categorical = []
        for place, category_column in enumerate(self.categorical, start=len(self.numeric)):
            names = [str(row[place]) for row in rows]
            categorical.append(category_column.fitted(names))
        return replace(self, numeric=tuple(numeric), categorical=tuple(categorical))

    def check_filled(self, source: str, rows: int) -> None:
        """Raise InputError for a column in which no training row has a value: there is nothing to learn from it."""
        for column in self.columns:
            if not column.has_values:
                noun = "number" if isinstance(column, NumericColumn) else "category"
                raise InputError(
                    f"{source}: the column {quote(column.name)} has no {noun} in any of "
                    f"{counted(rows, 'training row')}: take it out"
                )


NO_ROW_COLUMNS = RowSchema()


@dataclass
class OutsideCounts:
    """Counts rows whose columns are outside of what the model was trained on.

    rows: all rows. present: rows with a value, by the name of the column. outside: rows whose value is outside, by the
    name of the column.
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
        messages = []
        for column in self.schema.columns:
            if not column.has_values:
                continue
            present = self.present[column.name]
            outside = self.outside[column.name]
            if isinstance(column, NumericColumn):
                messages.append(_extrapolation(column, present, outside))
            else:
                messages.append(_unknown_categories(column, present, outside))
        return [message for message in messages if message]


def _extrapolation(column: NumericColumn, present: int, outside: int) -> str:
    """The message of a column with numbers beyond the training range; "" if there are none."""
    if not outside:
        return ""
    low = number_text(column.low or 0.0)
    high = number_text(column.high or 0.0)
    return (
        f"column {quote(column.name)} is beyond the training range, {low} to {high}, by more than its width, in "
        f"{_share_of_rows(present, outside)}: the prediction is an extrapolation"
    )


def _unknown_categories(column: CategoricalColumn, present: int, outside: int) -> str:
    """The message of a column with more unknown categories than in training; "" if there are not more.

    A rare category of training is unknown too, so new rows may have unknown ones as often as training rows.
    """
    if not outside:
        return ""
    in_training = column.unknown_share or 0.0
    standard_error = math.sqrt(in_training * (1 - in_training) / present)
    if outside / present <= in_training + _STANDARD_ERRORS * standard_error:
        return ""
    return (
        f"column {quote(column.name)} has categories that the model does not know, in "
        f"{_share_of_rows(present, outside)}; in training {in_training:.1%}"
    )


def _share_of_rows(present: int, outside: int) -> str:
    return f"{outside / present:.1%} of the rows ({outside:,} of {present:,} with a value)"


def schema_from(entry: object, where: str) -> RowSchema:
    """The schema of a file. Raises ModelFileError."""
    if isinstance(entry, dict) and any(map(_has_text, entry.values())):
        raise ModelFileError(f"{where}: the columns have names alone, as an earlier gatewise wrote them: train again")
    schema = fields_from(RowSchema, entry, where)
    if len(set(schema.names)) < len(schema):
        raise ModelFileError(f"{where}: two columns have one name")
    return schema


def _has_text(value: object) -> bool:
    """Whether it is a list with a text in it."""
    return isinstance(value, list) and any(isinstance(element, str) for element in value)


def check_names(schema: RowSchema, others: Mapping[str, Sequence[str]]) -> None:
    """Raise InputError for a column that is named twice. others: further columns by what they are."""
    roles: dict[str, str] = {}
    for role, names in {**schema.names_by_type, **others}.items():
        for name in names:
            if name in roles:
                raise InputError(f"the column {quote(name)} is named as {roles[name]} and as {role}: name another one")
            roles[name] = role
