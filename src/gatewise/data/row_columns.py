"""The numeric and categorical columns of rows: from data frames and mappings to what a model reads besides its texts
or series.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import (
    described,
    find_column,
    frame_columns,
    frame_names,
    is_finite,
    is_frame,
    is_missing,
    is_real,
    readable,
)
from gatewise.data.inputs import LARGEST
from gatewise.errors import InputError, counted, printable, quote
from gatewise.row import columns_of
from gatewise.row import with_columns as row_with_columns
from gatewise.types import RowColumns

_WHOLE = re.compile(r"([+-]?[0-9]+)\.0+")
_HOW = "pass a data frame or gatewise.data.with_columns; on the command line --column NAME=VALUE"


def with_columns(inputs: Any, columns: Any) -> Any:
    """Texts or series that carry the columns of their rows, for training and prediction.

    >>> rows = gw.data.with_columns(["Good.", "Bad."], {"stars": [5, 1], "shop": ["A", "B"]})
    >>> rows[0], rows[0].row
    ('Good.', {'stars': 5, 'shop': 'A'})

    inputs: n texts or arrays, or one text. columns: a data frame of n rows, or n values by name; of one text a value by
    name. Raises InputError for another number of values, and for what has no values by name.
    """
    if not hasattr(columns, "items") and not is_frame(columns):
        raise InputError(f"columns must be a data frame, or values by name, not {described(columns)}")
    if isinstance(inputs, str):
        if is_frame(columns):
            raise InputError("columns of one text are a value by name, such as {'price': 12.5}, not a data frame")
        return row_with_columns(inputs, {str(name): value for name, value in columns.items()})
    if is_frame(inputs) or isinstance(inputs, Mapping) or not isinstance(inputs, Iterable):
        raise InputError(f"inputs must be n texts or arrays, not {described(inputs)}")
    rows, by_name = list(inputs), dict[str, list[Any]]()
    for name, one in (frame_columns(columns) if is_frame(columns) else columns).items():
        if isinstance(one, str | bytes) or not isinstance(one, Iterable):
            raise InputError(f"column {quote(str(name))} must be a value per row, not {described(one)}")
        by_name[str(name)] = list(one)
    for name, values in by_name.items():
        if len(values) != len(rows):
            raise InputError(f"column {quote(name)} has {counted(len(values), 'value')} for {len(rows):,} rows")
    return [
        row_with_columns(row if isinstance(row, str) else np.asarray(row), {name: by_name[name][n] for name in by_name})
        for n, row in enumerate(rows)
    ]


def rows_with_columns(rows: list[Any], inputs: Any, names: RowColumns) -> list[Any]:
    """The rows of `inputs` with these columns of it, checked and converted; of other inputs than a data frame the rows
    as they are. Raises InputError as `column_values`, and for a column that is not there.
    """
    if not is_frame(inputs):
        return rows
    by_name = frame_columns(inputs)
    found = {name: by_name[find_column(name, list(by_name))] for name in names.names}
    return converted(with_columns(rows, found), names)


def converted(rows: Sequence[Any], names: RowColumns) -> list[Any]:
    """The rows with these of their columns alone, as numbers and names of categories. Errors as `column_values`."""
    keys = names.names
    values = column_values(rows, names)
    return [row_with_columns(row, dict(zip(keys, one, strict=True))) for row, one in zip(rows, values, strict=True)]


def sequences_with_columns(sequences: list[Any], rows: Sequence[Any], names: RowColumns) -> list[Any]:
    """The sequences of these rows, with what members read of the columns. Errors as `column_values`."""
    return list(map(row_with_columns, sequences, column_values(rows, names)))


def of_column(rows: Sequence[Any], name: str, names: RowColumns) -> list[NDArray[np.float32]]:
    """A column of converted rows as series of one step (1, 1): its numbers, or the numbers of its categories."""
    values: Any = [columns_of(row)[name] for row in rows]
    if name in names.categorical:
        values = np.unique(values, return_inverse=True)[1]
    return list(np.asarray(values, dtype=np.float32).reshape(-1, 1, 1))


def refuse_unread(rows: Sequence[Any], names: RowColumns) -> None:
    """Raise InputError for rows that carry columns where none is named: they would be ignored."""
    if not names and any(columns_of(row) is not None for row in rows):
        raise InputError("the rows carry columns: name those that the model reads in numeric and categorical")


def without_columns(frame: Any, names: RowColumns) -> Any:
    """A data frame without these columns; anything else as it is."""
    if not names or not is_frame(frame):
        return frame
    frame = readable(frame)
    every = list(map(str, frame_names(frame)))
    taken = {find_column(name, every) for name in names.names}
    kept = [name for name in frame_names(frame) if str(name) not in taken]
    select = getattr(frame, "select_columns", getattr(frame, "select", None))  # datasets; polars and PyArrow
    return frame[kept] if select is None else select(kept)


def column_values(rows: Sequence[Any], names: RowColumns) -> list[tuple[float | str, ...]]:
    """What members read of the columns of n rows: numbers, NaN for a missing one, then names of categories, "" for a
    missing one. Raises InputError that names row and column for a row without the column and a value of another type.
    """
    out = []
    for number, row in enumerate(rows):
        given = columns_of(row)
        if given is None:
            raise InputError(f"row {number}: the model reads the columns {names} too, and the row has none: {_HOW}")
        values: list[float | str] = []
        for name in names.names:
            if name not in given:
                raise InputError(f"row {number}: column {quote(name)} is missing, which the model reads: {_HOW}")
            try:
                convert = _category if len(values) >= len(names.numeric) else _number
                values.append(convert(given[name]))
            except InputError as error:
                raise InputError(f"row {number}: column {quote(name)} {error}") from None
        out.append(tuple(values))
    return out


def _number(value: Any) -> float:
    if is_missing(value):
        return math.nan
    if not is_real(value):
        hint = "; name it in categorical" if isinstance(value, str | bool | np.bool_) else ""
        raise InputError(f"must be a number, not {described(value)}{hint}")
    if not is_finite(value):
        raise InputError(f"must be a finite number, not {printable(value, 40)}")
    if abs(float(value)) > LARGEST:
        raise InputError(f"must be a number of at most {LARGEST:g}, not {printable(value, 40)}")
    return float(value)


def _category(value: Any) -> str:
    """The name of a category: 1, 1.0 and "1" are one, "" is a missing one."""
    if is_missing(value):
        return ""
    if not isinstance(value, str | bool | np.bool_ | Real):
        raise InputError(f"must be a text, a number or true/false, not {described(value)}")
    name = str(value).strip()
    whole = _WHOLE.fullmatch(name)
    return whole[1] if whole else name
