"""The series that a forecaster is fitted on: names, values, exogenous columns, times; from arrays, frames, tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gatewise.data.columns import Columns, RowReader
from gatewise.data.frames import frame_arrays, is_frame
from gatewise.data.rows import Rows
from gatewise.data.times import Time, parse_time
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.forecast.steps import Steps, last_of, month_form, regular_steps
from gatewise.types import Array, ColumnNames

_LARGEST = 1e150  # so that squares of values, and of 1 / values, are finite


@dataclass(frozen=True, eq=False)
class SeriesSet:
    """S series with names. values: (n_s, C) float64 each, the series first, then its exogenous columns. times: the last
    time of each series and the step between times, or None.
    """

    names: tuple[str, ...]
    values: list[Array]
    last: list[Time] | None = None
    step: Steps | None = None
    single: bool = False

    def times_after(self, number: int, count: int) -> list[Time] | None:
        """The next `count` times of a series; None without times. Raises InputError as `Steps.add`."""
        return None if self.last is None or self.step is None else self.step.after(self.last[number], count)

    def check_times(self, count: int) -> None:
        """Raises InputError as `Steps.add` if a series has no `count` times more."""
        for time in self.last or ():
            if self.step is not None:
                self.step.add(time, count)


def series_set(y: Any, exogenous: Any = None, times: Any = None) -> SeriesSet:
    """From what a user passes.

    y: one series (n,), or several as a dict by name, a list of arrays, or a data frame with one column per series.
    exogenous: (n, K) for one series, or a dict or list of these. times: n numbers, dates or ISO texts; of a pandas
    object with times in its index, those. All series of a data frame share them; a dict or list needs its own. A
    SeriesSet stays as it is.

    Raises InputError naming the series and the place for missing, infinite and non-numeric values, values whose squares
    float64 does not hold, times that are not regular and ascending, different lengths, and two series of one name.
    """
    if isinstance(y, SeriesSet):
        return y
    single, times = False, _index_times(y) if times is None else times
    if is_frame(y) or isinstance(y, Mapping):
        items = _named(y)
    elif isinstance(y, list | tuple) and y and np.ndim(y[0]) > 0:
        items = {str(number): one for number, one in enumerate(y)}
    else:
        items, single = {"series": y}, True
    if not items:
        raise InputError("there is no series")
    exogenous_of = _by_name(exogenous, items, single)
    times_of = dict.fromkeys(items, times) if single or is_frame(y) else _by_name(times, items, single)
    values, last, steps = [], [], []
    for name, one in items.items():
        where = "the series" if single else f"series {quote(name, 40)}"
        column = _numbers(one, where)
        if column.ndim == 2 and column.shape[1] == 1:
            column = column[:, 0]
        if column.ndim != 1:
            raise InputError(f"{where} must be (n,), got {column.shape}; pass several series as a dict or a list")
        parts = [column[:, None]]
        more = exogenous_of.get(name)
        if more is not None:
            table = _numbers(more, f"the exogenous columns of {where}")
            table = table[:, None] if table.ndim == 1 else table
            if table.ndim != 2 or len(table) != len(column):
                raise InputError(f"the exogenous columns of {where} must be ({len(column)}, K), got {table.shape}")
            parts.append(table)
        values.append(np.concatenate(parts, axis=1))
        own = times_of.get(name)
        if own is not None:
            if len(own) != len(column):
                raise InputError(f"{where} has {counted(len(column), 'value')} but {counted(len(own), 'time')}")
            try:
                parsed = [parse_time(time) for time in own]
                steps.append(regular_steps(parsed))
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
            last.append(last_of(parsed, steps[-1]))
    if len({one.shape[1] for one in values}) > 1:
        raise InputError("every series needs the same number of exogenous columns")
    if 0 < len(steps) < len(values):
        raise InputError("every series needs times, or none")
    # The step of numbers is the more precise the more of them there are.
    step = max(zip(map(len, values), steps, strict=True), key=lambda pair: pair[0])[1] if steps else None
    if step is not None and not all(step.equals(other) for other in steps):
        shown = " and ".join(sorted({one.describe() for one in steps}))
        raise InputError(f"the series have different steps between times: {shown}")
    return SeriesSet(tuple(items), values, last or None, step, single)


class ForecastTable(NamedTuple):
    """Series with their times. names: the columns as the header writes them; the first of the values is forecast. form:
    how the times are written, see `show_time`: "T" if one of them has a time of day, else that of months or quarters if
    all have one form.
    """

    series: SeriesSet
    names: ColumnNames
    form: str


def read_forecast_table(
    path: str | Path, *, time: str, value: str, id: str | None = None, exogenous: list[str] | None = None
) -> ForecastTable:
    """The columns of a table, in the order of its rows.

    id: the column that names the series; None: all rows are one series. Raises DataError with the line for missing
    values, and for times that are missing, not regular, not ascending or there twice.
    """
    columns = Columns((), (), (value, *(exogenous or [])), id, time)
    parts: list[Rows] = []
    forms: set[str] = set()
    with RowReader.open(path, columns, fail_fast=True) as reader:
        for batch, cells in reader.batches():
            parts.append(batch)
            forms.update(month_form(row.values[batch.names.time]) for row in cells)
    if not parts:
        raise DataError(f"{quote(path, 200)}: has no row")
    rows = Rows.together(parts)
    numbers, times = np.array(rows.inputs), list(rows.times or [])
    for row, column in np.argwhere(np.isnan(numbers))[:1].tolist():
        rows.fail(row, f"{quote(rows.names.values[column])} is missing; fill or interpolate it before forecasting")
    found = {name or "series": (numbers[of], [times[row] for row in of]) for name, of in rows.by_series().items()}
    given = (
        {name: table[:, 0] for name, (table, _) in found.items()},
        {name: table[:, 1:] for name, (table, _) in found.items()} if exogenous else None,
        {name: own for name, (_, own) in found.items()},
    )
    try:
        series = series_set(*(given if id is not None else (one and one["series"] for one in given)))
    except InputError as error:
        several = id is None and len(set(times)) < len(times)
        hint = "; --id names the column of the series, if there are several" if several else ""
        raise DataError(f"{quote(path, 200)}: {error}{hint}") from None
    daytime = any(isinstance(at, datetime) and at.time() != datetime.min.time() for at in times)
    return ForecastTable(series, rows.names, "T" if daytime else forms.pop() if len(forms) == 1 else "")


def _numbers(values: Any, where: str) -> Array:
    if is_frame(values):
        values = np.stack(list(_named(values).values()), axis=1)
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O":
            if any(isinstance(value, bool | str | complex) for value in array.flat):
                raise TypeError
            array = array.astype(np.float64)
    except OverflowError:
        raise InputError(f"{where}: a value is above {_LARGEST:g}") from None
    except (TypeError, ValueError):
        raise InputError(f"{where} must be numbers") from None
    if array.dtype.kind not in "fiu":
        raise InputError(f"{where} must be real numbers, got {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        place = int(np.argwhere(~np.isfinite(array))[0, 0])
        what = "is missing" if np.isnan(array[place]).any() else "is infinite"
        raise InputError(f"{where}: value {place} (from 0) {what}; fill or interpolate it before forecasting")
    size = np.abs(array)
    if (size > _LARGEST).any():
        place = int(np.argwhere(size > _LARGEST)[0, 0])
        raise InputError(f"{where}: value {place} (from 0) is not between {-_LARGEST:g} and {_LARGEST:g}")
    if len(size) and ((size.max(axis=0) > 0) & (size.max(axis=0) < 1 / _LARGEST)).any():
        raise InputError(f"{where}: all values are below {1 / _LARGEST:g} in size; multiply them before forecasting")
    return array


def _named(given: Any) -> dict[str, Any]:
    """What was given, or the columns of a data frame, with names as text. Raises InputError for two of one name, such
    as 1 and "1".
    """
    frame = is_frame(given)
    names = getattr(given, "column_names", None) or given.columns if frame else given
    for name, count in Counter(map(str, names)).items():
        if count > 1:
            raise InputError(f"{count} names are {quote(name, 40)} as text; every name must differ")
    return dict(frame_arrays(given)) if frame else {str(name): one for name, one in given.items()}


def _by_name(given: Any, items: Mapping[str, Any], single: bool) -> dict[str, Any]:
    """What was given for each series: by name, in order, or for the only one."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        found = _named(given)
        if set(found) != set(items):
            raise InputError(f"the names {quote(sorted(found))} are not those of the series, {quote(sorted(items))}")
        return found
    if single:
        return {next(iter(items)): given}
    if not isinstance(given, Sequence) or len(given) != len(items):
        raise InputError(f"several series need one entry each: a dict or a list of {len(items)}")
    return dict(zip(items, given, strict=True))


def _index_times(y: Any) -> list[Any] | None:
    """The times in the index of a pandas object; None if the index holds none."""
    index: Any = getattr(y, "index", None)
    if hasattr(index, "to_timestamp"):  # PeriodIndex
        index = index.to_timestamp()
    kind = getattr(getattr(index, "dtype", None), "kind", "")
    return list(index) if index is not None and kind == "M" else None
