"""Series in tables (CSV, TSV, Parquet): one series per row, or one step per row."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gatewise.data.files import fail
from gatewise.data.series import Series
from gatewise.data.series_rows import SeriesRows
from gatewise.data.series_text import NUMBER, is_numbering, trim
from gatewise.data.tables import long_fields
from gatewise.data.times import Time, parse_time
from gatewise.errors import DataError, InputError, MissingExtra, quote

TABLES = (".csv", ".tsv", ".tab", ".parquet")
_MISSING = {"", "?", "na", "nan", "null", "none", "n/a"}


def read_wide(path: str | Path, label: str | None = None, id: str | None = None) -> SeriesRows:
    """A table with one series per row: the numeric columns, in their order, are the steps.

    label, id: the columns of the labels and of names for the series, if there are any. An empty cell, NA and NaN are
    missing values; missing steps at the end of a row mean a shorter series. Raises DataError with the line for a cell
    that is not a number, a column that is not there, and a row without a value.
    """
    file = Path(path).expanduser()
    header, rows = open_table(file)
    special = {name: column_place(file, header, name) for name in (label, id) if name is not None}
    steps = [place for place in range(len(header)) if place not in special.values()]
    inputs: list[Series] = []
    labels: list[tuple[int, str]] = []
    ids: list[str] = []
    for line, row in rows:
        values = [number(file, line, header[place], row[place]) for place in steps]
        series = trim(np.array(values, dtype=np.float32)[:, None])
        if not len(series):
            fail(file, line, "the series has no value")
        inputs.append(series)
        if label is not None:
            labels.append((line, _name(row[special[label]])))
        if id is not None:
            ids.append(_name(row[special[id]]))
    return _result(file, inputs, labels, label, ids if id is not None else None)


def read_long(path: str | Path, id: str | None, time: str, label: str | None = None) -> SeriesRows:
    """A table with one step per row. The other numeric columns are the channels.

    id: the column that names the series; None: the file is one series. time: the column that orders the steps, numbers
    or dates in ISO 8601; the distances do not count. label: a column that is constant within a series. Raises DataError
    with the line for two rows of one time and series, a label that changes, and as `read_wide`.
    """
    file = Path(path).expanduser()
    header, rows = open_table(file)
    special = {name: column_place(file, header, name) for name in (id, time, label) if name is not None}
    channels = [place for place in range(len(header)) if place not in special.values()]
    if not channels:
        fail(file, 1, "there is no column for the values of the series")
    steps: dict[str, list[tuple[Any, int, list[float]]]] = {}
    labels: dict[str, tuple[int, str]] = {}
    kind: type | None = None
    for line, row in rows:
        name = "" if id is None else _name(row[special[id]])
        if id is not None and not name:
            fail(file, line, f"{quote(id)} is empty")
        at = time_of(file, line, row[special[time]])
        if kind not in (None, type(at)):
            fail(file, line, f"{quote(time)} has both numbers and dates")
        kind = type(at)
        steps.setdefault(name, []).append((at, line, [number(file, line, header[p], row[p]) for p in channels]))
        if label is not None:
            found = _name(row[special[label]])
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
                fail(file, max(before[1], after[1]), f"two rows{whose} have the time {quote(before[0])}")
        inputs.append(np.array([values for _, _, values in found_steps], dtype=np.float32))
    ids = list(steps) if id is not None else None
    return _result(file, inputs, [labels[name] for name in steps] if label is not None else [], label, ids)


def open_table(file: Path) -> tuple[list[str], Iterator[tuple[int, list[Any]]]]:
    """The header, and (line, cells) of each row; of Parquet the row number. Raises DataError."""
    suffix = file.suffix.lower()
    if suffix not in TABLES:
        raise DataError(f"{quote(file, 200)}: the name of a table must end in one of {' '.join(TABLES)}")
    rows = _parquet_rows(file) if suffix == ".parquet" else _csv_rows(file, "," if suffix == ".csv" else "\t")
    first = next(rows, None)
    if first is None:
        raise DataError(f"{quote(file, 200)}: is empty")
    header = [str(name).strip() for name in first[1]]
    if is_number_row(header):
        fail(file, first[0], "the first line holds numbers only: a table needs a header with the names of its columns")
    for name in header:
        if header.count(name) > 1:
            fail(file, first[0], f"the header has {header.count(name)} columns {quote(name)}")
    return header, _full_rows(file, header, rows)


def is_number_row(names: list[str]) -> bool:
    """Whether a first line is no header: numbers only, but not 0, 1, 2, ..., as pandas names columns."""
    return all(NUMBER.fullmatch(name) for name in names) and not is_numbering(names)


def column_place(file: Path, header: list[str], name: str) -> int:
    """The number of a column. Raises DataError that lists the columns."""
    if name not in header:
        shown = ", ".join(quote(column) for column in header[:20])
        fail(file, 1, f"no column {quote(name)}; there are {shown}")
    return header.index(name)


def number(file: Path, line: int, column: str, cell: Any) -> float:
    """The number in a cell, NaN for a missing one. Raises DataError for anything else."""
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        text = cell.strip()
        if text.lower() in _MISSING:
            return math.nan
        try:
            value = float(text)
        except ValueError:
            fail(file, line, f"column {quote(column, 40)}: {quote(text, 40)} is not a number")
    elif isinstance(cell, int | float) and not isinstance(cell, bool):
        value = float(cell)
    else:
        fail(file, line, f"column {quote(column, 40)}: {quote(cell, 40)} is not a number")
    if math.isinf(value) or abs(value) > float(np.finfo(np.float32).max):
        fail(file, line, f"column {quote(column, 40)}: {quote(cell, 40)} is not finite or too large")
    return value


def time_of(file: Path, line: int, cell: Any) -> Time:
    """The time in a cell. Raises DataError."""
    try:
        return parse_time("" if cell is None else cell)
    except InputError as error:
        fail(file, line, str(error))


def _name(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _full_rows(file: Path, header: list[str], rows: Iterator[tuple[int, list[Any]]]) -> Iterator[tuple[int, list[Any]]]:
    for line, row in rows:
        if len(row) != len(header):
            fail(file, line, f"{len(row)} fields, but the header has {len(header)}")
        yield line, row


def _csv_rows(file: Path, delimiter: str) -> Iterator[tuple[int, list[Any]]]:
    line = 1
    try:
        with long_fields(), open(file, encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, delimiter=delimiter, strict=True)
            for row in reader:
                if row:
                    yield line, row
                line = reader.line_num + 1
    except FileNotFoundError:
        raise DataError(f"{quote(file, 200)}: not found") from None
    except OSError as error:
        raise DataError(f"{quote(file, 200)}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{quote(file, 200)}: not valid UTF-8 at byte {error.start}") from None
    except csv.Error as error:
        fail(file, line, f"bad row: {error}")


def _parquet_rows(file: Path) -> Iterator[tuple[int, list[Any]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("pyarrow", "data", "reading Parquet") from None
    try:
        opened = pyarrow.parquet.ParquetFile(file)
        yield 0, list(opened.schema_arrow.names)
        line = 0
        for batch in opened.iter_batches():
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                line += 1
                yield line, list(row)
    except FileNotFoundError:
        raise DataError(f"{quote(file, 200)}: not found") from None
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{quote(file, 200)}: not a valid Parquet file: {quote(error)}") from None


def _result(
    file: Path, inputs: list[Series], labels: list[tuple[int, str]], label: str | None, ids: list[str] | None
) -> SeriesRows:
    if not inputs:
        raise DataError(f"{quote(file, 200)}: has no row")
    if label is None or all(not name for _, name in labels):
        return SeriesRows(str(file), inputs, None, ids=ids)
    for line, name in labels:
        if not name:
            fail(file, line, f"{quote(label)} is empty")
    return SeriesRows(str(file), inputs, [name for _, name in labels], ids=ids, name=label)
