"""Series in tables (CSV, TSV, Parquet): one series per row, or one step per row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.files import fail
from gatewise.data.inputs import is_finite, is_missing
from gatewise.data.series import Series
from gatewise.data.series_rows import SeriesRows
from gatewise.data.series_text import NUMBER, is_numbering, trim
from gatewise.data.tables import open_table
from gatewise.data.times import Time, comparable, parse_time, show_time
from gatewise.errors import DataError, InputError, quote

_INDEX = {"", "id", "index", "unnamed: 0", "__index_level_0__"}  # as pandas and others write row numbers
_MISSING = {"", "?", "na", "nan", "null", "none", "n/a"}


def read_wide(path: str | Path, label: str | None = None, id: str | None = None) -> SeriesRows:
    """A table with one series per row: the numeric columns, in their order, are the steps.

    label, id: the columns of the labels and of names for the series, if there are any. Without a name, a column "label"
    holds the labels, unless label is "". An empty cell, NA and NaN are
    missing values; missing steps at the end of a row mean a shorter series. Raises DataError with the line for a cell
    that is not a number, a column that is not there, and a row without a value.
    """
    with closing(SeriesTable(path)) as table:
        return _wide(table, label, id)


def _wide(table: SeriesTable, label: str | None, id: str | None) -> SeriesRows:
    file = table.file
    label = table.label(label)
    id = None if id is None else table.column(id, "--id")
    steps = [name for name in table.columns if name not in (label, id)]
    _refuse_index(table, steps)
    inputs: list[Series] = []
    labels: list[tuple[int, str]] = []
    ids: list[str] = []
    for line, row in table.rows():
        values = [number(file, line, name, row[name], "; name a label or id column") for name in steps]
        series = trim(np.array(values, dtype=np.float32)[:, None])
        if not len(series):
            fail(file, line, "the series has no value")
        inputs.append(series)
        if label is not None:
            labels.append((line, _label(row[label])))
        if id is not None:
            ids.append(name_of(row[id]))
    return _result(file, inputs, labels, label, ids if id is not None else None)


def read_long(path: str | Path, id: str | None, time: str, label: str | None = None) -> SeriesRows:
    """A table with one step per row. The other numeric columns are the channels.

    id: the column that names the series; None: the file is one series. time: the column that orders the steps, numbers
    or dates in ISO 8601; the distances do not count. label: a column that is constant within a series. Raises DataError
    with the line for two rows of one time and series, a label that changes, and as `read_wide`.
    """
    with closing(SeriesTable(path)) as table:
        return _long(table, id, time, label)


def _long(table: SeriesTable, id: str | None, time: str, label: str | None) -> SeriesRows:
    file = table.file
    time = table.column(time, "--time")
    label = table.label(label)
    id = None if id is None else table.column(id, "--id")
    channels = [name for name in table.columns if name not in (id, time, label)]
    _refuse_index(table, channels)
    if not channels:
        fail(file, 1, "there is no column for the values of the series")
    steps: dict[str, list[tuple[Any, int, list[float]]]] = {}
    hint = "; name a label or id column"
    labels: dict[str, tuple[int, str]] = {}
    first_time: Time | None = None
    for line, row in table.rows():
        name = "" if id is None else name_of(row[id])
        if id is not None and not name:
            fail(file, line, f"{quote(id)} is empty")
        at = time_of(file, line, row[time])
        first_time = at if first_time is None else first_time
        if not comparable(at, first_time):
            fail(file, line, f"{quote(time)}: {show_time(at)} and {show_time(first_time)} are not of one kind")
        steps.setdefault(name, []).append((at, line, [number(file, line, c, row[c], hint) for c in channels]))
        if label is not None:
            found = _label(row[label])
            first = labels.setdefault(name, (line, found))
            if first[1] != found:
                where = f"{quote(first[1])} in line {first[0]}"
                fail(file, line, f"the label of series {quote(name)} is {quote(found)}, but {where}")
    inputs = []
    for name, found_steps in steps.items():
        found_steps.sort(key=lambda step: step[0])
        for before, after in pairwise(found_steps):
            if before[0] == after[0]:
                whose = f" of series {quote(name)}" if id is not None else ""
                fail(file, max(before[1], after[1]), f"two rows{whose} have the time {quote(show_time(before[0]))}")
        inputs.append(np.array([values for _, _, values in found_steps], dtype=np.float32))
    ids = list(steps) if id is not None else None
    return _result(file, inputs, [labels[name] for name in steps] if label is not None else [], label, ids)


def _refuse_index(table: SeriesTable, columns: list[str]) -> None:
    """Raises DataError for a column of row numbers or ids among those of the values."""
    found = [name for name in columns if name.strip().lower() in _INDEX]
    if found:
        what = f"the column {quote(found[0])} would be read as values of the series: name it with --id, or take it out"
        fail(table.file, table.table.first_line, what)


class SeriesTable:
    """An opened table whose cells are numbers, times and names. Raises DataError with file and line."""

    def __init__(self, path: str | Path) -> None:
        self.file = Path(path).expanduser()
        self.table = open_table(self.file)
        header = [name.strip() for name in self.table.columns]
        what = ""
        if header and all(NUMBER.fullmatch(name) for name in header) and not is_numbering(header):
            what = "the first line holds numbers only: a table needs a header with the names of its columns"
        for name in header:
            if header.count(name) > 1:
                what = f"the header has {header.count(name)} columns {quote(name)}"
        if what:
            self.close()
            fail(self.file, self.table.first_line, what)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names in the header."""
        return self.table.columns

    def column(self, name: str, option: str) -> str:
        """The name of a column as the header writes it. option: of the command line, for messages."""
        return self.table.column(name, option)

    def label(self, name: str | None) -> str | None:
        """The column of the labels; None: the column "label" if there is one; "": none."""
        if name is None:
            return "label" if "label" in self.columns else None
        return self.column(name, "--label") if name else None

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line, cells by column) of each row."""

        def bad(line: int, what: str) -> None:
            fail(self.file, line, what)

        for line, row in self.table.rows(bad):
            if row.keys() != set(self.columns):  # of a JSON record
                name = next(name for name in (*self.columns, *row) if (name in row) != (name in self.columns))
                where = "this record" if name in self.columns else "the first record"
                fail(self.file, line, f"the key {quote(name, 40)} is not in {where}")
            yield line, row

    def close(self) -> None:
        """Close the file."""
        self.table.close()


def number(file: Path, line: int, column: str, cell: Any, hint: str = "") -> float:
    """The number in a cell, NaN for a missing one. Raises DataError, which ends with the hint, for anything else."""
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        text = cell.strip()
        if text.lower() in _MISSING:
            return math.nan
        if not NUMBER.fullmatch(text):
            fail(file, line, f"column {quote(column, 40)}: {quote(text, 40)} is not a number{hint}")
        value = float(text)
    elif isinstance(cell, int | float) and not isinstance(cell, bool):
        value = float(cell) if isinstance(cell, float) or is_finite(cell) else math.inf
    else:
        fail(file, line, f"column {quote(column, 40)}: {quote(cell, 40)} is not a number{hint}")
    if math.isinf(value) or abs(value) > float(np.finfo(np.float32).max):
        fail(file, line, f"column {quote(column, 40)}: {quote(cell, 40)} is not finite or too large")
    return value


def time_of(file: Path, line: int, cell: Any) -> Time:
    """The time in a cell. Raises DataError."""
    try:
        return parse_time(cell)
    except InputError as error:
        fail(file, line, str(error))


def name_of(cell: Any) -> str:
    """The name in a cell, "" where it is empty or missing; 0 and false are names."""
    return "" if is_missing(cell) else str(cell).strip()


def _label(cell: Any) -> str:
    """The name in a cell; "" where NaN or `?` says that there is none."""
    name = name_of(cell)
    return "" if name.lower() in ("nan", "?") else name


def _result(
    file: Path, inputs: list[Series], labels: list[tuple[int, str]], label: str | None, ids: list[str] | None
) -> SeriesRows:
    if not inputs:
        raise DataError(f"{quote(file, 200)}: has no row")
    if label is None or all(not name for _, name in labels):
        return SeriesRows(str(file), inputs, None, ids=ids, label_by_name=label is None)
    for line, name in labels:
        if not name:
            fail(file, line, f"{quote(label)} is empty")
    return SeriesRows(str(file), inputs, [name for _, name in labels], ids=ids, name=label)
