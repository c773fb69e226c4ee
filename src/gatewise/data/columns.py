"""`Columns`: what the columns of a table hold. `RowReader`: the rows of files as those columns, in bounded memory."""

from __future__ import annotations

import csv
import glob
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import is_finite, is_missing, joined_texts
from gatewise.data.labelled import Rows
from gatewise.data.streams import CONVERT, NOT_UTF_8, STDIN
from gatewise.data.tables import Table, is_table, open_lines, open_table
from gatewise.data.times import Time, parse_time
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.types import ColumnNames, Task

NUMBER = re.compile(r"\s*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?nan|[+-]?inf(inity)?|\?)\s*", re.I)
_MISSING = {"", "?", "na", "nan", "null", "none", "n/a"}
_INDEX = {"", "id", "index", "unnamed: 0", "__index_level_0__"}  # as pandas and others write row numbers
_BINARY = {"0": 0, "1": 1, "false": 0, "true": 1}
_LARGEST = float(np.finfo(np.float32).max)
_MAX_BAD = 1_000  # bad rows, after which reading stops unless they are skipped
_SHOWN = 5
_BATCH = 256  # rows that are converted at once

Problems = dict[int, str]
"""What is wrong with a row, by its number in a batch."""


@dataclass(frozen=True)
class Columns(ColumnNames):
    """Which columns of a table hold what, by name.

    text: of a table of texts; () for series. label: none for unlabelled rows; several for several numbers, or for
    multi-label columns of 0 and 1. values: the numbers of series; () for all columns that hold nothing else. time: for
    texts their order; for series the order of the steps, of which each row is one; None: each row is a series. id: the
    column that names the series. label_separator: between the labels of a row in one column. weight: a number, at least
    0. label_if_there: the column of the labels, if the table has it. rest: whether `values` are all other columns.
    """

    text: tuple[str, ...] = ("text",)
    task: Task | None = None
    label_separator: str | None = None
    weight: str | None = None
    group: str | None = None
    label_if_there: str | None = None
    rest: bool = False

    def __post_init__(self) -> None:
        if self.label_separator == "":
            raise InputError("the label separator is empty: it is the text between the labels of a row, for example ;")
        if self.label_separator is not None and (self.task not in (None, "multilabel") or len(self.label) != 1):
            raise InputError("a label separator is for one label column with several labels per row (multilabel)")
        if len(self.label) > 1 and self.task not in ("multilabel", "regression"):
            raise InputError(
                f"there are {len(self.label)} label columns: the task must be multilabel (columns of 0 and 1) or "
                "regression (columns of numbers)"
            )

    def names(self) -> ColumnNames:
        """What a model remembers. The values of a table with one series per row may be others in another table."""
        if self.text:
            return ColumnNames(self.text, self.label)
        return ColumnNames((), self.label, self.values if self.time else (), self.id, self.time)

    def found_in(self, table: Table) -> Columns:
        """The columns as the header of the table writes them. Raises DataError for one that is not there, and for
        columns that would be read as values of series, but are row numbers or names.
        """

        def several(names: Sequence[str], option: str) -> tuple[str, ...]:
            return tuple(table.column(name, option) for name in names)

        text, label = several(self.text, "--text"), several(self.label, "--label")
        single = {"weight": self.weight, "group": self.group, "time": self.time, "id": self.id}
        others: dict[str, Any] = {name: given and table.column(given, f"--{name}") for name, given in single.items()}
        if not label and self.label_if_there in table.columns:
            label = (str(self.label_if_there),)
        found = replace(self, text=text, label=label, **others)
        if self.text:
            return found
        names = [name.strip() for name in table.columns]
        if doubled := [name for name in names if names.count(name) > 1]:
            table.fail(f"the header has {names.count(doubled[0])} columns {quote(doubled[0])}")
        if names and all(map(NUMBER.fullmatch, names)) and not is_numbering(names):
            table.fail("the first line holds numbers only: a table needs a header with the names of its columns")
        if self.values:
            return replace(found, values=several(self.values, "--value"))
        taken = (*label, *others.values())
        values = tuple(name for name in table.columns if name not in taken)
        if index := [name for name in values if name.strip().lower() in _INDEX]:
            what = f"the column {quote(index[0])} would be read as values of the series"
            table.fail(f"{what}: name it with --id, or take it out")
        if not values:
            table.fail("there is no column for the values of the series")
        return replace(found, values=values, rest=True)

    def convert(self, rows: list[dict[str, Any]]) -> tuple[Rows, Problems]:
        """What the columns hold, for rows of a table in which they were found, and what is wrong with some rows."""
        problems: Problems = {}

        def cells(name: str) -> list[Any]:
            try:
                return [row[name] for row in rows]
            except KeyError:  # of a JSON record
                for n, row in enumerate(rows):
                    if name not in row:
                        there = ", ".join(quote(key) for key in list(row)[:20])
                        problems.setdefault(n, f"no key {quote(name)}; there are {there}")
                return [row.get(name) for row in rows]

        labels = weights = groups = ids = times = None
        if self.text:
            inputs: list[Any] = list(joined_texts({name: cells(name) for name in self.text}, problems))
            for n, text in enumerate(inputs):
                if not text or not text.strip():
                    problems.setdefault(n, "the text is empty")
        if self.label:
            labels = self._labels([cells(name) for name in self.label], problems)
        if self.weight is not None:
            weights = numbers_of(self.weight, cells(self.weight), problems, needed=True).tolist()
            for n, weight in enumerate(weights):
                if weight < 0:
                    shown = quote(rows[n][self.weight])
                    problems.setdefault(n, f"{quote(self.weight)}, a weight, must be at least 0, not {shown}")
        if self.group is not None:
            groups = names_of(self.group, cells(self.group), problems)
        if self.id is not None:
            ids = [str(name) for name in names_of(self.id, cells(self.id), problems, self.time is not None)]
        if self.time is not None:
            times = times_of(cells(self.time), problems)
        if not self.text:
            inputs = self._series(rows, cells, problems)
        found = Rows(inputs, self.names(), labels, self.task, None, None, weights, groups, ids, times)
        return replace(found, label_by_name=not self.label), problems

    def _series(
        self, rows: list[dict[str, Any]], cells: Callable[[str], list[Any]], problems: Problems
    ) -> list[NDArray[Any]]:
        """The numbers (C,) of each row; where it is a series, the series (steps, 1)."""
        known = {*self.values, *self.label, self.id, self.time, self.weight, self.group}
        for n, row in enumerate(rows):
            if extra := [name for name in row if self.rest and name not in known]:
                problems.setdefault(n, f"the key {quote(extra[0], 40)} is not in the first record")
        hint = "; name a label or id column" * self.rest
        columns = [numbers_of(name, cells(name), problems, hint, limit=_LARGEST) for name in self.values]
        if self.time is not None:
            return list(np.stack(columns, axis=1))
        series = [trim(row[:, None]) for row in np.stack(columns, axis=1).astype(np.float32)]
        for n, one in enumerate(series):
            if not len(one):
                problems.setdefault(n, "the series has no value")
        return series

    def _labels(self, columns: list[list[Any]], problems: Problems) -> list[Any]:
        first = self.label[0]
        if self.task == "regression":
            numbers = [
                numbers_of(name, cells, problems, needed=True) for name, cells in zip(self.label, columns, strict=True)
            ]
            return list(map(list, zip(*(one.tolist() for one in numbers), strict=True)))
        if len(columns) > 1:
            return list(map(list, zip(*map(self._binary, self.label, columns, [problems] * len(columns)), strict=True)))
        if self.label_separator is not None:
            texts = joined_texts({first: columns[0]}, problems)
            parts = [(text or "").split(self.label_separator) for text in texts]
            return [[part.strip() for part in row if part.strip()] for row in parts]
        if not any(isinstance(cell, list) for cell in columns[0]):
            return names_of(first, columns[0], problems, self.text != ())
        labels = []
        for n, cell in enumerate(columns[0]):
            inner: Problems = {}
            names = names_of(first, cell if isinstance(cell, list) else [cell], inner)
            for reason in inner.values():
                problems.setdefault(n, reason)
            labels.append(names if isinstance(cell, list) else names[0])
        return labels

    def _binary(self, name: str, cells: list[Any], problems: Problems) -> list[int]:
        out = []
        for n, cell in enumerate(names_of(name, cells, problems)):
            known = _BINARY.get(str(cell).lower()) if not isinstance(cell, float) else {0.0: 0, 1.0: 1}.get(cell)
            if known is None:
                problems.setdefault(n, f"{quote(name)} must be 0 or 1, not {quote(cell)}")
            out.append(known or 0)
        return out


def names_of(name: str, cells: Sequence[Any], problems: Problems, needed: bool = True) -> list[Any]:
    """The names in a column, texts without spaces around them; "" where one is missing, which is a problem if it is
    needed. 0 and false are names.
    """
    out = []
    for n, cell in enumerate(cells):
        if isinstance(cell, str):
            cell = cell.strip()
        if is_missing(cell) or cell == "":
            if needed:
                problems.setdefault(n, f"{quote(name)} is empty")
            cell = ""
        elif not isinstance(cell, str | bool | int | float):
            problems.setdefault(n, f"{quote(name)} must be a text, a number or true/false")
        out.append(cell)
    return out


def numbers_of(
    name: str,
    cells: Sequence[Any],
    problems: Problems,
    hint: str = "",
    *,
    needed: bool = False,
    limit: float = math.inf,
) -> NDArray[np.float64]:
    """The numbers (n,) in a column, NaN for a missing one, which is a problem if it is needed. hint: what the message
    about another value ends with. limit: of their size.
    """
    out = np.full(len(cells), np.nan)
    for n, cell in enumerate(cells):
        number = math.nan
        if isinstance(cell, str):
            if cell.strip().lower() not in _MISSING:
                number = float(cell) if NUMBER.fullmatch(cell) else -math.inf
                if number == -math.inf and "inf" not in cell.lower():
                    problems.setdefault(n, f"{quote(name)} must be a number, not {quote(cell.strip(), 40)}{hint}")
        elif isinstance(cell, int | float) and not isinstance(cell, bool):
            number = float(cell) if isinstance(cell, float) or is_finite(cell) else math.inf
        elif cell is not None:
            problems.setdefault(n, f"{quote(name)} must be a number, not {quote(cell, 40)}{hint}")
        if math.isinf(number) or abs(number) > limit:
            problems.setdefault(n, f"{quote(name)} must be a finite number, not {quote(cell, 40)}")
        elif needed and math.isnan(number):
            problems.setdefault(n, f"{quote(name)} is empty")
        out[n] = number
    return out


def times_of(cells: Sequence[Any], problems: Problems) -> list[Time]:
    """The times in a column."""
    out: list[Time] = []
    for n, cell in enumerate(cells):
        try:
            out.append(parse_time(cell))
        except InputError as error:
            problems.setdefault(n, str(error))
            out.append(math.nan)
    return out


def trim(series: NDArray[Any]) -> NDArray[Any]:
    """A series (steps, channels) without the missing steps at the end."""
    known = np.flatnonzero(~np.isnan(series).all(axis=1))
    return series[: known[-1] + 1] if len(known) else series[:0]


def is_numbering(names: list[str]) -> bool:
    """Whether the names are 0, 1, 2, ... or 1, 2, 3, ..., as pandas names columns."""
    return any(names == [str(k + start) for k in range(len(names))] for start in (0, 1))


class BadRow(NamedTuple):
    """A row that cannot be used."""

    file: str
    line: int
    reason: str


class BadRowList:
    """The CSV file `path` for the bad rows that are skipped, which replaces the list of an earlier run.

    Raises InputError for a file that exists and is not such a list; DataError, as its methods, for one that cannot be
    written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: IO[str] | None = None
        begin = b",".join(name.encode() for name in BadRow._fields)
        try:
            with open(path, "rb") as file:
                found = file.read(len(begin))
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error(error) from None
        if found not in (b"", begin):
            raise InputError(f"{quote(path, 200)}: exists, and is not a list of bad rows: it is not overwritten")

    def check_other(self, path: str | Path, what: str) -> None:
        """Raises InputError if `path`, which `what` names, is this file."""
        if os.path.realpath(path) == os.path.realpath(self.path) or (
            os.path.exists(path) and self.path.exists() and os.path.samefile(path, self.path)
        ):
            raise InputError(f"{quote(self.path, 200)}: the list of bad rows is {what}")

    def open(self) -> None:
        """Write the header, unless it is written."""
        if self._file is None:
            try:
                # A file name may have bytes that are not UTF-8.
                self._file = open(self.path, "w", encoding="utf-8", errors="backslashreplace", newline="")  # noqa: SIM115
            except OSError as error:
                raise self._error(error) from None
            self.add(BadRow._fields)

    def add(self, row: Sequence[object]) -> None:
        """Append a `BadRow`."""
        try:
            csv.writer(self._file).writerow(row)  # type: ignore[arg-type]
        except OSError as error:
            raise self._remove(error) from None

    def close(self) -> None:
        """Close the file."""
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            raise self._remove(error) from None
        self._file = None

    def _remove(self, error: OSError) -> DataError:
        """Remove a list of which a part is missing, unless it is a device: the error to raise."""
        file, self._file = self._file, None
        with suppress(OSError):
            if file is not None:
                file.close()  # what cannot be written fails again
        with suppress(OSError):
            if self.path.is_file():
                self.path.unlink()
        return self._error(error)

    def _error(self, error: OSError) -> DataError:
        return DataError(f"{quote(self.path, 200)}: cannot be written: {error.strerror}")


class TableRow(NamedTuple):
    """A row of a table of texts: its text, and all columns as read. file, number: which file of the reader, and which
    row of it, from 0, bad rows counted.
    """

    line: int
    text: str
    values: dict[str, Any]
    where: str
    file: int
    number: int


def table_paths(path: str | Path | Sequence[str | Path]) -> list[str]:
    """The files that a path, a glob pattern or a list of them names, in the order given, those of a pattern sorted.

    Raises DataError for a pattern that fits no file.
    """
    paths: list[str] = []
    for one in [path] if isinstance(path, str | Path) else path:
        name = str(Path(one).expanduser()) if str(one) != STDIN else STDIN
        if glob.has_magic(name) and not Path(name).exists():
            found = sorted(glob.glob(name, recursive=True))
            if not found:
                raise DataError(f"{quote(name, 200)}: no file fits the pattern")
            paths += found
        else:
            paths.append(name)
    if not paths:
        raise DataError("there is no file to read")
    return paths


@dataclass
class RowReader:
    """Reads the rows of tables in bounded memory: one by one, or as batches of what their columns hold."""

    paths: list[str]
    columns: Columns
    delimiter: str | None = None
    skipped: BadRowList | None = None
    lines: bool = False  # other files than tables, and stdin, hold one text per line
    refuse_tables: bool = False  # lines on stdin that look like a table are an error
    fail_fast: bool = False  # the first bad row is an error at once
    live: bool = False  # each row is answered when it arrives
    chosen: Callable[[int, int], bool] | None = None  # whether a row is read, by file and row; None: all
    bad: list[BadRow] = field(default_factory=list)  # the first ones
    n_bad: int = 0
    n: int = 0
    table: Table | None = None  # that is open
    first: Table | None = None  # of the first good row
    numbers: list[tuple[int, int]] = field(default_factory=list)  # file and number of the rows of the batch
    _done: int = 0
    _row: int = -1

    @classmethod
    @contextmanager
    def open(
        cls,
        path: str | Path | Sequence[str | Path],
        columns: Columns,
        delimiter: str | None = None,
        skip_bad_rows: str | Path | None = None,
        *,
        lines: bool = False,
        refuse_tables: bool = False,
        fail_fast: bool = False,
        live: bool = False,
    ) -> Iterator[RowReader]:
        """A reader; lines, refuse_tables, fail_fast, live: see the fields.

        At the end of the block, bad rows are an error, or a warning with their number if they are skipped.
        """
        paths = table_paths(path)
        skipped = None if skip_bad_rows is None else BadRowList(skip_bad_rows)
        if skipped is not None:
            for one in paths:
                if one != STDIN:
                    skipped.check_other(one, "an input")
        reader = cls(paths, columns, delimiter, skipped, lines, refuse_tables, fail_fast, live)
        try:
            yield reader
        finally:
            if reader.table is not None:
                reader.table.close()
            if skipped is not None:
                skipped.close()
        if reader.n_bad and skipped is None:
            raise reader.error()
        if reader.n_bad:
            found = f"{counted(reader.n_bad, 'bad row')} of {reader.n_bad + reader.n:,} skipped"
            warnings.warn(f"{found}: see {quote(skip_bad_rows, 200)}", stacklevel=4)

    def read(self) -> Rows:
        """All rows together, with what their columns hold."""
        rows = Rows.together([batch for batch, _ in self.batches()] or [Rows([], self.columns.names())])
        notes = [*rows.notes, *[f"{counted(self.n_bad, 'bad row')} skipped"] * bool(self.n_bad)]
        return replace(rows, paths=self.paths, notes=notes)

    def __iter__(self) -> Iterator[TableRow]:
        for batch, cells in self.batches():
            rows = zip(batch.inputs, batch.places, self.numbers, cells, strict=True)
            yield from (TableRow(line, text, row, f"{where}:{line}", *n) for text, (where, line), n, row in rows)

    def batches(self) -> Iterator[tuple[Rows, list[dict[str, Any]]]]:
        """What the columns hold, and all cells as read, of the good rows of each batch."""
        for file, path in enumerate(self.paths):
            self._row = -1

            def skip(file: int = file) -> bool:
                self._row += 1
                return self.chosen is not None and not self.chosen(file, self._row)

            if self.lines and not is_table(path):
                table = open_lines(path, self.refuse_tables and path == STDIN)
            else:
                table = open_table(path, self.delimiter)
            self.table = table
            columns = self.columns.found_in(table)
            if self.skipped is not None:
                self.skipped.open()  # not before the input, without which the list of an earlier run stays
            rows = table.rows(skip)
            while chunk := [(self._row, *row) for row in islice(rows, 1 if self.live else _BATCH)]:
                found, problems = columns.convert([row for _, _, row in chunk if not isinstance(row, str)])
                good = iter(range(len(chunk)))
                cells, places, kept, self.numbers = [], [], [], []
                for number, line, row in chunk:
                    reason = row if isinstance(row, str) else problems.get(at := next(good))
                    if isinstance(row, str) or reason is not None:
                        self._bad(path, table.where, line, str(reason))
                    else:
                        kept.append(at)
                        places.append((table.where, line))
                        cells.append(row)
                        self.numbers.append((file, number))
                self.n += len(kept)
                if kept:
                    self.first = self.first or table
                    found = found.take(kept) if problems else found
                    yield replace(found, places=places, notes=[table.note] * bool(table.note)), cells
            table.close()
            self._done += _size(path)
        if self.skipped is not None:
            self.skipped.close()  # what cannot be written is an error before an output is complete

    @property
    def done(self) -> float | None:
        """The part of the files that has been read, from 0 to 1; None with stdin."""
        if STDIN in self.paths or self.table is None:
            return None
        total = max(1, sum(map(_size, self.paths)))
        return min(1.0, (self._done + (self.table.stream.done or 0.0) * self.table.stream.size) / total)

    def error(self) -> DataError:
        """The error for the bad rows: the first one, the number of all, and the lines of some, with their files."""
        first, *others = self.bad
        more = ""
        if others:
            one = len(self.paths) == 1
            places = [f"{row.line}" if one else f"{row.file}:{row.line}" for row in self.bad[:_SHOWN]]
            places += ["…"] * (self.n_bad > _SHOWN)
            more = f" ({counted(self.n_bad, 'bad row')}: {'lines ' * one}{', '.join(places)})"
        if first.reason.startswith(NOT_UTF_8):
            more += f"; {CONVERT.format('latin1')}"
        return DataError(f"{first.file}:{first.line}: {first.reason}{more}")

    def _bad(self, path: str, where: str, line: int, reason: str) -> None:
        self.n_bad += 1
        if self.skipped is not None:
            self.skipped.add(BadRow(path, line, reason))
            return
        if len(self.bad) < _SHOWN:
            self.bad.append(BadRow(where, line, reason))
        if self.fail_fast or self.n_bad >= _MAX_BAD:
            raise self.error()


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0
