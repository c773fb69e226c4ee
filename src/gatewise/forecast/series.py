"""The series of a forecaster: names, values and further columns on a regular calendar; from frames and arrays."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import numpy as np

from gatewise.data.cells import Cells
from gatewise.data.frames import find_column, frame_columns, is_frame, is_missing
from gatewise.data.tables import open_table
from gatewise.data.times import Time, comparable, instant, show_time, written_form
from gatewise.errors import DataError, FutureValuesError, InputError, counted, quote, required
from gatewise.forecast.calendar import Calendar, calendar_of, on_calendar
from gatewise.types import Array

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    Frame: TypeAlias = pd.DataFrame | pl.DataFrame
    """A data frame of pandas, or of polars where the series came in one."""

MAX_HORIZON = 10_000  # values of a forecast
_LARGEST = 1e150  # so that squares of values, and of 1 / values, are finite
_MOST_CATEGORIES = 50  # of a static column of texts
_OF_FORECASTS = re.compile(r"forecast|cutoff|(lo|hi)-[\d.]+")  # the columns of a frame of forecasts
_MOST_PLACES = 10  # times of missing values that a note lists
_UNNAMED = "series"  # the name of the only series, where no column has names
_NIXTLA = {"id": "unique_id", "time": "ds", "target": "y"}


@dataclass(frozen=True)
class Roles:
    """The columns of a frame by what they hold. id: names the series. future: known in advance; past: known up to the
    present; static: one value per series.
    """

    id: str = "id"
    time: str = "time"
    target: str = "target"
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    future: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [self.id, self.time, self.target, *self.past, *self.static, *self.future]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"the column {quote(name, 40)} is named for two purposes")
        for name in filter(_OF_FORECASTS.fullmatch, names[:3]):
            raise InputError(f"rename the column {name!r}: the frame of the forecasts has one of this name")


@dataclass(frozen=True, eq=False)
class SeriesSet:
    """S series. values: (n_s, 1 + past + static) float64 of each, the target first. future: (n_s or more, F) of each,
    the columns that are known in advance, also after the last value. starts: the time of each first value. statics: the
    static columns; a column of texts has one for each category but the first. notes: what was interpolated, in lines.
    """

    names: tuple[str, ...]
    values: list[Array]
    future: list[Array]
    starts: list[Time]
    calendar: Calendar
    roles: Roles
    statics: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def is_unnamed(self) -> bool:
        """Whether there is one series, and no column has its name."""
        return self.names == (_UNNAMED,)

    def times(self, number: int, first: int, stop: int) -> list[Time]:
        """The times of the values `first` to `stop` - 1 of a series, also of those after its last one."""
        return self.calendar.times(self.starts[number], first, stop)

    def times_after(self, number: int, count: int) -> list[Time]:
        """The next `count` times of a series. Raises InputError after the year 9999."""
        n = len(self.values[number])
        return self.times(number, n, n + count)

    def to_json(self, name: str) -> dict[str, list[Any]]:
        """The columns of a series that the members read, with the times as text, by name."""
        number = self.number(name)
        values = self.values[number]
        times = list(map(show_time, self.times(number, 0, len(values))))
        labels = (self.roles.target, *self.roles.past, *self.statics)
        return {self.roles.time: times, **dict(zip(labels, values.T.tolist(), strict=True))}

    def check_horizon(self, horizon: int) -> None:
        """Raise InputError if the next `horizon` times of a series end after the year 9999."""
        for number, values in enumerate(self.values):
            last = len(values) + horizon - 1
            self.times(number, last, last + 1)

    def last(self, count: int) -> Self:
        """The last `count` values of each series, or fewer where there are fewer."""
        first = [max(0, len(values) - count) for values in self.values]
        starts = [self.times(number, at, at + 1)[0] for number, at in enumerate(first)]
        values = [columns[at:] for columns, at in zip(self.values, first, strict=True)]
        future = [columns[at:] for columns, at in zip(self.future, first, strict=True)]
        return replace(self, values=values, future=future, starts=starts)

    def number(self, name: str | None) -> int:
        """The number of the series of this name, from 0; None: of the only series. Raises InputError that lists the
        names.
        """
        if name is None and len(self.names) == 1:
            return 0
        if name not in self.names:
            problem = "name one of the series" if name is None else f"no series {quote(name, 40)}"
            raise InputError(f"{problem}; there are {', '.join(quote(known, 40) for known in self.names[:10])}")
        return self.names.index(name)


def series_set(data: Any, roles: Roles | None = None, calendar: Calendar | None = None, **columns: Any) -> SeriesSet:
    """The series in what a user passes.

    data: a long data frame with one row per series and time, or, without further columns, one array (n,), a pandas
    series with times in its index, or several as a dict by name or a list. columns: of a frame, see `Roles`; by default
    unique_id, ds and y as in Nixtla, or the two columns of a frame with two. roles, calendar: those of a fitted
    forecaster.

    Rows are sorted by time. Missing values and missing times are interpolated between two values, and left out at the
    begin and end of a series. Raises InputError naming series and place for values that are infinite or no numbers,
    values whose squares float64 does not hold, irregular times, and times that occur twice.
    """
    if isinstance(data, SeriesSet):
        return data
    if is_frame(data):
        table = _table_of(data, roles.time if roles else columns.get("time"))
        roles = roles or _roles(list(table), columns)
    elif any(columns.values()):
        raise InputError("columns can be named for a data frame only, with one row per series and time")
    else:
        table = _of_arrays(data)
        roles = roles or Roles()
    return _of_cells(_cells(table, roles, roles.target, *roles.past, *roles.static), roles, calendar)


def _table_of(frame: Any, time: str | None) -> dict[str, list[Any]]:
    """The columns of a data frame. In pandas the index may hold the times: it has dates, or the name `time`."""
    index: Any = getattr(frame, "index", None)
    if hasattr(index, "to_timestamp"):  # PeriodIndex
        frame = frame.to_timestamp()
        index = frame.index
    name = getattr(index, "name", None)
    has_dates = getattr(getattr(index, "dtype", None), "kind", "") == "M"
    if has_dates or (name is not None and name == time):
        name = name or time or "time"
        if name not in frame.columns:
            frame = frame.rename_axis(name).reset_index()
    return frame_columns(frame)


def read_forecast_table(path: str, roles: Roles | None = None, calendar: Calendar | None = None, **columns: Any) -> Any:
    """A `SeriesSet` from a table file, as `series_set` from a frame, and how its times are written (`show_time`).

    Raises DataError that names file and line.
    """
    with closing(open_table(path)) as table:
        roles = roles or _roles(list(table.columns), columns)
        lines = []
        rows = []
        for line, row in table.rows(lambda: False):
            if isinstance(row, str):
                raise DataError(f"{quote(path, 200)}:{line}: {row}")
            lines.append(line)
            rows.append(row)
    cells = Cells(rows)
    for name in roles.static:
        with suppress(TypeError, ValueError):  # else they are texts
            numbers = [float(cell) for cell in cells.column(name)]
            for row, number in zip(rows, numbers, strict=True):
                row[name] = number
    try:
        series = _of_cells(cells, roles, calendar)
    except InputError as error:
        for bad in sorted(cells.problems)[:1]:
            raise DataError(f"{quote(path, 200)}:{lines[bad]}: {cells.problems[bad]}") from None
        raise InputError(f"{quote(path, 200)}: {error}") from None
    return series, written_form(cells.column(roles.time), cells.times(roles.time))


def _cells(table: Mapping[str, Sequence[Any]], roles: Roles, *names: str) -> Cells:
    """The columns `names` of a data frame, the times, the columns that are known in advance, and the names of the
    series where a column has them. Raises InputError for a column that is not there.
    """
    columns = {name: table[find_column(name, list(table))] for name in (roles.time, *names, *roles.future)}
    for name in {*roles.past, *roles.future}.intersection(columns):  # a flag, such as a promotion, is 0 or 1
        columns[name] = [float(cell) if isinstance(cell, bool | np.bool_) else cell for cell in columns[name]]
    if roles.id in table:
        columns[roles.id] = ["" if is_missing(cell) else str(cell) for cell in table[roles.id]]
    return Cells([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])


def _groups(cells: Cells, roles: Roles, only: str) -> dict[str, list[int]]:
    """The rows of each series. only: the name of the series where no column names it. Raises InputError for the first
    row with a problem.
    """
    keys: Sequence[Any] = [only] * len(cells.rows)
    if cells.rows and roles.id in cells.rows[0]:
        keys = cells.names(roles.id)
    for row in sorted(cells.problems)[:1]:
        raise InputError(f"row {row}: {cells.problems[row]}")
    groups: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(str(key), []).append(row)
    return groups


def _of_cells(cells: Cells, roles: Roles, calendar: Calendar | None) -> SeriesSet:
    """The series in the rows of a table: sorted by time, on the calendar of the longest one, without gaps."""
    if not cells.rows:
        raise InputError("the data has no row: add one for each time and value")
    times = _times(cells, roles)
    columns = _numbers(cells, (roles.target, *roles.past))
    future = _numbers(cells, roles.future)
    statics = _statics(cells, roles.static)
    groups = _groups(cells, roles, _UNNAMED)
    _sort_by_time(groups, times, named=roles.id in cells.rows[0])
    if calendar is None:
        calendar = _calendar_of_longest(groups, times, roles)
    numbers = np.stack([*columns.values(), *statics.values(), *future.values()], axis=1)
    regular: dict[str, _Regular] = {}
    for name, rows in groups.items():
        where = _where(name, groups)
        for column, label in enumerate(statics, len(columns)):
            if np.ptp(numbers[rows, column]) != 0:  # NaN too
                raise InputError(
                    f"{where}{quote(label, 40)} is static, and not one value for the series: name it with past="
                )
        try:
            regular[name] = _regular([times[row] for row in rows], numbers[rows], (*columns, *statics), roles, calendar)
        except InputError as error:
            raise InputError(f"{where}{error}") from None
    notes = _interpolated(regular, calendar)
    late = sum(series.gaps.late for series in regular.values())
    if late and not roles.future:
        notes.append(f"{counted(late, 'time')} without a value at the end: forecasts begin after the last value")
    return SeriesSet(
        names=tuple(groups),
        values=[series.values for series in regular.values()],
        future=[series.future for series in regular.values()],
        starts=[series.start for series in regular.values()],
        calendar=calendar,
        roles=roles,
        statics=tuple(statics),
        notes=tuple(notes),
    )


def _times(cells: Cells, roles: Roles) -> list[Time]:
    """The times of the rows. A time of another kind than the first one is a problem of its row."""
    times = cells.times(roles.time)
    for row, time in enumerate(times):
        if not comparable(time, times[0]):
            both = f"{show_time(times[0])} and {show_time(time)} are not of one kind"
            cells.fail(row, f"{quote(roles.time, 40)}: {both}: numbers, dates, or dates with a time zone")
    return times


def _where(name: str, groups: Mapping[str, Any]) -> str:
    """What a message about a series begins with; "" for the only one."""
    return f"series {quote(name, 40)}: " if len(groups) > 1 else ""


def _sort_by_time(groups: Mapping[str, list[int]], times: Sequence[Time], *, named: bool) -> None:
    """Sort the rows of each series by time. named: whether a column names the series. Raises InputError for a time that
    occurs twice.
    """
    moments = list(map(instant, times))
    for name, rows in groups.items():
        rows.sort(key=moments.__getitem__)
        for before, after in pairwise(rows):
            if moments[before] == moments[after]:
                hint = "sum" if named else "name the column of the series with id=, or sum"
                time = show_time(times[after])
                raise InputError(f"{_where(name, groups)}the time {time} occurs twice: {hint} such values")


def _calendar_of_longest(groups: Mapping[str, list[int]], times: Sequence[Time], roles: Roles) -> Calendar:
    """The calendar of the series with the most rows. Raises InputError where each has one row."""
    longest = max(groups.values(), key=len)
    if len(longest) == 1 < len(groups):
        raise InputError(
            f"each series of the column {quote(roles.id, 40)} has one row: name the column of the series with id=, "
            "or leave this one out"
        )
    return calendar_of([times[row] for row in longest])


class _Gaps(NamedTuple):
    """What a series lacks. missing: the steps from its first value that have no value; times: how many of these have no
    time; late: how many times after the last value have no value; others: the number of missing values of each other
    column by name, at steps that have a time.
    """

    missing: list[int]
    times: int
    late: int
    others: dict[str, int]


class _Regular(NamedTuple):
    """A series on the calendar. values (n, C): from its first to its last value, interpolated; future (n or more, F):
    the columns that are known in advance, also after the last value; start: the time of the first value; gaps: what was
    missing.
    """

    values: Array
    future: Array
    start: Time
    gaps: _Gaps


def _interpolated(regular: Mapping[str, _Regular], calendar: Calendar) -> list[str]:
    """What was interpolated in the series, in lines: how many values, and at which times."""
    notes: list[str] = []
    places: list[str] = []
    others: Counter[str] = Counter()
    missing = 0
    missing_times = 0
    for name, series in regular.items():
        of_series = f" of {quote(name, 40)}" if len(regular) > 1 else ""
        shown = series.gaps.missing[: max(0, _MOST_PLACES - len(places))]
        places += [f"{show_time(calendar.times(series.start, at, at + 1)[0])}{of_series}" for at in shown]
        others.update(series.gaps.others)
        missing += len(series.gaps.missing)
        missing_times += series.gaps.times
    if missing:
        note = f"{counted(missing, 'missing value')} interpolated ({counted(missing_times, 'missing time')} among them)"
        note += f", at {', '.join(places)}"
        if missing > len(places):
            note += f" and {missing - len(places):,} more"
        notes.append(note)
    notes += [f"{counted(n, 'missing value')} of {quote(name, 40)} interpolated" for name, n in others.items() if n]
    return notes


def _regular(times: list[Time], numbers: Array, names: Sequence[str], roles: Roles, calendar: Calendar) -> _Regular:
    """The columns `names` of a series and those that are known in advance, on the calendar. times: ascending, of the
    rows of `numbers` (rows, names + future).
    """
    times = on_calendar(times, calendar)
    places = calendar.places(times)
    table = np.full((places[-1] + 1, numbers.shape[1]), np.nan)
    table[places] = numbers
    known = np.flatnonzero(~np.isnan(table[:, 0]))
    if not len(known):
        raise InputError(f"{quote(roles.target, 40)} has no value: add some, or leave the series out")
    first = int(known[0])
    stop = int(known[-1]) + 1
    values = table[first:stop, : len(names)]
    future = table[first:, len(names) :]
    unknown = int(np.r_[np.isnan(future).any(axis=1), True].argmax())  # the first step without all columns
    if unknown < len(values):
        columns = " or ".join(map(quote, roles.future))
        time = calendar.times(times[0], first, first + unknown + 1)[-1]
        raise InputError(f"{columns} is known in advance, and missing at {show_time(time)}: fill it")
    has_time = np.isin(np.arange(first, stop), places)
    others = zip(names[1:], values.T[1:], strict=True)
    gaps = _Gaps(
        missing=np.flatnonzero(np.isnan(values[:, 0])).tolist(),
        times=int((~has_time).sum()),
        late=len(table) - stop,
        others={name: int(np.isnan(column[has_time]).sum()) for name, column in others},
    )
    at = np.arange(len(values))
    for name, column in zip(names, values.T, strict=True):
        is_known = ~np.isnan(column)
        if not is_known.any():
            raise InputError(f"{quote(name, 40)} has no value: add some, or leave the column out")
        column[:] = np.interp(at, at[is_known], column[is_known])
    return _Regular(values, future[:unknown], calendar.times(times[0], first, first + 1)[0], gaps)


def future_values(frame: Any, series: SeriesSet, horizon: int) -> list[Array]:
    """(horizon, F) for each series: the values of the columns that are known in advance, after its last value.

    frame: these columns, times and names; None: the rows of the data after the last value. Raises FutureValuesError for
    a time that is not there, and InputError for a frame that is not valid.
    """
    if frame is None:
        return _future_of_data(series, horizon)
    return _future_of_frame(frame, series, horizon)


def _future_of_data(series: SeriesSet, horizon: int) -> list[Array]:
    """The values of the rows after the last value of each series."""
    of_all = []
    for number, values in enumerate(series.values):
        known = series.future[number][len(values) :][:horizon]
        if len(known) < horizon:
            names = " and ".join(map(quote, series.roles.future))
            time = show_time(series.times_after(number, horizon)[len(known)])
            raise FutureValuesError(
                f"the future values of {names}{_of_series(number, series)} end before {time}: pass future=, a frame "
                "with these columns and times, or add such rows without a target to the data"
            )
        of_all.append(known)
    return of_all


def _future_of_frame(frame: Any, series: SeriesSet, horizon: int) -> list[Array]:
    """The values of the rows of a frame, for the times after the last value of each series."""
    roles = series.roles
    if not is_frame(frame):
        raise InputError("future must be a data frame with the times and the columns that are known in advance")
    table = _table_of(frame, roles.time)
    if roles.id not in table and len(series.names) > 1:
        raise FutureValuesError(f"future has no column {quote(roles.id, 40)}, which names the series")
    cells = _cells(table, roles)
    frame_times = cells.times(roles.time)
    columns = _numbers(cells, roles.future)
    groups = _groups(cells, roles, series.names[0])
    times = on_calendar(frame_times, series.calendar)
    numbers = np.stack(list(columns.values()), axis=1)
    of_all = []
    for number, name in enumerate(series.names):
        which = _of_series(number, series)
        needed = series.times_after(number, horizon)
        rows = groups.get(name, [])
        places = series.calendar.steps_from(needed[0], horizon, [times[row] for row in rows])
        row_of_place: dict[int, int] = {}
        for place, row in zip(places, rows, strict=True):
            if place >= 0 and row_of_place.setdefault(place, row) != row:
                raise FutureValuesError(f"future has two rows{which} at {show_time(times[row])}: leave one out")
        known = np.full((horizon, len(roles.future)), np.nan)
        known[list(row_of_place)] = numbers[list(row_of_place.values())]
        missing = np.isnan(known).any(axis=1)
        if missing.any():
            time = show_time(needed[int(missing.argmax())])
            raise FutureValuesError(f"future has no values{which} at {time}, which the forecast needs")
        of_all.append(known)
    return of_all


def _of_series(number: int, series: SeriesSet) -> str:
    """The name of a series in a message, " of series 'a'"; "" for the only one."""
    return f" of series {quote(series.names[number], 40)}" if len(series.names) > 1 else ""


def frame_like(frame_type: type, columns: dict[str, list[Any]]) -> Frame:
    """A data frame from columns: of polars, if `frame_type` is of polars, else of pandas."""
    if frame_type.__module__.startswith("polars"):
        polars: Frame = sys.modules["polars"].DataFrame(columns)
        return polars
    pandas: Frame = required("pandas", "forecast", "a forecast").DataFrame(columns)
    return pandas


def _of_arrays(data: Any) -> dict[str, list[Any]]:
    """Columns id, time, target of one or several arrays, lists or pandas series."""
    by_name: Mapping[Any, Any] = {"": data}
    if isinstance(data, Mapping):
        by_name = data
    elif isinstance(data, list | tuple) and len(data) > 0 and np.ndim(data[0]) > 0:
        by_name = dict(enumerate(data))
    if len(set(map(str, by_name))) < len(by_name):
        raise InputError("two series have one name as text; every name must differ")
    table: dict[str, list[Any]] = {"id": [], "time": [], "target": []}
    for name, values in by_name.items():
        array = np.asarray(values)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            hint = "pass several as a dict by name, or as a long data frame"
            raise InputError(f"a series must be (n,), got {array.shape}; {hint}")
        index: Any = getattr(values, "index", None)
        if hasattr(index, "to_timestamp"):  # PeriodIndex
            index = index.to_timestamp()
        if getattr(getattr(index, "dtype", None), "kind", "") == "M":
            table["time"] += list(index)
        else:
            table["time"] += list(range(len(array)))
        table["target"] += array.tolist()
        table["id"] += [str(name) or _UNNAMED] * len(array)
    return table


def _roles(names: list[str], options: Mapping[str, Any]) -> Roles:
    """The columns that `options` name by their roles, the usual names for the others, then what is left of a frame with
    few columns. Raises InputError that lists the columns.
    """
    single: dict[str, Any] = {}
    lists: dict[str, Any] = {}
    for role in ("future", "past", "static"):
        value = options.get(role) or ()
        columns = [value] if isinstance(value, str) else value
        lists[role] = tuple(find_column(str(name), names) for name in columns)
    taken = {name for columns in lists.values() for name in columns}
    for role, usual in _NIXTLA.items():
        name = options.get(role)
        if name is not None:
            single[role] = find_column(str(name), names)
            continue
        for name in (usual, role):
            if name in names and name not in taken:
                single[role] = name
                break
    unused = [name for name in names if name not in taken and name not in single.values()]
    if "time" not in single and "target" not in single and len(unused) == 2:
        single["time"], single["target"] = unused
    for role in ("time", "target"):
        if role in single:
            continue
        if len(unused) != 1:
            columns = ", ".join(map(quote, names[:20]))
            raise InputError(f"name the column of the {role} with {role}=; there are {columns}")
        single[role] = unused.pop()
    return Roles(**single, **lists)


def _numbers(cells: Cells, names: Sequence[str]) -> dict[str, Array]:
    """Columns (n,) float64, NaN where a number is missing."""
    columns = {name: cells.numbers(name, limit=_LARGEST) for name in names}
    for name, column in columns.items():
        known = np.abs(column[~np.isnan(column)])
        if len(known) and 0 < known.max() < 1 / _LARGEST:
            raise InputError(f"{quote(name, 40)}: all values are below {1 / _LARGEST:g} in size; multiply them")
    return columns


def _statics(cells: Cells, names: Sequence[str]) -> dict[str, Array]:
    """Static columns as numbers: of texts, one of 0 and 1 for each category but the first."""
    out: dict[str, Array] = {}
    for name in names:
        if not any(isinstance(cell, str) for cell in cells.column(name)):
            out |= _numbers(cells, (name,))
            continue
        texts = list(map(str, cells.names(name)))
        categories = sorted(set(texts))
        if len(categories) > _MOST_CATEGORIES:
            raise InputError(
                f"{quote(name, 40)} has {len(categories):,} categories, at most {_MOST_CATEGORIES}: merge rare ones"
            )
        for category in categories[1:]:
            out[f"{name}={category}"] = np.array([float(text == category) for text in texts])
    return out
