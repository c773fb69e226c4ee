"""What a user passes as inputs, as a list of texts or a list of series. What could be misread is an InputError.

A series is an array (steps, channels) float32, time first. The UCR/UEA archives and aeon have channels first; `layout`
says so. A three-dimensional array whose layout cannot be told is refused. A missing value is NaN, and the model's
preprocessor fills it; infinite values are refused.
"""

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import (
    described,
    find_column,
    frame_arrays,
    frame_columns,
    is_frame,
    is_missing,
    listed,
    not_a_text,
    texts_of,
)
from gatewise.data.schema import LARGEST
from gatewise.data.suspects import check_step_names
from gatewise.errors import InputError, counted, quote
from gatewise.system.files import file_named

Series = NDArray[np.float32]
Layout = Literal["time-first", "channels-first"]
"""Order of the last two dimensions: (n, steps, channels), or (n, channels, steps) as in aeon."""

_ROUNDED = 0.1  # of the standard deviation of a channel, that float32 may round
_NOISE = 1e-13  # of the largest value: of a constant, computed in float64
_SAY = "pass layout='time-first' for (n, steps, channels) or layout='channels-first' for (n, channels, steps)"


def convert_inputs(values: Any, *, name: str = "inputs", layout: str | None = None) -> list[Any]:
    """n series if the values are numbers in arrays or lists, else n texts: see `convert_series`, `convert_texts`."""
    rows = _container(values, name)
    if _are_series(rows):
        return list(convert_series(rows, name=name, layout=layout))
    if layout is not None:
        raise InputError(f"layout is for series, and {name} are texts")
    return convert_texts(rows, name=name)


def convert_texts(values: Any, *, name: str = "inputs", columns: Sequence[str] = ()) -> list[Any]:
    """n texts (str).

    values: a list, tuple, generator, NumPy array, pandas or polars Series, PyArrow array, or a data frame of one
    column. name: how messages call the values. columns: the text columns of a data frame, joined by a newline.

    Raises InputError that names the row for a missing text (None, NaN, NA) and a number or bytes among texts, and for a
    single text, bytes, a set, a dict, and a data frame of several columns.
    """
    if columns and is_frame(values):
        of_frame = frame_columns(values)
        return texts_of({column: of_frame[find_column(column, list(of_frame))] for column in columns})
    rows = convert_rows(values, name)
    for number, row in enumerate(rows):
        if type(row) is str:
            continue
        if not isinstance(row, str):
            raise InputError(f"{name}: row {number} {not_a_text(row)}")
        rows[number] = str(row)  # of numpy.str_
    return rows


def convert_series(
    values: Any, *, name: str = "inputs", layout: str | None = None, channels: int | None = None
) -> list[Series]:
    """n series (steps, channels) float32, where NaN is a missing value.

    values: in a container as in `convert_texts`, or as in `series_of`, which has layout, channels and the other errors.
    Raises InputError for a text among the series.
    """
    rows = _container(values, name)
    if isinstance(rows, list):
        for number, row in enumerate(rows):
            if isinstance(row, str | bytes):
                raise InputError(f"{name}: row {number} is {described(row)}, not a series of numbers")
    return series_of(rows, layout, channels)


def _container(values: Any, name: str) -> Any:
    """An array or a data frame as it is, any other container as a list."""
    if isinstance(values, np.ndarray) or is_frame(values):
        return values
    return convert_rows(values, name)


def refuse_file(inputs: Any, read: str = "read_texts([{!r}]).texts") -> None:
    """Raise InputError for the name of a file, given as one input. read: what reads it."""
    name = os.fspath(inputs) if isinstance(inputs, str | os.PathLike) else ""
    if not isinstance(name, str) or not name or not (what := file_named(name)):
        return
    raise InputError(
        f"{quote(inputs)} is {what}: pass what it holds, gatewise.data.{read.format(name)}; if it is the text, pass a "
        "list, or the text with a space at its end"
    )


def convert_rows(values: Any, name: str) -> list[Any]:
    """The rows of a container as a new list. Raises InputError for a container without rows or without an order."""
    if isinstance(values, str):
        if what := file_named(values):
            how = f"gatewise.data.read_{'folder' if what == 'a folder' else 'table'}({values!r})"
            raise InputError(f"{name}: {quote(values)} is {what}: pass what it holds, for example {how}")
        raise InputError(f"{name} must be a list of texts, not one text: pass [text]")
    if isinstance(values, bytes | bytearray | memoryview):
        raise InputError(f"{name} must be a list of texts, not bytes: decode them, and pass [text]")
    if isinstance(values, Mapping):
        raise InputError(f"{name}: a dict with keys {listed(values)}: pass one of its values, as a list")
    if isinstance(values, Set):
        raise InputError(f"{name}: a set has no order: pass a list")
    if isinstance(values, list | tuple):
        return list(values)
    if is_frame(values):
        columns = frame_columns(values)
        for column, cells in columns.items() if name != "labels" else ():
            of_numbers = len(cells) and hasattr(cells[0], "__array__") and np.asarray(cells[0]).dtype.kind in "fiu"
            if of_numbers and np.ndim(cells[0]):
                raise InputError(
                    f"{name}: a nested data frame: each cell of {quote(column, 40)} is {described(cells[0])}: pass an "
                    "array (n, channels, steps) with layout='channels-first', or a list of arrays (steps, channels)"
                )
        if len(columns) != 1:
            first = f", for example df[{next(iter(columns))!r}]" if columns else ""
            raise InputError(f"{name}: a data frame with columns {listed(columns)}: pass one column{first}")
        return next(iter(columns.values()))
    if isinstance(values, np.ndarray):
        if values.ndim == 0:
            raise InputError(f"{name} must be a list of texts or series, not a single value")
        if values.dtype.kind == "S":
            raise InputError(f"{name}: an array of bytes: decode it, for example with numpy.char.decode")
        if values.ndim != 1 and (values.ndim != 2 or values.shape[1] != 1):
            raise InputError(f"{name}: an array of shape {values.shape}: pass one column, (n,)")
        return list(values.ravel().tolist())
    for method in ("to_pylist", "to_list"):  # PyArrow; pandas and polars
        if hasattr(values, method):
            return list(getattr(values, method)())
    if not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of texts or series, not {described(values)}")
    if hasattr(values, "toarray"):
        raise InputError(f"{name}: a sparse matrix is neither texts nor series")
    return list(values)


def _are_series(rows: Any) -> bool:
    """Whether it is an array or a data frame of numbers, or its first row is an array or a list of numbers."""
    if is_frame(rows):  # of one series per row, if most of its columns hold numbers
        found = [next((one for one in column if not is_missing(one)), None) for column in frame_columns(rows).values()]
        numbers = sum(isinstance(one, int | float | np.number) or one is None for one in found)
        return len(found) > 1 and 2 * numbers > len(found)
    if isinstance(rows, np.ndarray) and rows.dtype.kind != "O":
        return rows.ndim > 1 and rows.dtype.kind not in "UTS"
    row = next(iter(rows), None)
    if not hasattr(row, "__len__") or isinstance(row, str | bytes | Mapping | Set):
        return False
    while isinstance(row, list | tuple) and row:
        row = row[0]
    return not isinstance(row, str | bytes)


def series_of(inputs: Any, layout: str | None = None, channels: int | None = None) -> list[Series]:
    """n series (steps, channels) from any form that a user may pass.

    inputs: an array (n, steps), n series of one channel; an array (n, steps, channels); a data frame of one series per
    row; or an iterable of n arrays, lists or data frames, each (steps,) or (steps, channels), of any lengths. layout:
    see `Layout`; without it an array is refused that may have channels first, which is one with fewer rows than columns
    per series. channels: the number of channels of a model: one series (steps,) or (steps, channels) is then taken too,
    and the number decides about the layout.

    Raises InputError naming row and step (both from 0) for values that are complex, boolean, infinite or not numbers,
    an empty series, different numbers of channels, and an ambiguous layout.
    """
    if layout is not None and layout not in get_args(Layout):
        raise InputError(f"layout must be {' or '.join(map(repr, get_args(Layout)))}, not {quote(layout)}")
    if isinstance(inputs, str | bytes | dict | set | frozenset):
        raise InputError(f"the series must be an array or a list of arrays, not a {type(inputs).__name__}")
    dtype = getattr(inputs, "dtype", None)
    arrays = isinstance(dtype, np.dtype) and dtype.kind == "O" and inputs.ndim == 1  # as a column of a data frame
    if not arrays and (is_frame(inputs) or hasattr(inputs, "__array__")):
        return _from_array(_numbers(inputs, None, layout), layout, channels)
    rows = list(inputs) if isinstance(inputs, Iterable) else [inputs]
    if not arrays and rows and all(isinstance(row, int | float | complex | np.generic | None) for row in rows):
        return _from_array(_numbers(rows, None), layout, channels)  # a list of numbers
    return _from_rows(rows, layout, channels)


def one_series(item: Any, channels: int) -> Series:
    """One series (steps, channels) from an array, list or data frame (steps,) or (steps, channels).

    Raises InputError for another shape. Other errors as `series_of`.
    """
    array = _numbers(item, 0).astype(np.float32)
    if array.ndim == 1 and channels == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != channels or not len(array):
        shape = f"(steps, {channels})" + (" or (steps,)" if channels == 1 else "")
        swapped = array.ndim == 2 and array.shape[0] == channels
        hint = "; it seems to have channels first: transpose it" if swapped else ""
        raise InputError(f"one series must be {shape}, got {array.shape}{hint}")
    return array


def describe_series(inputs: Sequence[Series]) -> str:
    """Channels, steps and missing values in words: "2 channels, 30 to 90 steps, 17 of 4,120 values missing"."""
    lengths = [len(series) for series in inputs]
    low, high, channels = min(lengths), max(lengths), inputs[0].shape[1]
    steps = counted(high, "step") if low == high else f"{low:,} to {high:,} steps"
    missing = sum(int(np.isnan(series).sum()) for series in inputs)
    more = f", {missing:,} of {counted(sum(lengths) * channels, 'value')} missing" if missing else ""
    return f"{counted(channels, 'channel')}, {steps}{more}"


def _from_array(array: NDArray[Any], layout: str | None, channels: int | None) -> list[Series]:
    if array.ndim == 1 and channels is None:
        steps = counted(len(array), "step")
        raise InputError(f"got one series of {steps}; pass several: (n, steps) or a list of arrays")
    if channels is not None and (array.ndim == 1 or (array.ndim == 2 and channels > 1)):
        return [one_series(array.T if layout == "channels-first" else array, channels)]
    if array.ndim not in (2, 3):
        raise InputError(f"series must be (n, steps) or (n, steps, channels), got an array {array.shape}")
    if not array.size:
        array = array[:1]  # all series are empty, and the first one is refused: there can be more than fit into memory
    if array.ndim == 2 and array.shape[1] == 1 and len(array) > 1 and layout is None:
        n = len(array)
        raise InputError(
            f"an array ({n}, 1) is {n} series of one step or one series of {n} steps: pass X[None] for one series, "
            "or layout='time-first' for series of one step"
        )
    if array.ndim == 3 and layout is None and channels is not None and array.shape[1] == channels:
        look = "may have" if array.shape[2] == channels else "seems to have"
        has = f"the model has {counted(channels, 'channel')}"
        raise InputError(f"an array {array.shape} {look} channels first ({has}): {_SAY}")
    return _from_rows(list(array), layout, channels)


def _from_rows(rows: list[Any], layout: str | None, channels: int | None) -> list[Series]:
    found = [_numbers(row, number, layout) for number, row in enumerate(rows)]
    frames = [is_frame(row) for row in rows]
    for number, array in enumerate(found):
        if array.ndim not in (1, 2):
            raise InputError(f"row {number} must be (steps,) or (steps, channels), got {array.shape}")
    shapes = [array.shape for array, frame in zip(found, frames, strict=True) if array.ndim == 2 and not frame]
    if shapes and layout is None and channels is None:
        first, second = ({shape[axis] for shape in shapes} for axis in (0, 1))
        if len(first) == 1 and (len(second) > 1 or max(first) <= max(second)) and second != {1}:
            raise InputError(f"arrays {shapes[0]} may have channels first: {_SAY}")
    out: list[NDArray[Any]] = []
    for number, (array, frame) in enumerate(zip(found, frames, strict=True)):
        if array.ndim == 1:
            array = array[:, None]
        elif layout == "channels-first" and not frame:
            array = np.ascontiguousarray(array.T)
        out.append(array)
        expected = channels if channels is not None else out[0].shape[1]
        if not array.size:
            raise InputError(f"row {number} is an empty series: (steps, channels) = {array.shape}")
        if array.shape[1] != expected:
            whose = f"row 0 has {expected}" if channels is None else f"the model reads {expected}"
            look = "; it seems to have channels first" if array.shape[0] == expected else ""
            has = counted(array.shape[1], "channel")
            raise InputError(f"row {number} has {has}, but {whose}{look}; a series is (steps, channels)")
    return rounded(out) if channels is None else [one.astype(np.float32) for one in out]


def _numbers(values: Any, row: int | None, layout: str | None = None) -> NDArray[Any]:
    """As an array of numbers that float32 can hold. row: of the series, None if `values` holds all of them."""
    array: Any = values
    if is_frame(values):
        columns = frame_arrays(values)
        check_step_names(columns)
        for name, column in columns.items():
            if column.dtype.kind == "O" and all(value is None or type(value) in (int, float) for value in column):
                columns[name] = column = column.astype(np.float64)  # None is a missing value
            if column.dtype.kind not in "fiu":
                texts = f"; if it has the texts, pass it alone, df[{name!r}]" if column.dtype.kind in "OU" else ""
                raise InputError(
                    f"column {quote(name, 40)} of the data frame holds {_held(column)}, not numbers: convert it, or "
                    f"leave it out{texts}"
                )
        array = np.stack(list(columns.values()), axis=1) if columns else np.zeros((len(values), 0))
    if isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(np.float64), np.nan) if array.dtype.kind in "fiu" else array.data
    where = "the series" if row is None else f"row {row}"
    if _has_boolean(array):  # which NumPy reads as 1 among numbers
        raise InputError(f"{where}: series must be real numbers, got boolean values")
    try:
        array = np.asarray(array)
    except (TypeError, ValueError):
        raise InputError(f"{where}: neither an array nor equally long lists of numbers") from None
    kind = array.dtype.kind
    if kind == "O":
        for place, value in np.ndenumerate(array):
            if isinstance(value, bool | np.bool_ | complex) or not isinstance(value, int | float | np.number):
                hint = "; a missing value is NaN" if value is None else ""
                raise InputError(f"{_where(row, place, layout)}: {quote(value, 40)} is not a number{hint}")
            if isinstance(value, int) and abs(value) > LARGEST:
                raise InputError(f"{_where(row, place, layout)}: {quote(value, 40)} is too large for float32")
        array = array.astype(np.float64)
    elif kind not in "fiu":
        word = {"c": "complex numbers", "b": "boolean values", "U": "texts", "S": "bytes"}.get(kind, f"{array.dtype}")
        raise InputError(f"{where}: series must be real numbers, got {word}")
    if (bad := ~np.isfinite(array) & ~np.isnan(array)).any() or (bad := np.abs(array) > LARGEST).any():
        place = tuple(int(n) for n in np.argwhere(bad)[0])
        big = np.isfinite(array[place])
        raise InputError(
            f"{_where(row, place, layout)}: {array[place]} is {'too large for float32' if big else 'not finite'}"
        )
    return np.asarray(array)


def _has_boolean(values: Any) -> bool:
    """Whether a boolean is among the numbers of lists."""
    if not isinstance(values, list | tuple):
        return isinstance(values, bool | np.bool_)
    return any(map(_has_boolean, values))


def _held(column: NDArray[Any]) -> str:
    """What a column holds that has no numbers."""
    kinds = {"M": "dates", "m": "durations", "b": "True and False", "U": "texts", "S": "bytes"}
    first = next((one for one in column.tolist() if not is_missing(one)), None)
    return kinds.get(column.dtype.kind) or (f"{column.dtype}" if first is None else described(first))


def rounded(series: Sequence[NDArray[Any]]) -> list[Series]:
    """Series (steps, channels) as float32. Raises InputError for a channel whose values differ by less than float32
    keeps apart: 100,000,000 and 100,000,001 would be equal.
    """
    if all(one.dtype == np.float32 for one in series):
        return list(series)
    out = [one.astype(np.float32) for one in series]
    exact = np.concatenate([one.reshape(-1, one.shape[-1]) for one in series]).astype(np.float64)  # (N, channels)
    errors = np.concatenate(out) - exact
    for channel, (values, lost) in enumerate(zip(exact.T, errors.T, strict=True)):
        known = ~np.isnan(values)
        peak, error = np.abs(values[known]).max(initial=0), np.abs(lost[known]).max(initial=0)
        spread = (values[known] - values[known][:1]).std() if error else 0.0
        if _NOISE * peak < spread < error / _ROUNDED:
            raise InputError(
                f"channel {channel}: values near {peak:.3g} differ by about {spread:.3g}, and float32 keeps "
                f"{float(np.spacing(np.float32(peak))):.3g} apart: subtract an offset from this channel first"
            )
    return out


def _where(row: int | None, place: tuple[int, ...], layout: str | None) -> str:
    """A place in the inputs, in words: of several series, or of one alone. Rows and channels count from 0, as in an
    array, steps from 1.
    """
    row, *rest = place if row is None else (row, *place)
    if not rest:
        return f"step {row + 1}"
    step, *channel = reversed(rest) if layout == "channels-first" else rest
    names = [f"row {row}", f"step {step + 1}", *(f"channel {number}" for number in channel)]
    return ", ".join(names)
