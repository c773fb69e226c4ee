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
from gatewise.ragged import Ragged
from gatewise.system.files import file_named

Series = NDArray[np.float32]
Layout = Literal["time-first", "channels-first"]
"""Order of the last two dimensions: (n, steps, channels), or (n, channels, steps) as in aeon."""

_LAYOUTS = get_args(Layout)
_FILE_NAMES = (str, os.PathLike)  # a tuple: `str | os.PathLike` would be made at each call
_CONSTANT = 1e-13
"""A channel is constant if its values vary by less than this share of the largest one, the rounding of float64."""
_MAX_ROUNDING = 0.1
"""The share of the standard deviation of a channel that float32 may round."""
_LAYOUT_HINT = "pass layout='time-first' for (n, steps, channels) or layout='channels-first' for (n, channels, steps)"


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
        cells = frame_columns(values)
        return texts_of({column: cells[find_column(column, list(cells))] for column in columns})
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
    if not isinstance(inputs, _FILE_NAMES):
        return
    name = os.fspath(inputs)
    if not isinstance(name, str) or not name:
        return
    what = file_named(name)
    if what:
        raise InputError(
            f"{quote(inputs)} is {what}: pass what it holds, gatewise.data.{read.format(name)}; if it is the text, "
            "pass a list, or the text with a space at its end"
        )


def convert_rows(values: Any, name: str) -> list[Any]:
    """The rows of a container as a new list. Raises InputError for a container without rows or without an order."""
    if isinstance(values, str):
        raise InputError(_one_text(values, name))
    if isinstance(values, bytes | bytearray | memoryview):
        raise InputError(f"{name} must be a list of texts, not bytes: decode them, and pass [text]")
    if isinstance(values, Mapping):
        raise InputError(f"{name}: a dict with keys {listed(values)}: pass one of its values, as a list")
    if isinstance(values, Set):
        raise InputError(f"{name}: a set has no order: pass a list")
    if isinstance(values, list | tuple):
        return list(values)
    if is_frame(values):
        return _only_column(values, name)
    if isinstance(values, np.ndarray):
        return _rows_of_array(values, name)
    if hasattr(values, "to_pylist"):  # PyArrow
        return list(values.to_pylist())
    if hasattr(values, "to_list"):  # pandas and polars
        return list(values.to_list())
    if not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of texts or series, not {described(values)}")
    if hasattr(values, "toarray"):
        raise InputError(f"{name}: a sparse matrix is neither texts nor series")
    return list(values)


def _one_text(text: str, name: str) -> str:
    """Why one text is not a list of rows, and what to pass."""
    what = file_named(text)
    if not what:
        return f"{name} must be a list of texts, not one text: pass [text]"
    reader = "read_folder" if what == "a folder" else "read_table"
    return f"{name}: {quote(text)} is {what}: pass what it holds, for example gatewise.data.{reader}({text!r})"


def _only_column(frame: Any, name: str) -> list[Any]:
    """The cells of a data frame of one column."""
    columns = frame_columns(frame)
    if name != "labels":  # the labels of a row may be an array
        for column, cells in columns.items():
            if len(cells) and _is_series(cells[0]):
                raise InputError(
                    f"{name}: a nested data frame: each cell of {quote(column, 40)} is {described(cells[0])}: pass an "
                    "array (n, channels, steps) with layout='channels-first', or a list of arrays (steps, channels)"
                )
    if len(columns) != 1:
        example = f", for example df[{next(iter(columns))!r}]" if columns else ""
        raise InputError(f"{name}: a data frame with columns {listed(columns)}: pass one column{example}")
    return next(iter(columns.values()))


def _is_series(cell: Any) -> bool:
    """Whether a cell of a data frame is an array of numbers or a Series, as in the nested data frames of sktime."""
    if not hasattr(cell, "__array__"):
        return False
    array = np.asarray(cell)
    return array.dtype.kind in "fiu" and array.ndim > 0


def _rows_of_array(array: NDArray[Any], name: str) -> list[Any]:
    """The values of an array (n,) or (n, 1)."""
    if array.ndim == 0:
        raise InputError(f"{name} must be a list of texts or series, not a single value")
    if array.dtype.kind == "S":
        raise InputError(f"{name}: an array of bytes: decode it, for example with numpy.char.decode")
    if array.shape[1:] not in ((), (1,)):
        raise InputError(f"{name}: an array of shape {array.shape}: pass one column, (n,)")
    return list(array.ravel().tolist())


def _are_series(rows: Any) -> bool:
    """Whether it is an array or a data frame of numbers, or its first row is an array or a list of numbers."""
    if is_frame(rows):
        return _has_series_in_rows(rows)
    if isinstance(rows, np.ndarray) and rows.dtype.kind != "O":
        return rows.ndim > 1 and rows.dtype.kind not in "UTS"
    value = next(iter(rows), None)
    if not hasattr(value, "__len__") or isinstance(value, str | bytes | Mapping | Set):
        return False
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return not isinstance(value, str | bytes)


def _has_series_in_rows(frame: Any) -> bool:
    """Whether each row of a data frame is a series: it has several columns, and most of them hold numbers."""
    columns = list(frame_columns(frame).values())
    n_numeric = sum(map(_is_numeric, columns))
    return len(columns) > 1 and 2 * n_numeric > len(columns)


def _is_numeric(cells: Sequence[Any]) -> bool:
    """Whether the first cell that is not missing is a number, or all are missing."""
    first = next((cell for cell in cells if not is_missing(cell)), None)
    return first is None or isinstance(first, int | float | np.number)


def series_of(inputs: Any, layout: str | None = None, channels: int | None = None) -> list[Series]:
    """n series (steps, channels): what `ragged_series` returns, one array per series."""
    return list(ragged_series(inputs, layout, channels))


def ragged_series(inputs: Any, layout: str | None = None, channels: int | None = None) -> Ragged:
    """n series, values (N, channels) float32, from any form that a user may pass. The values of a float32 array are not
    copied.

    inputs: an array (n, steps), n series of one channel; an array (n, steps, channels); a data frame of one series per
    row; or an iterable of n arrays, lists or data frames, each (steps,) or (steps, channels), of any lengths. layout:
    see `Layout`; a data frame of one series has a step per row, whatever the layout. Without it, an array that may have
    channels first is refused: one with no more rows than columns per series. channels: the number of channels of a
    model. With it, one series (steps,) or (steps, channels) is taken too, and the number decides about the layout.

    Raises InputError naming row and step (rows from 0, steps from 1) for values that are complex, boolean, infinite or
    not numbers, an empty series, different numbers of channels, and an ambiguous layout.
    """
    if layout is not None and layout not in _LAYOUTS:
        raise InputError(f"layout must be {' or '.join(map(repr, _LAYOUTS))}, not {quote(layout)}")
    if _is_plain(inputs):
        return _from_array(inputs, layout, channels)
    if isinstance(inputs, str | bytes | dict | set | frozenset):
        raise InputError(f"the series must be an array or a list of arrays, not a {type(inputs).__name__}")
    if _is_array_of_objects(inputs):  # as a column of a data frame, of one series per cell
        return _from_rows(list(inputs), layout, channels)
    if is_frame(inputs) or hasattr(inputs, "__array__"):
        return _from_array(inputs, layout, channels)
    rows = list(inputs) if isinstance(inputs, Iterable) else [inputs]
    is_list_of_numbers = rows and all(isinstance(row, int | float | complex | np.generic | None) for row in rows)
    if is_list_of_numbers:
        return _from_array(rows, layout, channels)
    return _from_rows(rows, layout, channels)


def _is_plain(values: Any) -> bool:
    """Whether it is an array of numbers, which needs no conversion."""
    return type(values) is np.ndarray and values.dtype.kind in "fiu"


def _is_array_of_objects(inputs: Any) -> bool:
    dtype = getattr(inputs, "dtype", None)
    return isinstance(dtype, np.dtype) and dtype.kind == "O" and inputs.ndim == 1


def one_series(item: Any, channels: int) -> Series:
    """One series (steps, channels) from an array, list or data frame (steps,) or (steps, channels).

    Raises InputError for another shape. Other errors as `series_of`.
    """
    array = _array_of(item, "row 0")
    array = _real_numbers(array, _axes_of_series(array.ndim), row=0).astype(np.float32)
    if array.ndim == 1 and channels == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != channels or not len(array):
        shape = f"(steps, {channels})" + (" or (steps,)" if channels == 1 else "")
        is_transposed = array.ndim == 2 and array.shape[0] == channels
        hint = "; it seems to have channels first: transpose it" if is_transposed else ""
        raise InputError(f"one series must be {shape}, got {array.shape}{hint}")
    return array


def describe_series(inputs: Sequence[Series]) -> str:
    """Channels, steps and missing values in words: "2 channels, 30 to 90 steps, 17 of 4,120 values missing"."""
    channels = inputs[0].shape[1]
    lengths = [len(series) for series in inputs]
    shortest = min(lengths)
    longest = max(lengths)
    steps = counted(longest, "step") if shortest == longest else f"{shortest:,} to {longest:,} steps"
    description = f"{counted(channels, 'channel')}, {steps}"
    missing = sum(int(np.isnan(series).sum()) for series in inputs)
    if missing:
        description += f", {missing:,} of {counted(sum(lengths) * channels, 'value')} missing"
    return description


def _from_array(values: Any, layout: str | None, channels: int | None) -> Ragged:
    """The series of an array, of a data frame of one series per row, or of a list of numbers."""
    array = values if _is_plain(values) else _array_of(values, "the series")
    channels_first = layout == "channels-first" and not is_frame(values)
    # A model of several channels reads (steps, channels) as one series, as n series would have one channel.
    is_one_series = array.ndim == 1 or (array.ndim == 2 and channels is not None and channels > 1)
    axes = _axes_of_series(array.ndim, channels_first) if is_one_series else _axes_of_many(array.ndim, channels_first)
    is_float32 = array.dtype == np.float32  # then the series themselves know whether all values are finite
    if is_one_series or not is_float32:
        array = _real_numbers(array, axes)
    if is_one_series:
        if channels is None:
            steps = counted(len(array), "step")
            raise InputError(f"got one series of {steps}; pass several: (n, steps) or a list of arrays")
        series = one_series(array.T if channels_first else array, channels)
        return Ragged(series, np.array([len(series)], dtype=np.intp))
    numbers = array
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
        verb = "may have" if array.shape[2] == channels else "seems to have"
        reason = f"the model has {counted(channels, 'channel')}"
        raise InputError(f"an array {array.shape} {verb} channels first ({reason}): {_LAYOUT_HINT}")
    if layout is None and channels is None:
        _refuse_unclear_layout(list(array[:1]))
    if array.ndim == 2:
        array = array[:, :, None]
    elif channels_first:
        array = array.transpose(0, 2, 1)
    count, steps, width = array.shape
    if count:
        _check_row(array[0], 0, channels)
    many = Ragged(array.reshape(count * steps, width), np.full(count, steps, dtype=np.intp))
    if is_float32 and not many.is_finite:
        _real_numbers(numbers, axes)
    return _as_float32(many, channels)


def _from_rows(rows: list[Any], layout: str | None, channels: int | None) -> Ragged:
    """The series of each row: an array, a list or a data frame."""
    # A data frame has a step per row, whatever the layout.
    channels_first = [layout == "channels-first" and not is_frame(row) for row in rows]
    arrays: list[NDArray[Any]] = []
    for number, row in enumerate(rows):
        array = row
        if not _is_plain(row):
            array = _array_of(row, f"row {number}")
        if array.dtype.kind == "O":
            array = _real_numbers(array, _axes_of_series(array.ndim, channels_first[number]), number)
        arrays.append(array)
    for number, array in enumerate(arrays):
        if array.ndim not in (1, 2):
            raise InputError(f"row {number} must be (steps,) or (steps, channels), got {array.shape}")
    if layout is None and channels is None:
        _refuse_unclear_layout([array for array, row in zip(arrays, rows, strict=True) if not is_frame(row)])
    series: list[NDArray[Any]] = []
    for number, array in enumerate(arrays):
        if array.ndim == 1:
            array = array[:, None]
        elif channels_first[number]:
            array = array.T
        series.append(array)
        _check_row(array, number, channels or series[0].shape[1], "the model reads" if channels else "row 0 has")
    if not series:
        return Ragged(np.zeros((0, channels or 1), np.float32), np.zeros(0, dtype=np.intp))
    ragged = Ragged.of(series)
    _check_numbers(ragged)
    return _as_float32(ragged, channels)


def _check_row(array: NDArray[Any], number: int, channels: int | None, source: str = "the model reads") -> None:
    """Raise InputError for a series without a value or with another number of channels, where that is known."""
    if not array.size:
        raise InputError(f"row {number} is an empty series: (steps, channels) = {array.shape}")
    if channels is not None:
        _check_channels(array, number, channels, source)


def _as_float32(series: Ragged, channels: int | None) -> Ragged:
    """The series as float32; of training rows, whose model has no channels yet, as `rounded` does."""
    if channels is None:
        return series.with_values(_rounded_values(series.values))
    # `rounded` has checked the training rows of the model, whose channels these are.
    if series.dtype == np.float32:
        return series
    return series.with_values(series.values.astype(np.float32, copy=False))


def _refuse_unclear_layout(arrays: Sequence[NDArray[Any]]) -> None:
    """Raise InputError for arrays (a, b) that may be (channels, steps).

    The channels of all series are as many, and mostly fewer than the steps. So `a` may be their number where it is
    equal in all arrays, and `b` either varies or is at least as large. (steps, 1) is a series of one channel.
    """
    shapes = [array.shape for array in arrays if array.ndim == 2]
    firsts = {shape[0] for shape in shapes}
    seconds = {shape[1] for shape in shapes}
    if len(firsts) != 1 or seconds == {1}:
        return
    if len(seconds) > 1 or max(firsts) <= max(seconds):
        raise InputError(f"arrays {shapes[0]} may have channels first: {_LAYOUT_HINT}")


def _check_channels(array: NDArray[Any], number: int, expected: int, source: str) -> None:
    """Raise InputError unless the series of a row has the expected number of channels. source: where it is from."""
    steps, channels = array.shape
    if channels == expected:
        return
    hint = "; it seems to have channels first" if steps == expected else ""
    raise InputError(
        f"row {number} has {counted(channels, 'channel')}, but {source} {expected}{hint}; a series is (steps, channels)"
    )


def _array_of(values: Any, where: str) -> NDArray[Any]:
    """An array of integers, floats or objects. Raises InputError for anything else. where: in its messages."""
    array: Any = values
    if is_frame(values):
        array = _array_of_frame(values)
    if isinstance(array, np.ma.MaskedArray):
        array = np.ma.filled(array.astype(np.float64), np.nan) if array.dtype.kind in "fiu" else array.data
    if _has_boolean(array):  # which NumPy reads as 1 among numbers
        raise InputError(f"{where}: series must be real numbers, got boolean values")
    try:
        array = np.asarray(array)
    except (TypeError, ValueError):
        raise InputError(f"{where}: neither an array nor equally long lists of numbers") from None
    except RuntimeError as error:  # of a tensor of PyTorch that requires grad: it says what to write
        raise InputError(f"{where}: {quote(error, 200)}") from None
    kind = array.dtype.kind
    if kind not in "fiuO":
        nouns = {"c": "complex numbers", "b": "boolean values", "U": "texts", "S": "bytes"}
        raise InputError(f"{where}: series must be real numbers, got {nouns.get(kind, str(array.dtype))}")
    return np.asarray(array)


def _array_of_frame(frame: Any) -> NDArray[Any]:
    """The array (rows, columns) of a data frame. Raises InputError for a column that does not hold numbers."""
    columns = frame_arrays(frame)
    check_step_names(columns)
    numbers = []
    for name, column in columns.items():
        if column.dtype.kind == "O" and all(value is None or type(value) in (int, float) for value in column):
            column = column.astype(np.float64)  # None is a missing value
        if column.dtype.kind not in "fiu":
            hint = f"; if it has the texts, pass it alone, df[{name!r}]" if column.dtype.kind in "OU" else ""
            raise InputError(
                f"column {quote(name, 40)} of the data frame holds {_content(column)}, not numbers: convert it, or "
                f"leave it out{hint}"
            )
        numbers.append(column)
    return np.stack(numbers, axis=1) if numbers else np.zeros((len(frame), 0))


def _content(column: NDArray[Any]) -> str:
    """What a column without numbers holds."""
    nouns = {"M": "dates", "m": "durations", "b": "True and False", "U": "texts", "S": "bytes"}
    if column.dtype.kind in nouns:
        return nouns[column.dtype.kind]
    first = next((cell for cell in column.tolist() if not is_missing(cell)), None)
    return f"{column.dtype}" if first is None else described(first)


def _has_boolean(values: Any) -> bool:
    """Whether a boolean is among the numbers of lists."""
    if not isinstance(values, list | tuple):
        return isinstance(values, bool | np.bool_)
    return any(map(_has_boolean, values))


def _real_numbers(array: NDArray[Any], axes: Sequence[str], row: int | None = None) -> NDArray[Any]:
    """The array as numbers that float32 can hold. axes: the names of its dimensions; row: whose series it is, None for
    an array of all series. Raises InputError that names the place of another value.
    """
    if array.dtype.kind == "O":
        for index, value in np.ndenumerate(array):
            if isinstance(value, bool | np.bool_ | complex) or not isinstance(value, int | float | np.number):
                hint = "; a missing value is NaN" if value is None else ""
                raise InputError(f"{_place(index, axes, row)}: {quote(value, 40)} is not a number{hint}")
            if isinstance(value, int) and abs(value) > LARGEST:
                raise InputError(f"{_place(index, axes, row)}: {quote(value, 40)} is too large for float32")
        array = array.astype(np.float64)
    if not _fits_float32(array):
        index = _first_unfit(array)
        raise InputError(f"{_place(index, axes, row)}: {_why_unfit(array[index])}")
    return array


def _check_numbers(series: Ragged) -> None:
    """Raise InputError that names the place of a value that float32 cannot hold."""
    values = series.values
    if _fits_float32(values):
        return
    index = _first_unfit(values)
    row, step = series.place(index[0])
    axes: tuple[str, ...] = ("step", "channel")
    if values.shape[1] == 1:
        axes = ("step",)
    raise InputError(f"{_place((step, *index[1:]), axes, row)}: {_why_unfit(values[index])}")


def _fits_float32(array: NDArray[Any]) -> bool:
    """Whether each value is a number that float32 can hold, or NaN."""
    if array.dtype.kind != "f":
        return True  # the largest whole number of NumPy is below LARGEST
    if array.dtype == np.float16:
        return not np.isinf(array).any()  # LARGEST is infinite in float16, and nothing is above it
    return not (np.abs(array) > LARGEST).any()


def _first_unfit(array: NDArray[Any]) -> tuple[int, ...]:
    """The index of the first infinite value, or else of the first one that is too large for float32."""
    is_infinite = np.isinf(array)
    if is_infinite.any():
        return _first_index(is_infinite)
    return _first_index(np.abs(array) > LARGEST)


def _why_unfit(value: Any) -> str:
    if np.isinf(value):
        return f"{value} is not finite"
    return f"{value} is too large for float32"


def _first_index(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """The index of the first true value."""
    return tuple(int(k) for k in np.argwhere(mask)[0])


def _axes_of_series(ndim: int, channels_first: bool = False) -> tuple[str, ...]:
    """The names of the dimensions of one series."""
    if ndim == 1:
        return ("step",)
    return ("channel", "step") if channels_first else ("step", "channel")


def _axes_of_many(ndim: int, channels_first: bool = False) -> tuple[str, ...]:
    """The names of the dimensions of an array of series."""
    return ("row", *_axes_of_series(ndim - 1, channels_first))


def _place(index: Sequence[int], axes: Sequence[str], row: int | None) -> str:
    """The place of a value, in words: "row 3, step 5, channel 1". Rows count from 0, steps and channels from 1, as on
    the page. Dimensions without a name are left out.
    """
    numbers = dict(zip(axes, index, strict=False))
    if row is not None:
        numbers["row"] = row
    for axis in ("step", "channel"):
        if axis in numbers:
            numbers[axis] += 1
    return (
        ", ".join(f"{axis} {numbers[axis]}" for axis in ("row", "step", "channel") if axis in numbers) or "the series"
    )


def rounded(series: Sequence[NDArray[Any]]) -> list[Series]:
    """Series (steps, channels) as float32. Raises InputError for a channel whose values differ by less than float32
    keeps apart: 100,000,000 and 100,000,001 would be equal.
    """
    if all(array.dtype == np.float32 for array in series):
        return list(series)
    ragged = Ragged.of(series)
    return list(ragged.with_values(_rounded_values(ragged.values)))


def _rounded_values(values: NDArray[Any]) -> NDArray[np.float32]:
    """Values (N, channels) as float32. Errors as `rounded`."""
    if values.dtype == np.float32:
        return values
    as_float32 = values.astype(np.float32)
    exact = values.astype(np.float64)
    errors = np.abs(as_float32 - exact)
    for channel in range(exact.shape[1]):
        known = ~np.isnan(exact[:, channel])
        numbers = exact[known, channel]
        error = errors[known, channel].max(initial=0)
        if not error:
            continue
        largest = np.abs(numbers).max()
        spread = (numbers - numbers[:1]).std()  # less the first value: the sum of large ones would round
        if _CONSTANT * largest < spread < error / _MAX_ROUNDING:
            raise InputError(
                f"channel {channel + 1}: values near {largest:.3g} differ by about {spread:.3g}, and float32 keeps "
                f"{float(np.spacing(np.float32(largest))):.3g} apart: subtract an offset from this channel first"
            )
    return as_float32
