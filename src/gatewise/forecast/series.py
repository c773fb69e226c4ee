"""The series of a forecaster: names, values and further columns on a regular calendar; from frames and arrays."""

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np

from gatewise.data.cells import Cells
from gatewise.data.frames import find_column, frame_columns, is_frame, is_missing
from gatewise.data.tables import open_table
from gatewise.data.times import Time, comparable, instant, show_time, written_form
from gatewise.errors import DataError, FutureValuesError, InputError, counted, quote, required
from gatewise.forecast.calendar import Calendar, calendar_of, on_calendar
from gatewise.types import Array

MAX_HORIZON = 10_000  # values of a forecast
_LARGEST = 1e150  # so that squares of values, and of 1 / values, are finite
_MOST_CATEGORIES = 50  # of a static column of texts
_OF_FORECASTS = re.compile(r"forecast|cutoff|(lo|hi)-[\d.]+")  # columns
_MOST_PLACES = 10  # times of missing values that a note lists
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
    """S series. values: (n_s, 1 + past + static) float64 each, the target first. future: (n_s or more, F), the columns
    that are known in advance, also after the last value. starts: the time of the first value of each. statics: the
    static columns, of texts one for each category but the first. notes: what was filled, in lines.
    """

    names: tuple[str, ...]
    values: list[Array]
    future: list[Array]
    starts: list[Time]
    calendar: Calendar
    roles: Roles
    statics: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def times(self, number: int, first: int, stop: int) -> list[Time]:
        """The times of the values `first` to `stop` - 1 of a series, also of those after its last one."""
        return self.calendar.times(self.starts[number], first, stop)

    def times_after(self, number: int, count: int) -> list[Time]:
        """The next `count` times of a series. Raises InputError after the year 9999."""
        n = len(self.values[number])
        return self.times(number, n, n + count)

    def to_json(self, name: str) -> dict[str, list[Any]]:
        """The columns of a series that the members read, with the times as text, by name."""
        number, roles = self.number(name), self.roles
        values = self.values[number]
        columns = zip((roles.target, *roles.past, *self.statics), values.T.tolist(), strict=True)
        return {roles.time: list(map(show_time, self.times(number, 0, len(values)))), **dict(columns)}

    def check_horizon(self, horizon: int) -> None:
        """Raise InputError if the next `horizon` times of a series end after the year 9999."""
        for number, one in enumerate(self.values):
            self.times(number, len(one) + horizon - 1, len(one) + horizon)

    def last(self, count: int) -> Self:
        """The last `count` values of each series, or fewer where there are fewer."""
        first = [max(0, len(one) - count) for one in self.values]
        starts = [self.times(number, at, at + 1)[0] for number, at in enumerate(first)]
        values = [one[at:] for one, at in zip(self.values, first, strict=True)]
        future = [one[at:] for one, at in zip(self.future, first, strict=True)]
        return replace(self, values=values, future=future, starts=starts)

    def number(self, name: str | None) -> int:
        """The number of the series of this name; None: of the only one. Raises InputError that lists the names."""
        if name is None and len(self.names) == 1:
            return 0
        if name not in self.names:
            what = "name one of the series" if name is None else f"no series {quote(name, 40)}"
            raise InputError(f"{what}; there are {', '.join(quote(one, 40) for one in self.names[:10])}")
        return self.names.index(name)


def series_set(data: Any, roles: Roles | None = None, calendar: Calendar | None = None, **columns: Any) -> SeriesSet:
    """From what a user passes.

    data: a long data frame with one row per series and time, or, without further columns, one array (n,), a pandas
    series with times in its index, or several as a dict by name or a list. columns: of a frame, see `Roles`; by default
    unique_id, ds and y as in Nixtla, or the two columns of a frame with two. roles, calendar: of a forecaster that is
    fitted.

    Rows are sorted by time. Values that are missing between others, and dates that are, are interpolated; at the begin
    and end of a series they are left out. Raises InputError naming series and place for infinite values and others than
    numbers, values whose squares float64 does not hold, irregular times, and times that occur twice.
    """
    if isinstance(data, SeriesSet):
        return data
    if is_frame(data):
        table = _table_of(data, roles.time if roles else columns.get("time"))
        roles = roles or _roles(list(table), columns)
    elif any(columns.values()):
        raise InputError("columns can be named for a data frame only, with one row per series and time")
    else:
        table, roles = _of_arrays(data), roles or Roles()
    return _of_cells(_cells(table, roles, roles.target, *roles.past, *roles.static), roles, calendar)


def _table_of(frame: Any, time: str | None) -> dict[str, list[Any]]:
    """The columns of a data frame. That of the times, or any times, may be the index of one of pandas."""
    index: Any = getattr(frame, "index", None)
    if hasattr(index, "to_timestamp"):  # PeriodIndex
        frame, index = frame.to_timestamp(), index.to_timestamp()
    name = getattr(index, "name", None)
    if getattr(getattr(index, "dtype", None), "kind", "") == "M" or (name is not None and name == time):
        name = name or time or "time"
        frame = frame if name in frame.columns else frame.rename_axis(name).reset_index()
    return frame_columns(frame)


def read_forecast_table(path: str, roles: Roles | None = None, calendar: Calendar | None = None, **columns: Any) -> Any:
    """A `SeriesSet` from a table file, as `series_set` from a frame, and how its times are written (`show_time`).

    Raises DataError that names file and line.
    """
    with closing(open_table(path)) as table:
        roles = roles or _roles(list(table.columns), columns)
        lines, rows = [], []
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
        found = _of_cells(cells, roles, calendar)
    except InputError as error:
        for bad in sorted(cells.problems)[:1]:
            raise DataError(f"{quote(path, 200)}:{lines[bad]}: {cells.problems[bad]}") from None
        raise InputError(f"{quote(path, 200)}: {error}") from None
    return found, written_form(cells.column(roles.time), cells.times(roles.time))


def _cells(table: Mapping[str, Sequence[Any]], roles: Roles, *names: str) -> Cells:
    """The columns `names` of a data frame, with the times, what is known in advance, and the names of the series, if
    there are some. Raises InputError for a column that is not there.
    """
    found = {name: table[find_column(name, list(table))] for name in (roles.time, *names, *roles.future)}
    for name in {*roles.past, *roles.future}.intersection(found):
        found[name] = [float(cell) if isinstance(cell, bool | np.bool_) else cell for cell in found[name]]
    if roles.id in table:
        found[roles.id] = ["" if is_missing(cell) else str(cell) for cell in table[roles.id]]
    return Cells([dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)])


def _groups(cells: Cells, roles: Roles, only: str) -> dict[str, list[int]]:
    """The rows of each series. only: the name of the series where no column names it. Raises InputError for the first
    row with a problem.
    """
    keys = cells.names(roles.id) if cells.rows and roles.id in cells.rows[0] else [only] * len(cells.rows)
    for row in sorted(cells.problems)[:1]:
        raise InputError(f"row {row}: {cells.problems[row]}")
    groups: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(str(key), []).append(row)
    return groups


def _of_cells(cells: Cells, roles: Roles, calendar: Calendar | None) -> SeriesSet:
    if not cells.rows:
        raise InputError("the data has no row: add one for each time and value")
    times = cells.times(roles.time)
    for row, time in enumerate(times):
        if not comparable(time, times[0]):
            both = f"{show_time(times[0])} and {show_time(time)} are not of one kind"
            cells.fail(row, f"{quote(roles.time, 40)}: {both}: numbers, dates, or dates with a time zone")
    columns, future = _numbers(cells, (roles.target, *roles.past)), _numbers(cells, roles.future)
    statics = _statics(cells, roles.static)
    groups = _groups(cells, roles, "series")
    numbers = np.stack([*columns.values(), *statics.values(), *future.values()], axis=1)
    where = {name: f"series {quote(name, 40)}: " if len(groups) > 1 else "" for name in groups}
    moments = list(map(instant, times))
    for name, rows in groups.items():
        rows.sort(key=moments.__getitem__)
        for before, after in pairwise(rows):
            if moments[before] == moments[after]:
                hint = "sum" if roles.id in cells.rows[0] else "name the column of the series with id=, or sum"
                raise InputError(f"{where[name]}the time {show_time(times[after])} occurs twice: {hint} such values")
    if calendar is None:
        longest = max(groups.values(), key=len)
        if len(longest) == 1 < len(groups):
            raise InputError(
                f"each series of the column {quote(roles.id, 40)} has one row: name the column of the series with id=, "
                "or leave this one out"
            )
        calendar = calendar_of([times[row] for row in longest])
    found = []
    for name, rows in groups.items():
        for column, label in enumerate(statics, len(columns)):
            if np.ptp(numbers[rows, column]) != 0:  # NaN too
                what = f"{quote(label, 40)} is static, and not one value for the series: name it with past="
                raise InputError(f"{where[name]}{what}")
        try:
            found.append(_regular([times[row] for row in rows], numbers[rows], (*columns, *statics), roles, calendar))
        except InputError as error:
            raise InputError(f"{where[name]}{error}") from None
    values, known, starts, gaps = map(list, zip(*found, strict=True))
    notes = _filled(dict(zip(groups, gaps, strict=True)), starts, calendar)
    late = sum(one.late for one in gaps)
    if late and not roles.future:
        notes.append(f"{counted(late, 'time')} without a value at the end: forecasts begin after the last value")
    return SeriesSet(tuple(groups), values, known, starts, calendar, roles, tuple(statics), tuple(notes))


class _Gaps(NamedTuple):
    """What a series lacks. missing: the steps from its first value that have no value; times: how many of these have no
    time; late: how many times after the last value have no value; others: missing values of the other columns by name,
    at steps that have a time.
    """

    missing: list[int]
    times: int
    late: int
    others: dict[str, int]


def _filled(gaps: Mapping[str, _Gaps], starts: Sequence[Time], calendar: Calendar) -> list[str]:
    """What was interpolated in the series, in lines: how many values, and at which times."""
    notes: list[str] = []
    places: list[str] = []
    for start, (name, one) in zip(starts, gaps.items(), strict=True):
        of_series = f" of {quote(name, 40)}" if len(gaps) > 1 else ""
        shown = one.missing[: max(0, _MOST_PLACES - len(places))]
        places += [f"{show_time(calendar.times(start, at, at + 1)[0])}{of_series}" for at in shown]
    missing = sum(len(one.missing) for one in gaps.values())
    if missing:
        without_time = counted(sum(one.times for one in gaps.values()), "missing time")
        filled = f"{counted(missing, 'missing value')} interpolated ({without_time} among them)"
        more = f" and {missing - len(places):,} more" if missing > len(places) else ""
        notes.append(f"{filled}, at {', '.join(places)}{more}")
    others: Counter[str] = Counter()
    for one in gaps.values():
        others.update(one.others)
    notes += [f"{counted(n, 'missing value')} of {quote(name, 40)} interpolated" for name, n in others.items() if n]
    return notes


def _regular(
    times: list[Time], numbers: Array, names: Sequence[str], roles: Roles, calendar: Calendar
) -> tuple[Array, Array, Time, _Gaps]:
    """The columns `names` of a series from its first to its last value, without gaps; the columns that are known in
    advance, also after it; the time of the first value; and what was missing. times: ascending, of the rows of
    `numbers` (rows, names + future).
    """
    times = on_calendar(times, calendar)
    places = calendar.places(times)
    table = np.full((places[-1] + 1, numbers.shape[1]), np.nan)
    table[places] = numbers
    known = np.flatnonzero(~np.isnan(table[:, 0]))
    if not len(known):
        raise InputError(f"{quote(roles.target, 40)} has no value: add some, or leave the series out")
    first, stop = int(known[0]), int(known[-1]) + 1
    values, future = table[first:stop, : len(names)], table[first:, len(names) :]
    unknown = int(np.r_[np.isnan(future).any(axis=1), True].argmax())
    if unknown < len(values):
        columns, time = " or ".join(map(quote, roles.future)), calendar.times(times[0], first, first + unknown + 1)[-1]
        raise InputError(f"{columns} is known in advance, and missing at {show_time(time)}: fill it")
    has_time = np.isin(np.arange(first, stop), places)
    gaps = _Gaps(
        np.flatnonzero(np.isnan(values[:, 0])).tolist(),
        int((~has_time).sum()),
        len(table) - stop,
        {name: int(np.isnan(column[has_time]).sum()) for name, column in zip(names[1:], values.T[1:], strict=True)},
    )
    at = np.arange(len(values))
    for name, column in zip(names, values.T, strict=True):
        there = ~np.isnan(column)
        if not there.any():
            raise InputError(f"{quote(name, 40)} has no value: add some, or leave the column out")
        column[:] = np.interp(at, at[there], column[there])
    return values, future[:unknown], calendar.times(times[0], first, first + 1)[0], gaps


def future_values(given: Any, series: SeriesSet, horizon: int) -> list[Array]:
    """(horizon, F) for each series: the values of the columns that are known in advance, after its last value.

    given: a frame with these columns, times and names; None: the rows of the data after the last value. Raises
    FutureValuesError for a time that is not there, and InputError for a frame that is not valid.
    """
    roles, out = series.roles, []
    if given is not None:
        if not is_frame(given):
            raise InputError("future must be a data frame with the times and the columns that are known in advance")
        table = _table_of(given, roles.time)
        if roles.id not in table and len(series.names) > 1:
            raise FutureValuesError(f"future has no column {quote(roles.id, 40)}, which names the series")
        cells = _cells(table, roles)
        times, columns = cells.times(roles.time), _numbers(cells, roles.future)
        groups, times = _groups(cells, roles, series.names[0]), on_calendar(times, series.calendar)
        numbers = np.stack(list(columns.values()), axis=1)
    for number, name in enumerate(series.names):
        which = f" of series {quote(name, 40)}" if len(series.names) > 1 else ""
        wanted, known = series.times_after(number, horizon), np.full((horizon, len(roles.future)), np.nan)
        if given is None:
            there = series.future[number][len(series.values[number]) :][:horizon]
            known[: len(there)] = there
        else:
            rows, found = groups.get(name, []), dict[int, int]()
            places = series.calendar.steps_from(wanted[0], horizon, [times[row] for row in rows])
            for place, row in zip(places, rows, strict=True):
                if place >= 0 and found.setdefault(place, row) != row:
                    raise FutureValuesError(f"future has two rows{which} at {show_time(times[row])}: leave one out")
            known[list(found)] = numbers[list(found.values())]
        missing = np.isnan(known).any(axis=1)
        if missing.any():
            names, at = " and ".join(map(quote, roles.future)), show_time(wanted[int(missing.argmax())])
            if given is not None:
                raise FutureValuesError(f"future has no values{which} at {at}, which the forecast needs")
            raise FutureValuesError(
                f"the future values of {names}{which} end before {at}: pass future=, a frame with these columns "
                "and times, or add such rows without a target to the data"
            )
        out.append(known)
    return out


def frame_like(given: type, columns: dict[str, list[Any]]) -> Any:
    """A data frame from columns: of polars, if it has the type `given`, else of pandas."""
    if given.__module__.startswith("polars"):
        return sys.modules["polars"].DataFrame(columns)
    return required("pandas", "forecast", "a forecast").DataFrame(columns)


def _of_arrays(data: Any) -> dict[str, list[Any]]:
    """Columns id, time, target of one or several arrays, lists or pandas series."""
    several = isinstance(data, list | tuple) and len(data) > 0 and np.ndim(data[0]) > 0
    given = data if isinstance(data, Mapping) else dict(enumerate(data)) if several else {"": data}
    if len(set(map(str, given))) < len(given):
        raise InputError("two series have one name as text; every name must differ")
    table: dict[str, list[Any]] = {"id": [], "time": [], "target": []}
    for name, one in given.items():
        array = np.asarray(one)
        array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
        if array.ndim != 1:
            hint = "pass several as a dict by name, or as a long data frame"
            raise InputError(f"a series must be (n,), got {array.shape}; {hint}")
        index: Any = getattr(one, "index", None)
        if hasattr(index, "to_timestamp"):  # PeriodIndex
            index = index.to_timestamp()
        dated = getattr(getattr(index, "dtype", None), "kind", "") == "M"
        table["time"] += list(index) if dated and index is not None else list(range(len(array)))
        table["target"] += array.tolist()
        table["id"] += [str(name) or "series"] * len(array)
    return table


def _roles(names: list[str], given: Mapping[str, Any]) -> Roles:
    """The columns that are named, the usual names for the others. Raises InputError that lists the columns."""
    single: dict[str, Any] = {}
    lists: dict[str, Any] = {}
    for key in ("future", "past", "static"):
        value = given.get(key) or ()
        lists[key] = tuple(find_column(str(name), names) for name in ([value] if isinstance(value, str) else value))
    taken = {name for part in lists.values() for name in part}
    for key, usual in _NIXTLA.items():
        name = given.get(key)
        if name is not None:
            single[key] = find_column(str(name), names)
        else:
            same = [one for one in (usual, key) if one in names and one not in taken]
            if same:
                single[key] = same[0]
    rest = [name for name in names if name not in taken and name not in single.values()]
    if "time" not in single and "target" not in single and len(rest) == 2:
        single["time"], single["target"] = rest
    for key in ("time", "target"):
        if key not in single and len(rest) != 1:
            raise InputError(f"name the column of the {key} with {key}=; there are {', '.join(map(quote, names[:20]))}")
        single[key] = single[key] if key in single else rest.pop()
    return Roles(**single, **lists)


def _numbers(cells: Cells, names: Sequence[str]) -> dict[str, Array]:
    """Columns (n,) float64, NaN where a number is missing."""
    found = {name: cells.numbers(name, limit=_LARGEST) for name in names}
    for name, column in found.items():
        known = np.abs(column[~np.isnan(column)])
        if len(known) and 0 < known.max() < 1 / _LARGEST:
            raise InputError(f"{quote(name, 40)}: all values are below {1 / _LARGEST:g} in size; multiply them")
    return found


def _statics(cells: Cells, names: Sequence[str]) -> dict[str, Array]:
    """Static columns as numbers: of texts, one of 0 and 1 for each category but the first."""
    out: dict[str, Array] = {}
    for name in names:
        if not any(isinstance(cell, str) for cell in cells.column(name)):
            out |= _numbers(cells, (name,))
            continue
        texts = list(map(str, cells.names(name)))
        found = sorted(set(texts))
        if len(found) > _MOST_CATEGORIES:
            most = f"at most {_MOST_CATEGORIES}: merge rare ones"
            raise InputError(f"{quote(name, 40)} has {len(found):,} categories, {most}")
        out |= {f"{name}={one}": np.array([float(text == one) for text in texts]) for one in found[1:]}
    return out
