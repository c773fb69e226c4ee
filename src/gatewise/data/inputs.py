"""What a user passes as inputs, as a list of texts or a list of series. Whatever could be misread is an InputError.

pandas, polars and PyArrow objects are recognised without importing these packages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import frame_columns, is_frame
from gatewise.data.series import series_of
from gatewise.errors import InputError, quote

Kind = Literal["text", "series"]


def convert_inputs(
    values: Any,
    kind: Kind | None = None,
    *,
    name: str = "inputs",
    layout: str | None = None,
    channels: int | None = None,
) -> list[Any]:
    """n texts (str), or n series: arrays (steps, channels) float32, where NaN is a missing value.

    values: a list, tuple, generator, NumPy array, pandas or polars Series, PyArrow array, or a data frame of one
    column; for series see `gatewise.data.series.series_of`. kind: what a model reads; None: numbers in arrays or lists
    are series, everything else is texts. name: how messages call the values. layout, channels: as in `series_of`.

    Raises InputError that names the row for a missing text (None, NaN, NA) and a number or bytes among texts, and for a
    single text, bytes, a set, a dict, and a data frame of several columns. Errors of series as `series_of`.
    """
    rows = values if isinstance(values, np.ndarray) or is_frame(values) else convert_rows(values, name)
    if kind is None:
        kind = "series" if _are_series(rows) else "text"
    if kind == "series":
        if isinstance(rows, list):
            for number, row in enumerate(rows):
                if isinstance(row, str | bytes):
                    raise InputError(f"{name}: row {number} is {described(row)}, not a series of numbers")
        return list(series_of(rows, layout, channels))
    if layout is not None:
        raise InputError(f"layout is for series, and {name} are texts")
    rows = convert_rows(rows, name)
    for number, row in enumerate(rows):
        if type(row) is not str:
            if not isinstance(row, str):
                raise InputError(f"{name}: row {number} {_not_a_text(row)}")
            rows[number] = str(row)  # of numpy.str_
    return rows


def convert_rows(values: Any, name: str) -> list[Any]:
    """The rows of a container as a new list. Raises InputError for a container without rows or without an order."""
    if isinstance(values, str):
        raise InputError(f"{name} must be a list of texts, not one text: pass [text]")
    if isinstance(values, bytes | bytearray | memoryview):
        raise InputError(f"{name} must be a list of texts, not bytes: decode them, and pass [text]")
    if isinstance(values, Mapping):
        raise InputError(f"{name}: a dict with keys {_names(values)}: pass one of its values, as a list")
    if isinstance(values, Set):
        raise InputError(f"{name}: a set has no order: pass a list")
    if isinstance(values, list | tuple):
        return list(values)
    if is_frame(values):
        columns = frame_columns(values)
        if len(columns) != 1:
            first = f", for example df[{next(iter(columns))!r}]" if columns else ""
            raise InputError(f"{name}: a data frame with columns {_names(columns)}: pass one column{first}")
        return next(iter(columns.values()))
    if isinstance(values, np.ndarray):
        return _array_rows(values, name)
    for method in ("to_pylist", "to_list"):  # PyArrow; pandas and polars
        if hasattr(values, method):
            return list(getattr(values, method)())
    if not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of texts or series, not {described(values)}")
    if hasattr(values, "toarray"):
        raise InputError(f"{name}: a sparse matrix is neither texts nor series")
    return list(values)


def is_finite(number: Any) -> bool:
    """Whether the number is one of float64: neither NaN nor infinite, nor a whole number above 1e308."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def is_missing(value: Any) -> bool:
    """Whether it is None, NaN, pandas.NA or NaT."""
    if value is None:
        return True
    if hasattr(value, "__len__"):  # a text, a list, an array
        return False
    if type(value).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return True
    return bool(value != value)


def _array_rows(values: NDArray[Any], name: str) -> list[Any]:
    if values.ndim == 0:
        raise InputError(f"{name} must be a list of texts or series, not a single value")
    if values.dtype.kind == "S":
        raise InputError(f"{name}: an array of bytes: decode it, for example with numpy.char.decode")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise InputError(f"{name}: an array of shape {values.shape}: pass one column, (n,)")
    rows: list[Any] = values.tolist()
    return rows


def _are_series(rows: Any) -> bool:
    """Whether it is an array or a data frame of numbers, or its first row is an array or a list of numbers."""
    if is_frame(rows):
        first = [column[:1] for column in frame_columns(rows).values()]
        return len(first) > 1 and all(
            isinstance(value, int | float | np.number) for column in first for value in column
        )
    if isinstance(rows, np.ndarray) and rows.dtype.kind != "O":
        return rows.ndim > 1 and rows.dtype.kind not in "UTS"
    row = next(iter(rows), None)
    if not hasattr(row, "__len__") or isinstance(row, str | bytes | Mapping | Set):
        return False
    while isinstance(row, list | tuple) and row:
        row = row[0]
    return not isinstance(row, str | bytes)


def _not_a_text(row: Any) -> str:
    if is_missing(row):
        return f"is missing ({missing_name(row)}): leave such rows out, or replace them by a text"
    return f"is {described(row)}, not a text"


def missing_name(value: Any) -> str:
    """A missing value as a user writes it: None, NaN, NA."""
    return {"NoneType": "None", "NAType": "NA", "NaTType": "NaT"}.get(type(value).__name__, "NaN")


def described(value: Any) -> str:
    """What a value is, for messages: a number (7), a list, bytes."""
    if isinstance(value, bool | np.bool_):
        return f"{bool(value)}"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, int | float | complex | np.number):
        return f"a number ({quote(value, 30)[1:-1]})"
    if isinstance(value, str):
        return f"a text ({quote(value, 30)})"
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def _names(keys: Iterable[Any]) -> str:
    names = [quote(key)[1:-1] for key in keys]
    return ", ".join(names[:10]) + (f", … ({len(names)} in all)" if len(names) > 10 else "")
