"""`TableColumns`: what the columns of a table hold. `RowReader`: rows of files as these columns, in bounded memory."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.data.cells import Cells
from gatewise.data.frames import joined_texts
from gatewise.data.rows import Rows
from gatewise.data.schema import LARGEST, NUMBER, RowSchema, check_names
from gatewise.data.suspects import INDEX, LABELS
from gatewise.data.tables import Table, open_table, table_suffix
from gatewise.errors import DataError, InputError, counted, quote, warn
from gatewise.storage.streams import CONVERT, NOT_UTF_8, STDIN
from gatewise.target import labels_task, words_of
from gatewise.types import ColumnNames, Task

if TYPE_CHECKING:
    from gatewise.data.bad_rows import BadRowList

_MAX_BAD = 1_000
"""After so many bad rows reading stops, unless they are skipped."""
_SHOWN = 5
"""Bad rows whose lines a message lists."""
_BATCH = 256
"""Rows that are converted at once."""


@dataclass(frozen=True)
class TableColumns(ColumnNames):
    """Which columns of a table hold what, by name.

    text: of a table of texts; () for series. label: none for unlabelled rows; several for several numbers, or for
    multi-label columns of 0 and 1. task: with "tagging", a text and its labels are lists, or words separated by spaces.
    values: the numbers of series; () for all columns that hold nothing else. time: for texts their order; for series
    the order of the steps, of which each row is one; None: each row is a series. id: the column that names the series.
    numeric, categorical: of the rows, or constant within a series. label_separator: between the labels of a row in one
    column. weight: a number, at least 0. label_if_there: the column of the labels, if the table has it. rest: whether
    `values` are all other columns. schema: of the model that the rows are for; None: of what the table itself holds.
    """

    text: tuple[str, ...] = ("text",)
    task: Task | None = None
    label_separator: str | None = None
    weight: str | None = None
    group: str | None = None
    label_if_there: str | None = None
    rest: bool = False
    schema: RowSchema | None = None

    @property
    def labels_task(self) -> Task | None:
        """The task as which the labels are read, see `gatewise.target.labels_task`."""
        return labels_task(self.task)

    @property
    def row(self) -> RowSchema:
        """The schema of the numeric and categorical columns."""
        return self.schema or RowSchema.of(self)

    def __post_init__(self) -> None:
        if self.label_separator == "":
            raise InputError("the label separator is empty: it is the text between the labels of a row, for example ;")
        check_names(RowSchema.of(self), {"text": self.text, "label": self.label, "values": self.values})
        if self.row and self.labels_task == "tagging":
            raise InputError("numeric and categorical columns are for one label per row, not for one per step")
        if self.label_separator is not None and (self.labels_task not in (None, "multilabel") or len(self.label) != 1):
            raise InputError("a label separator is for one label column with several labels per row (multilabel)")
        if len(self.label) > 1 and self.labels_task not in ("multilabel", "regression"):
            raise InputError(
                f"there are {len(self.label)} label columns: the task must be multilabel (columns of 0 and 1) or "
                "regression (columns of numbers)"
            )

    def names(self) -> ColumnNames:
        """What a model remembers. The values of a table with one series per row may be others in another table."""
        of_row: Any = {name: tuple(names) for name, names in self.row.names_by_type.items()}
        if self.text:
            return ColumnNames(self.text, self.label, **of_row)
        values = self.values if self.time else ()
        return ColumnNames((), self.label, values, self.id, self.time, **of_row)

    def found_in(self, table: Table) -> Self:
        """The columns as the header of the table writes them. Raises DataError for one that is not there, and for
        columns that would be read as values of series, but are row numbers or names.
        """
        text = tuple(table.column(name, "--text") for name in self.text)
        label = tuple(table.column(name, "--label") for name in self.label)
        if not label and self.label_if_there in table.columns:
            label = (str(self.label_if_there),)
        columns = replace(
            self,
            text=text,
            label=label,
            weight=self._optional(table, "weight"),
            group=self._optional(table, "group"),
            time=self._optional(table, "time"),
            id=self._optional(table, "id"),
            numeric=tuple(table.column(name, "--numeric") for name in self.numeric),
            categorical=tuple(table.column(name, "--categorical") for name in self.categorical),
        )
        if self.text:
            return columns
        names = [name.strip() for name in table.columns]
        if doubled := [name for name in names if names.count(name) > 1]:
            table.fail(f"the header has {names.count(doubled[0])} columns {quote(doubled[0])}")
        if names and all(map(NUMBER.fullmatch, names)) and not is_numbering(names):
            table.fail("the first line holds numbers only: a table needs a header with the names of its columns")
        if self.values:
            return replace(columns, values=tuple(table.column(name, "--value") for name in self.values))
        return replace(columns, values=columns._other_columns(table), rest=True)

    def _optional(self, table: Table, name: str) -> str | None:
        """The column of one of the fields that name a single one, as the header writes it."""
        column: str | None = getattr(self, name)
        return table.column(column, f"--{name}") if column else column

    def _other_columns(self, table: Table) -> tuple[str, ...]:
        """The columns that hold nothing else: the values of series. Raises DataError for one that looks like labels or
        row numbers.
        """
        single = (self.weight, self.group, self.time, self.id)
        taken = {*self.label, *self.numeric, *self.categorical, *single}
        values = tuple(name for name in table.columns if name not in taken)
        for name in values:
            is_label = self.time is None and name.strip().lower() in LABELS
            if is_label or name.strip().lower() in INDEX:
                option = "--label" if is_label else "--id"
                table.fail(
                    f"the column {quote(name)} would be read as values of the series: name it with {option}, or take "
                    "it out"
                )
        if not values:
            table.fail("there is no column for the values of the series")
        return values

    def convert(self, cells: Cells) -> Rows:
        """What the columns hold, for rows of a table in which they were found."""
        rows = Rows(
            self._texts(cells) if self.text else [],
            self.names(),
            self._labels(cells) if self.label else None,
            self.task,
            label_by_name=not self.label,
            steps=() if self.text or self.time is not None else self.values,
        )
        if self.weight is not None:
            rows = replace(rows, sample_weight=self._sample_weight(cells, self.weight))
        if self.group is not None:
            rows = replace(rows, groups=cells.names(self.group))
        if self.id is not None:
            rows = replace(rows, ids=list(map(str, cells.names(self.id, needed=self.time is not None))))
        if self.time is not None:
            rows = replace(rows, times=cells.times(self.time))
        if not self.text:
            rows = replace(rows, inputs=self._series(cells))
        if self.row:
            rows = replace(rows, columns=self._columns_of_rows(cells))
        return rows

    def _texts(self, cells: Cells) -> list[Any]:
        """The text of each row, of several columns joined by a newline."""
        columns = {name: cells.column(name) for name in self.text}
        if self.labels_task == "tagging":  # a cell may be a list of words
            columns = {name: cells.texts(column) for name, column in columns.items()}
        texts: list[Any] = joined_texts(columns, cells.problems)
        for n, text in enumerate(texts):
            if not text or not text.strip():
                cells.fail(n, "the text is empty")
        return texts

    def _series(self, cells: Cells) -> list[Any]:
        """The series of each row (steps, 1), or where each row is a step its values (channels,)."""
        known = {*self.values, *self.label, self.id, self.time, *self.numeric, *self.categorical}
        if self.rest:
            for n, row in enumerate(cells.rows):
                if extra := [name for name in row if name not in known]:
                    cells.fail(n, f"the key {quote(extra[0], 40)} is not in the first record")
        hint = "; name a label or id column" if self.rest else ""
        numbers = [cells.numbers(name, hint=hint, limit=LARGEST) for name in self.values]
        values = list(np.stack(numbers, axis=1))
        if self.time is not None:
            return values
        series = [trim(row[:, None]) for row in values]
        for n, steps in enumerate(series):
            if not len(steps):
                cells.fail(n, "the series has no value")
        return series

    def _sample_weight(self, cells: Cells, column: str) -> list[float]:
        sample_weight: list[float] = cells.numbers(column, needed=True).tolist()
        for n, weight in enumerate(sample_weight):
            if weight < 0:
                cells.fail(n, f"{quote(column)}, a weight, must be at least 0, not '{weight:g}'")
        return sample_weight

    def _columns_of_rows(self, cells: Cells) -> list[dict[str, float | str]]:
        """The numeric and categorical columns of each row. The table may write their names in another case."""
        schema = self.row
        columns: list[dict[str, float | str]] = []
        headings = dict(zip(schema.names, (*self.numeric, *self.categorical), strict=True))
        for n, row in enumerate(cells.rows):
            cells_of_row = {name: row[heading] for name, heading in headings.items() if heading in row}
            values: dict[str, float | str] = {}
            try:
                values = schema.read(cells_of_row)
            except InputError as error:
                cells.fail(n, str(error))
            columns.append(values)
        return columns

    def _labels(self, cells: Cells) -> list[Any]:
        """The label of each row, the list of its labels, or its numbers."""
        if self.labels_task == "regression" or len(self.label) > 1:
            columns = [self._numbers(cells, name) for name in self.label]
            return list(map(list, zip(*columns, strict=True)))
        [column] = self.label
        if self.label_separator is not None:
            texts = joined_texts({column: cells.column(column)}, cells.problems)
            labels = [(text or "").split(self.label_separator) for text in texts]
            return [[label.strip() for label in row if label.strip()] for row in labels]
        names = cells.names(column, needed=self.text != ())
        # In a table with a step per row, the label of the row is that of the step.
        is_step = not self.text and self.time is not None
        if self.labels_task == "tagging" and not is_step:
            return [words_of(name) if isinstance(name, str) else name for name in names]
        return names

    def _numbers(self, cells: Cells, column: str) -> list[Any]:
        """The numbers of a label column, or for several labels 0 and 1."""
        if self.labels_task == "multilabel":
            return cells.binary(column)
        numbers: list[Any] = cells.numbers(column, needed=True).tolist()
        return numbers


def trim(series: NDArray[Any]) -> NDArray[Any]:
    """A series (steps, channels) without the missing steps at the end."""
    known = np.flatnonzero(~np.isnan(series).all(axis=1))
    return series[: known[-1] + 1] if len(known) else series[:0]


def is_numbering(names: list[str]) -> bool:
    """Whether the names are 0, 1, 2, ... or 1, 2, 3, ..., as pandas names columns."""
    return any(names == [str(k + start) for k in range(len(names))] for start in (0, 1))


class TableRow(NamedTuple):
    """A row of a table. line: where it begins. values: its cells as read, by column; a text that says why it cannot be
    read. table: the name of the file. file, number: which file of the reader, and which row of it. input: the text or
    the series, with its columns where a model reads some (`Row`).
    """

    line: int
    values: Any
    table: str
    file: int
    number: int
    input: Any = None

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.table}:{self.line}"


class BadRow(NamedTuple):
    """A row of a table that cannot be used. reason: what is wrong with it."""

    table: str
    line: int
    reason: str

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.table}:{self.line}"


def table_paths(path: str | Path | Sequence[str | Path]) -> list[str]:
    """The files that a path, a glob pattern or a list of them names, in the order given, those of a pattern sorted.

    Raises DataError for a pattern that fits no file.
    """
    patterns = [path] if isinstance(path, str | Path) else path
    paths: list[str] = []
    for pattern in map(str, patterns):
        if pattern == STDIN:
            paths.append(STDIN)
        else:
            paths += _matching_files(str(Path(pattern).expanduser()))
    if not paths:
        raise DataError("there is no file to read")
    return paths


def _matching_files(pattern: str) -> list[str]:
    """The files that a glob pattern fits, sorted; the path itself if it is none, or a file has this name."""
    if not glob.has_magic(pattern) or Path(pattern).exists():
        return [pattern]
    files = sorted(glob.glob(pattern, recursive=True))
    if not files:
        raise DataError(f"{quote(pattern, 200)}: no file fits the pattern")
    return files


@dataclass
class RowReader:
    """Reads the rows of tables in bounded memory: one by one, or as batches of what their columns hold.

    skipped: the list that bad rows are written to; None: bad rows are an error. lines: opens files that are not tables
    by their names, and stdin, as one text per line, whatever the columns are; None: these are tables too. fail_fast:
    the first bad row is an error at once. live: each row is a batch, so that it is answered when it arrives. chosen:
    whether a row is read, by file and row; None for all. bad: the first bad rows. n_bad, n: the bad rows and the good
    ones so far. table: the one that is open.
    """

    paths: list[str]
    columns: TableColumns
    delimiter: str | None = None
    skipped: "BadRowList | None" = None
    lines: Callable[[str], Table] | None = None
    fail_fast: bool = False
    live: bool = False
    chosen: Callable[[int, int], bool] | None = None
    bad: list[BadRow] = field(default_factory=list)
    n_bad: int = 0
    n: int = 0
    table: Table | None = None
    _bytes_done: int = 0  # of the files before the open one
    _row: int = -1  # the last row that was read of the open file

    @classmethod
    @contextmanager
    def open(
        cls,
        path: str | Path | Sequence[str | Path],
        columns: TableColumns,
        delimiter: str | None = None,
        skip_bad_rows: str | Path | None = None,
        **options: Any,
    ) -> Iterator[Self]:
        """A reader; options: lines, fail_fast, live.

        At the end of the block, bad rows are an error, or a warning with their number if they are skipped.
        """
        paths = table_paths(path)
        skipped = None
        if skip_bad_rows is not None:
            from gatewise.data.bad_rows import BadRowList  # most readings do without

            skipped = BadRowList(skip_bad_rows)
            for input_path in paths:
                skipped.check_other(input_path, "an input")
        reader = cls(paths, columns, delimiter, skipped, **options)
        try:
            yield reader
        finally:
            if reader.table is not None:
                reader.table.stream.close()
            if skipped is not None:
                skipped.close()
        if reader.n_bad and skipped is None:
            raise reader.error()
        if reader.n_bad:
            n_rows = reader.n_bad + reader.n
            warn(
                f"{counted(reader.n_bad, 'bad row')} of {n_rows:,} skipped: see {quote(skip_bad_rows, 200)}",
                UserWarning,
            )

    def read(self) -> Rows:
        """All rows together, with what their columns hold."""
        batches = [batch for batch, _ in self.batches()]
        if not batches:
            batches = [Rows([], self.columns.names())]
        rows = Rows.together(batches)
        notes = list(rows.notes)
        if self.n_bad:
            notes.append(f"{counted(self.n_bad, 'bad row')} skipped")
        return replace(rows, paths=self.paths, notes=notes)

    def __iter__(self) -> Iterator[TableRow]:
        for batch, rows in self.batches():
            for row, item in zip(rows, batch.rows, strict=True):
                yield row._replace(input=item)

    def batches(self) -> Iterator[tuple[Rows, list[TableRow]]]:
        """What the columns hold, and all cells as read, of the good rows of each batch."""
        for file, path in enumerate(self.paths):
            opens_lines = None if table_suffix(path) else self.lines
            if opens_lines is None:
                table = open_table(path, self.delimiter)
                self.table = table
                columns = self.columns.found_in(table)
            else:
                table = opens_lines(path)
                self.table = table
                columns = TableColumns(table.columns).found_in(table)
            if self.skipped is not None:
                self.skipped.add()  # not before the input is open: if it cannot be, the list of an earlier run stays
            rows = self._rows(table, file)
            while chunk := list(islice(rows, 1 if self.live else _BATCH)):
                batch, good_rows = self._convert(path, columns, chunk)
                self.n += len(good_rows)
                if good_rows:
                    places = [(row.table, row.line) for row in good_rows]
                    notes = [table.note] if table.note else []
                    yield replace(batch, places=places, notes=notes), good_rows
            table.stream.close()
            self._bytes_done += table.stream.size
        if self.skipped is not None:
            self.skipped.close()  # what cannot be written is an error before an output is complete

    def _rows(self, table: Table, file: int) -> Iterator[TableRow]:
        """The rows of a table that are chosen, as read. file: its number."""
        self._row = -1

        def skip() -> bool:
            """Whether the next row is left out. The table asks before it reads a row."""
            self._row += 1
            return self.chosen is not None and not self.chosen(file, self._row)

        for line, cells in table.rows(skip):
            yield TableRow(line, cells, table.stream.where, file, self._row)

    def _convert(self, path: str, columns: TableColumns, rows: Sequence[TableRow]) -> tuple[Rows, list[TableRow]]:
        """What the columns of the good rows hold, and these rows; the bad rows are counted."""
        problems: dict[int, str] = {}
        cells_of_rows: list[dict[str, Any]] = []
        for n, row in enumerate(rows):
            if isinstance(row.values, str):
                problems[n] = row.values
                cells_of_rows.append({})
            else:
                cells_of_rows.append(row.values)
        cells = Cells(cells_of_rows, problems)
        batch = columns.convert(cells)
        if not cells.problems:
            return batch, list(rows)
        for n, reason in sorted(cells.problems.items()):
            self._add_bad(path, BadRow(rows[n].table, rows[n].line, reason))
        good = [n for n in range(len(rows)) if n not in cells.problems]
        return batch.take(good), [rows[n] for n in good]

    @property
    def done(self) -> float | None:
        """The part of the files that has been read, from 0 to 1; None with stdin."""
        if STDIN in self.paths or self.table is None:
            return None
        stream = self.table.stream
        bytes_read = self._bytes_done + (stream.done or 0.0) * stream.size
        total = sum(os.path.getsize(path) for path in self.paths if os.path.exists(path))
        return min(1.0, bytes_read / max(1, total))

    def error(self) -> DataError:
        """The error for the bad rows: the first one, the number of all, and the lines of some, with their files."""
        first = self.bad[0]
        message = f"{first.where}: {first.reason}"
        if len(self.bad) > 1:
            is_one_file = len(self.paths) == 1
            places = [f"{row.line}" if is_one_file else row.where for row in self.bad]
            if self.n_bad > len(self.bad):
                places.append("…")
            noun = "lines " if is_one_file else ""
            message += f" ({counted(self.n_bad, 'bad row')}: {noun}{', '.join(places)})"
        if first.reason.startswith(NOT_UTF_8):
            message += f"; {CONVERT.format('latin1')}"
        return DataError(message)

    def _add_bad(self, path: str, row: BadRow) -> None:
        """Count a bad row; write it to the list of skipped rows, or keep it for the message."""
        self.n_bad += 1
        if self.skipped is not None:
            self.skipped.add(path, row.line, row.reason)
            return
        if len(self.bad) < _SHOWN:
            self.bad.append(row)
        if self.fail_fast or self.n_bad >= _MAX_BAD:
            raise self.error()
