"""`RowReader`: rows of one or more tables with their text, label and other columns, in bounded memory."""

from __future__ import annotations

import glob
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from gatewise.data.bad_rows import BadRow, BadRowList
from gatewise.data.streams import CONVERT, NOT_UTF_8, STDIN
from gatewise.data.tables import Table, is_table, open_table
from gatewise.data.text_lines import open_lines
from gatewise.data.times import Time, parse_time
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.types import Task

_MAX_BAD = 1_000  # bad rows, after which reading stops unless they are skipped
_SHOWN = 5
_BINARY = {"0": 0, "1": 1, "false": 0, "true": 1, "False": 0, "True": 1}


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what. Several texts of a row are joined by a newline.

    label: none for unlabelled rows; several for several numbers, or for multi-label columns of 0 and 1.
    label_separator: between the labels of a row in one column. weight, time: numbers, or for `time` dates in ISO 8601.
    """

    text: tuple[str, ...] = ("text",)
    label: tuple[str, ...] = ()
    task: Task | None = None
    label_separator: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None

    def __post_init__(self) -> None:
        if not self.text:
            raise InputError("there must be at least one text column")
        if self.label_separator == "":
            raise InputError("the label separator is empty: it is the text between the labels of a row, for example ;")
        if self.label_separator is not None and (self.task not in (None, "multilabel") or len(self.label) != 1):
            raise InputError("a label separator is for one label column with several labels per row (multilabel)")
        if len(self.label) > 1 and self.task not in ("multilabel", "regression"):
            raise InputError(
                f"there are {len(self.label)} label columns: the task must be multilabel (columns of 0 and 1) or "
                "regression (columns of numbers)"
            )


class TableRow(NamedTuple):
    """A row of a table: its text, what the other columns of `Columns` hold, all columns as read, and its file."""

    line: int
    text: str
    label: Any
    weight: float
    group: Any
    time: Time
    values: dict[str, Any]
    file: str

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.file}:{self.line}"


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
    """Iterates over the rows of tables in bounded memory."""

    paths: list[str]
    columns: Columns
    delimiter: str | None = None
    skipped: BadRowList | None = None
    notes: list[str] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    n_bad: int = 0
    n: int = 0
    table: Table | None = None
    first: Table | None = None  # of the first good row
    keys: dict[str, str] = field(default_factory=dict)  # of the table that is open, by the name that the user gave
    lines: bool = False  # other files than tables, and stdin, hold one text per line
    refuse_tables: bool = False  # lines on stdin that look like a table are an error
    fail_fast: bool = False  # the first bad row is an error at once
    chosen: Callable[[int, int], bool] | None = None  # whether a row is read, by file and row; None: all
    file: int = 0  # of `paths`, that is open
    row: int = -1  # of this file, that was read or left out last, good or bad
    _path: str = ""
    _done: int = 0
    _total: int = 0

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
    ) -> Iterator[RowReader]:
        """A reader; lines, refuse_tables, fail_fast: see the fields.

        At the end of the block, bad rows are an error, or a warning with their number if they are skipped.
        """
        paths = table_paths(path)
        skipped = None if skip_bad_rows is None else BadRowList(skip_bad_rows)
        if skipped is not None:
            for one in paths:
                if one != STDIN:
                    skipped.check_other(one, "an input")
        reader = cls(paths, columns, delimiter, skipped, lines=lines, refuse_tables=refuse_tables, fail_fast=fail_fast)
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

    def __iter__(self) -> Iterator[TableRow]:
        for number, path in enumerate(self.paths):
            self._path, self.file, self.row = path, number, -1
            text = self.lines and not is_table(path)
            refuse = self.refuse_tables and path == STDIN
            self.table = open_lines(path, refuse) if text else open_table(path, self.delimiter)
            self.keys = self._resolved(self.table)
            if self.table.note and self.table.note not in self.notes:
                self.notes.append(self.table.note)
            parse = self._parser(self.table.where)
            if self.skipped is not None:
                self.skipped.open()  # not before the input, without which the list of an earlier run stays
            for line, values in self.table.rows(self._bad, self._skip):
                try:
                    row = parse(line, values)
                except ValueError as error:
                    self._bad(line, str(error))
                    continue
                self.n += 1
                self.first = self.first or self.table
                yield row
            self.table.close()
            self._done += _size(path)
        if self.skipped is not None:
            self.skipped.close()  # what cannot be written is an error before an output is complete

    @property
    def done(self) -> float | None:
        """The part of the files that has been read, from 0 to 1; None with stdin."""
        if STDIN in self.paths or self.table is None:
            return None
        self._total = self._total or max(1, sum(map(_size, self.paths)))
        return min(1.0, (self._done + (self.table.stream.done or 0.0) * self.table.stream.size) / self._total)

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

    def _skip(self) -> bool:
        self.row += 1
        return self.chosen is not None and not self.chosen(self.file, self.row)

    def _bad(self, line: int, reason: str) -> None:
        assert self.table is not None
        row = BadRow(self.table.where, line, reason)
        self.n_bad += 1
        if self.skipped is not None:
            self.skipped.add(row._replace(file=self._path))
        elif len(self.bad) < _SHOWN:
            self.bad.append(row)
        if self.skipped is None and (self.fail_fast or self.n_bad >= _MAX_BAD):
            raise self.error()

    def _resolved(self, table: Table) -> dict[str, str]:
        c = self.columns
        wanted = [(name, "--text") for name in c.text] + [(name, "--label") for name in c.label]
        wanted += [(name, f"--{what}") for what in ("weight", "group", "time") if (name := getattr(c, what))]
        return {name: table.column(name, option) for name, option in wanted}

    def _parser(self, file: str) -> Callable[[int, dict[str, Any]], TableRow]:
        c, keys = self.columns, self.keys
        text = [keys[name] for name in c.text]
        label = [keys[name] for name in c.label]
        weight, group, when = (None if name is None else keys[name] for name in (c.weight, c.group, c.time))

        def parse(line: int, values: dict[str, Any]) -> TableRow:
            return TableRow(
                line,
                _joined_text(values, text),
                _label(values, label, c) if label else None,
                1.0 if weight is None else _weight(values, weight),
                None if group is None else _class_name(values, group),
                0.0 if when is None else _time(values, when),
                values,
                file,
            )

        return parse


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def _value(values: dict[str, Any], key: str) -> Any:
    if key not in values:
        raise ValueError(f"no key {quote(key)}; there are {', '.join(quote(k) for k in list(values)[:20])}")
    return values[key]


def _text(values: dict[str, Any], key: str) -> str:
    """The text in a column, or "". Raises ValueError for a column that is missing or has another type."""
    text = _value(values, key)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise ValueError(f"{quote(key)} must be a text")
    return text


def _joined_text(values: dict[str, Any], keys: list[str]) -> str:
    texts = [_text(values, key) for key in keys]
    if not any(text.strip() for text in texts):
        raise ValueError("the text is empty")
    return "\n".join(texts)


def _label(values: dict[str, Any], keys: list[str], columns: Columns) -> Any:
    if columns.task == "regression":
        return [_number(values, key) for key in keys]
    if len(keys) > 1:
        return [_binary(values, key) for key in keys]
    (key,) = keys
    if columns.label_separator is not None:
        names = _text(values, key).split(columns.label_separator)
        return [name.strip() for name in names if name.strip()]
    if isinstance(values.get(key), list):
        return [_name(name, key) for name in values[key]]
    return _class_name(values, key)


def _class_name(values: dict[str, Any], key: str) -> Any:
    return _name(_value(values, key), key)


def _name(label: Any, key: str) -> Any:
    label = label.strip() if isinstance(label, str) else label
    if label in (None, "") or label != label:  # NaN
        raise ValueError(f"{quote(key)} is empty")
    if not isinstance(label, str | bool | int | float):
        raise ValueError(f"{quote(key)} must be a text, a number or true/false")
    return label


def _number(values: dict[str, Any], key: str) -> float:
    value = _class_name(values, key)
    try:
        number = float(value) if not isinstance(value, bool) and "_" not in str(value) else math.nan
    except (ValueError, OverflowError):  # of a whole number above 1e308
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{quote(key)} must be a number, not {quote(value)}")
    return number


def _weight(values: dict[str, Any], key: str) -> float:
    number = _number(values, key)
    if number < 0:
        raise ValueError(f"{quote(key)}, a weight, must be at least 0, not {quote(values[key])}")
    return number


def _binary(values: dict[str, Any], key: str) -> int:
    value = _class_name(values, key)
    if value not in (0, 1, True, False) and value not in _BINARY:
        raise ValueError(f"{quote(key)} must be 0 or 1, not {quote(value)}")
    return _BINARY[value] if isinstance(value, str) else int(value)


def _time(values: dict[str, Any], key: str) -> Time:
    return parse_time(_value(values, key))
