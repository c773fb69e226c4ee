"""The series of a forecaster: names, values and further columns on a regular calendar; from frames and arrays."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from gatewise.data.columns import Cells
from gatewise.data.frames import find_column, frame_columns, is_frame, is_missing
from gatewise.data.tables import open_table
from gatewise.data.times import Time, comparable, instant, parse_times, show_time, written_form
from gatewise.errors import DataError, InputError, counted, quote, required
from gatewise.forecast.calendar import Calendar, calendar_of, on_calendar
from gatewise.types import Array

_LARGEST = 1e150  # so that squares of values, and of 1 / values, are finite
_MOST_CATEGORIES = 50  # of a static column of texts
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
        for name in {"forecast", "cutoff"}.intersection(names[:3]):
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

    def until(self, cut: int) -> SeriesSet:
        """The series without their last `cut` values."""
        return replace(self, values=[one[: len(one) - cut] for one in self.values])

    def last(self, count: int) -> SeriesSet:
        """The last `count` values of each series, or fewer where there are fewer."""
        first = [max(0, len(one) - count) for one in self.values]
        starts = [self.times(number, at, at + 1)[0] for number, at in enumerate(first)]
        values = [one[at:] for one, at in zip(self.values, first, strict=True)]
        future = [one[at:] for one, at in zip(self.future, first, strict=True)]
        return replace(self, values=values, future=future, starts=starts)

    def ahead(self, horizon: int) -> list[Array]:
        """(horizon, F) for each series: the columns that are known in advance, after the last value. Raises InputError
        where they are not there.
        """
        out = []
        for number, (name, values, known) in enumerate(zip(self.names, self.values, self.future, strict=True)):
            rows = known[len(values) : len(values) + horizon]
            if len(rows) < horizon:
                columns = " and ".join(map(quote, self.roles.future))
                which = f" of series {quote(name, 40)}" if len(self.names) > 1 else ""
                at = show_time(self.times(number, len(values) + len(rows), len(values) + len(rows) + 1)[0])
                raise InputError(
                    f"the future values of {columns}{which} end before {at}: pass future=, a frame with these columns "
                    "and times, or add such rows without a target to the data"
                )
            out.append(rows)
        return out

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
    if not is_frame(data):
        if any(columns.values()):
            raise InputError("columns can be named for a data frame only, with one row per series and time")
        return _of_columns(_of_arrays(data), roles or Roles(), calendar)
    data = data.to_timestamp() if hasattr(getattr(data, "index", None), "to_timestamp") else data  # of a PeriodIndex
    index: Any = getattr(data, "index", None)
    if getattr(getattr(index, "dtype", None), "kind", "") == "M":  # pandas with times in its index
        name = index.name or columns.get("time") or "time"
        data = data.rename_axis(name).reset_index() if name not in data.columns else data
    table = frame_columns(data)
    return _of_columns(table, roles or _roles(list(table), columns), calendar)


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
    numbers = {name: cells.numbers(name) for name in (roles.target, *roles.past, *roles.future)}
    found: dict[str, Any] = {name: column.tolist() for name, column in numbers.items()}
    found[roles.time] = cells.times(roles.time)
    found |= {name: _parsed(cells.column(name)) for name in roles.static}
    if roles.id in table.columns:
        found[roles.id] = list(map(str, cells.names(roles.id)))
    for bad in sorted(cells.problems)[:1]:
        raise DataError(f"{quote(path, 200)}:{lines[bad]}: {cells.problems[bad]}")
    try:
        return _of_columns(found, roles, calendar), written_form(cells.column(roles.time), found[roles.time])
    except InputError as error:
        raise InputError(f"{quote(path, 200)}: {error}") from None


def _parsed(cells: list[Any]) -> list[Any]:
    """Numbers, if all cells are written as such; else texts."""
    try:
        return [float(cell) for cell in cells]
    except (TypeError, ValueError):
        return ["" if is_missing(cell) else str(cell) for cell in cells]


def _rows_of(
    table: Mapping[str, Sequence[Any]], roles: Roles, names: Sequence[str], only: str
) -> tuple[dict[str, list[int]], list[Time], Array]:
    """The rows of each series, the times, and the numbers (n, columns) in the columns `names`, of which all but the
    target may hold booleans. only: the name of the series where no column names it. Raises InputError for columns that
    are not there and cells that are not valid.
    """
    found = {name: table[find_column(name, list(table))] for name in (roles.time, *names)}
    groups: dict[str, list[int]] = {}
    for row, cell in enumerate(table.get(roles.id, [only] * len(found[roles.time]))):
        if not (name := _key(cell)):
            raise InputError(f"{quote(roles.id, 40)}, row {row}: the name of the series is missing")
        groups.setdefault(name, []).append(row)
    times = parse_times(found[roles.time], lambda row: f"{quote(roles.time, 40)}, row {row}")
    return groups, times, np.stack([_numbers(found[name], name, name != roles.target) for name in names], axis=1)


def _of_columns(table: Mapping[str, Sequence[Any]], roles: Roles, calendar: Calendar | None) -> SeriesSet:
    groups, times, numbers = _rows_of(table, roles, (roles.target, *roles.past, *roles.future), "series")
    if not times:
        raise InputError("the data has no row")
    for row, time in enumerate(times):
        if not comparable(time, times[0]):
            both = f"{show_time(times[0])} and {show_time(time)} are not of one kind"
            raise InputError(f"{quote(roles.time, 40)}, row {row}: {both}: numbers, dates, or dates with a time zone")
    labels, statics = _statics(table, roles.static)
    where = {name: f"series {quote(name, 40)}: " if len(groups) > 1 else "" for name in groups}
    moments = list(map(instant, times))
    for name, rows in groups.items():
        rows.sort(key=moments.__getitem__)
        for before, after in pairwise(rows):
            if moments[before] == moments[after]:
                hint = "" if roles.id in table else "; name the column of the series with id=, if there are several"
                raise InputError(f"{where[name]}the time {show_time(times[after])} occurs twice{hint}")
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
        try:
            found.append(_regular([times[row] for row in rows], numbers[rows], roles, calendar))
            for label, column in zip(labels, statics[rows].T, strict=True):
                if np.ptp(column) != 0:  # NaN too
                    raise InputError(
                        f"{quote(label, 40)} is static, and not one value for the series: name it with past="
                    )
        except InputError as error:
            raise InputError(f"{where[name]}{error}") from None
    parts, future, starts, counts = zip(*found, strict=True)
    fixed = [statics[rows[:1]].repeat(len(one), axis=0) for one, rows in zip(parts, groups.values(), strict=True)]
    values = [np.concatenate(both, axis=1) for both in zip(parts, fixed, strict=True)]
    missing, gaps, late = np.sum(counts, axis=0).tolist()
    notes = []
    if missing:
        notes.append(f"{counted(missing, 'missing value')} interpolated ({counted(gaps, 'missing time')} among them)")
    if late and not roles.future:
        notes.append(f"{counted(late, 'time')} without a value at the end: forecasts begin after the last value")
    return SeriesSet(tuple(groups), values, list(future), list(starts), calendar, roles, labels, tuple(notes))


def _regular(
    times: list[Time], numbers: Array, roles: Roles, calendar: Calendar
) -> tuple[Array, Array, Time, tuple[int, int, int]]:
    """A series (n, 1 + past), from its first to its last value, without gaps; the columns that are known in advance,
    also after it; the time of the first value; how many values and times between them are missing, and how many times
    after them have no value. times: ascending, of the rows of `numbers` (rows, 1 + past + future).
    """
    times = on_calendar(times, calendar)
    places = calendar.places(times)
    table = np.full((places[-1] + 1, numbers.shape[1]), np.nan)
    table[places] = numbers
    known = np.flatnonzero(~np.isnan(table[:, 0]))
    if not len(known):
        raise InputError(f"{quote(roles.target, 40)} has no value")
    first, stop, columns = int(known[0]), int(known[-1]) + 1, 1 + len(roles.past)
    values, future = table[first:stop, :columns], table[first:, columns:]
    unknown = int(np.r_[np.isnan(future).any(axis=1), True].argmax())
    if unknown < len(values):
        names, time = " or ".join(map(quote, roles.future)), calendar.times(times[0], first, first + unknown + 1)[-1]
        raise InputError(f"{names} is known in advance, and missing at {show_time(time)}: fill it")
    missing = int(np.isnan(values[:, 0]).sum()), len(table) - len(places), len(table) - stop
    at = np.arange(len(values))
    for name, column in zip((roles.target, *roles.past), values.T, strict=True):
        there = ~np.isnan(column)
        if not there.any():
            raise InputError(f"{quote(name, 40)} has no value")
        column[:] = np.interp(at, at[there], column[there])
    return values, future[:unknown], calendar.times(times[0], first, first + 1)[0], missing


def future_values(given: Any, series: SeriesSet, horizon: int) -> list[Array]:
    """(horizon, F) for each series: the values of the columns that are known in advance, from a frame with these
    columns, times and names. Raises InputError for a time that it lacks.
    """
    roles = series.roles
    if not is_frame(given):
        raise InputError("future must be a data frame with the times and the columns that are known in advance")
    if getattr(getattr(given, "index", None), "name", None) == roles.time and roles.time not in given.columns:
        given = given.reset_index()
    table, out = frame_columns(given), []
    if roles.id not in table and len(series.names) > 1:
        raise InputError(f"future has no column {quote(roles.id, 40)}, which names the series")
    groups, times, numbers = _rows_of(table, roles, roles.future, series.names[0])
    times = on_calendar(times, series.calendar)
    for number, name in enumerate(series.names):
        which = f" of series {quote(name, 40)}" if len(series.names) > 1 else ""
        wanted, found = series.times_after(number, horizon), dict[Any, int]()
        for row in groups.get(name, []):
            if found.setdefault(_place(times[row], wanted[0], series.calendar), row) != row:
                raise InputError(f"future has two rows{which} at {show_time(times[row])}")
        rows = [found.get(_place(time, wanted[0], series.calendar), -1) for time in wanted]
        for time, row in zip(wanted, rows, strict=True):
            if row < 0 or np.isnan(numbers[row]).any():
                raise InputError(f"future has no values{which} at {show_time(time)}, which the forecast needs")
        out.append(numbers[rows])
    return out


def frame_like(given: str, columns: dict[str, list[Any]]) -> Any:
    """A data frame of the library of that name, "polars" or pandas, from columns."""
    if given == "polars":
        return sys.modules["polars"].DataFrame(columns)
    return required("pandas", "forecast", "a forecast").DataFrame(columns)


def library_of(data: Any) -> str:
    """ "polars" for a data frame of polars, else "pandas"."""
    return "polars" if type(data).__module__.partition(".")[0] == "polars" else "pandas"


def _of_arrays(data: Any) -> dict[str, list[Any]]:
    """Columns id, time, target of one or several arrays, lists or pandas series."""
    if isinstance(data, Mapping):
        named = [(str(name), one) for name, one in data.items()]
    elif isinstance(data, list | tuple) and data and np.ndim(data[0]) > 0:
        named = [(str(number), one) for number, one in enumerate(data)]
    else:
        named = [("", data)]
    if len({name for name, _ in named}) < len(named):
        raise InputError("two series have one name as text; every name must differ")
    table: dict[str, list[Any]] = {"id": [], "time": [], "target": []}
    for name, one in named:
        array = np.asarray(one)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise InputError(
                f"a series must be (n,), got {array.shape}; pass several as a dict by name, or as a long data frame"
            )
        index: Any = getattr(one, "index", None)
        if hasattr(index, "to_timestamp"):  # PeriodIndex
            index = index.to_timestamp()
        dated = getattr(getattr(index, "dtype", None), "kind", "") == "M"
        table["time"] += list(index) if dated and index is not None else list(range(len(array)))
        table["target"] += array.tolist()
        table["id"] += [name or "series"] * len(array)
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


def _key(value: Any) -> str:
    return "" if is_missing(value) else str(value).strip()


def _place(time: Any, first: Any, calendar: Calendar) -> Any:
    """What equal times share, also numbers that differ by rounding: of these, the steps after `first`."""
    numbers = isinstance(time, float) and isinstance(first, float)
    return round((time - first) / calendar.count, 2) if numbers else instant(time)


def _numbers(values: Sequence[Any], name: str, flags: bool = False) -> Array:
    """A column (n,) float64, NaN where it is missing. flags: whether booleans are 0 and 1."""
    out = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        where = f"{quote(name, 40)}, row {row}"
        try:
            if isinstance(value, str | complex) or (isinstance(value, bool | np.bool_) and not flags):
                raise TypeError
            out[row] = np.nan if is_missing(value) else float(value)
        except (TypeError, ValueError):
            raise InputError(f"{where}: must be a number, not {quote(value, 40)}") from None
        except OverflowError:
            out[row] = np.inf
        if abs(out[row]) > _LARGEST:
            raise InputError(f"{where}: is not between {-_LARGEST:g} and {_LARGEST:g}: replace or remove it")
    known = np.abs(out[~np.isnan(out)])
    if len(known) and 0 < known.max() < 1 / _LARGEST:
        raise InputError(f"{quote(name, 40)}: all values are below {1 / _LARGEST:g} in size; multiply them")
    return out


def _statics(table: Mapping[str, Sequence[Any]], names: Sequence[str]) -> tuple[tuple[str, ...], Array]:
    """Static columns as numbers (n, columns), with their names: of texts, one of 0 and 1 for each category but the
    first.
    """
    out: dict[str, Array] = {}
    for name in names:
        values = table[find_column(name, list(table))]
        if not any(isinstance(value, str) for value in values):
            out[name] = _numbers(values, name)
            continue
        texts = [_key(value) for value in values]
        found = sorted(set(texts))
        if not found[0]:
            raise InputError(f"{quote(name, 40)}, row {texts.index('')}: is missing")
        if len(found) > _MOST_CATEGORIES:
            most = f"at most {_MOST_CATEGORIES}: merge rare ones"
            raise InputError(f"{quote(name, 40)} has {len(found):,} categories, {most}")
        out |= {f"{name}={one}": np.array([float(text == one) for text in texts]) for one in found[1:]}
    rows = len(next(iter(table.values())))
    return tuple(out), np.array(list(out.values())).reshape(len(out), rows).T
