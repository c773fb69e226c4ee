"""Predictions for the rows of tables and for series, in bounded memory: one file, or a folder of parts.

A file gets its name when it is complete. In a folder, each part holds the predictions of a block of consecutive rows
of one input file: part-00002-00007.parquet those of block 8 of file 3. A part that is there is not written again,
whether the process was killed or another one has made it, so the same command continues. `_gatewise.json` says which
model, input and options the parts are of.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatewise.cli.input_versions import InputChanged, InputVersions
from gatewise.cli.inputs import batches
from gatewise.cli.table_writer import JSON_LINES, WRITABLE, check_output, write_table, written_format
from gatewise.data.row_reader import RowReader, TableRow
from gatewise.data.tables import ARROW, CONLL, table_suffix
from gatewise.errors import DataError, InputError, counted, quote, reason
from gatewise.storage.atomic import sweep, write_once
from gatewise.storage.streams import COMPRESSED, STDIN, unreadable
from gatewise.target import EXPLANATION

if TYPE_CHECKING:
    from rich.progress import Progress

    from gatewise.cli.series import SeriesReader, SeriesTable
    from gatewise.data.tables import Table
    from gatewise.explain import Explanation
    from gatewise.model.model import Model
    from gatewise.types import Array

ROWS_PER_FILE = 100_000
STATE = "_gatewise.json"
_SUFFIXES = (*WRITABLE, *(f"{suffix}.gz" for suffix in WRITABLE if suffix != ".parquet"))
_STALE_ROWS = "no more of its rows are written to {}; --overwrite starts again"
_STALE_FILES = "the files in {} are of its earlier content; --overwrite starts again"
_NAME = re.compile(r"part-(\d{5,})-(\d{5,})\.[a-z.]+")


@dataclass
class BulkPrediction:
    """Predicts the rows of `reader` into tables. every: a column of probabilities per class. keep: the input columns to
    write; () for all. escape: as of `write_table`. explain: of an input, for columns of tokens and attributions.
    logits: of inputs, in place of the model's. n: the number of rows so far.
    """

    model: Model
    reader: RowReader | SeriesReader
    every: bool = True
    keep: Sequence[str] = ()
    overwrite: bool = False
    escape: bool = False
    explain: Callable[[Any], Explanation] | None = None
    logits: Callable[[list[Any]], Array] | None = None
    n: int = field(init=False, default=0)
    began: float = field(init=False, default_factory=time.monotonic)

    def to_file(self, out: Path) -> str:
        """All rows into one table. Returns what was written, in words. Errors as `check_output`."""
        check_output(out, self.reader.paths, self.overwrite)
        if self.reader.skipped is not None:
            self.reader.skipped.check_other(out, "the output")
        versions = InputVersions(self.reader.paths)
        unchanged = partial(versions.check, self.reader.paths, "nothing was written; run the command again")
        self.write(out, iter(self.reader), end=unchanged)
        self._check_rows()
        return counted(self.n, "row")

    def to_folder(self, out: Path, suffix: str, rows_per_file: int, part: str, identity: dict[str, Any]) -> str:
        """Blocks of so many rows of each file into tables in a folder, but for those that are there. Returns what was
        written, in words. Raises InputError, DataError for an output that is of another model, input or options.

        suffix: of the parts, such as ".parquet"; "": that of the first input. part: the share of the work that this run
        does, as in "3/16": files and the blocks of one file are dealt out in turn. identity: with which the parts that
        are there must agree, apart from the input and the output's own options.
        """
        reader, where = self.reader, quote(out, 200)
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", part, re.ASCII)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise InputError(f"--part must be like 3/16, from 1/16 to 16/16, not {quote(part)}")
        share, shares = int(found[1]) - 1, int(found[2])
        if STDIN in reader.paths:
            raise InputError(f"{where}: a folder is for the rows of files, and stdin is none: give -o FILE")
        if self.overwrite and shares > 1:
            raise InputError(f"--overwrite would remove the files of other parts: remove the folder {where} instead")
        if reader.skipped is not None and out.resolve() in reader.skipped.path.resolve().parents:
            raise InputError(f"{quote(reader.skipped.path, 200)}: the list of bad rows is in the output folder")
        suffix = suffix or _suffix_of(reader.paths[0])
        if suffix not in _SUFFIXES:
            formats = ", ".join(suffix[1:] for suffix in _SUFFIXES)
            raise InputError(f"--format must be one of {formats}, not {quote(suffix[1:])}")
        versions = InputVersions(reader.paths)  # before the files are hashed, so that a change after that is seen too
        state = {"ray": False, **identity, "inputs": [_digest(path) for path in reader.paths]}
        state |= {"probabilities": self.every, "keep": self.keep, "escape": self.escape}
        state |= {"format": suffix, "rows-per-file": rows_per_file}
        if check_folder(out) and not self.overwrite:
            _check_state(out, state)
        sweep(out)  # also where all parts are there, and nothing is written
        names = map(_NAME.fullmatch, os.listdir(out) if out.is_dir() and not self.overwrite else [])
        parts = {(int(match[1]), int(match[2])) for match in names if match}
        there = {place for place in parts if sum(place) % shares == share}
        listed = reader.skipped is not None  # the bad rows of complete parts are listed again

        def chosen(file: int, row: int) -> bool:
            place = (file, row // rows_per_file)
            return sum(place) % shares == share and (listed or place not in there)

        reader.chosen = chosen
        files = 0
        try:
            for place, rows in itertools.groupby(reader, lambda row: (row.file, row.number // rows_per_file)):
                if place not in there:
                    name = "part-{:05d}-{:05d}".format(*place)
                    begin = partial(_claim, out, state, self.overwrite) if not files else lambda: None
                    unchanged = partial(versions.check, [reader.paths[place[0]]], _STALE_ROWS.format(where))
                    self.write(out / f"{name}{suffix}", rows, begin, unchanged)
                    files += 1
            versions.check(reader.paths, _STALE_FILES.format(where))
        except InputChanged:
            raise  # the same command does not continue with another input
        except BaseException:
            if files:
                done = counted(files, "file is", "files are")
                print(f"gatewise: {done} in {where}; the same command continues there", file=sys.stderr)
            raise
        if not there and shares == 1:
            self._check_rows()
        before = f"; {counted(len(there), 'file was', 'files were')} there" if there else ""
        return f"{counted(self.n, 'row')} in {counted(files, 'file')}{before}"

    def write(
        self,
        out: Path,
        rows: Iterator[TableRow],
        begin: Callable[[], None] = lambda: None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """One table, completely or not at all. begin: called after the first batch, so that an error in the input or in
        the model has changed nothing. end: called after the last one; an error of it leaves no table.
        """
        first = next(rows, None)
        table = self.reader.table  # of the first row: the batch may end in another one, with other columns or types
        if first is None or table is None:
            return
        output, live = OutputRows(self, table, written_format(out)[0]), STDIN in self.reader.paths
        joined = map(output.join, batches(itertools.chain([first], rows), live, size=lambda row: len(row.input)))
        begun = next(joined)
        begin()
        with (
            write_table(out, output.columns, header=output.header, schema=table.schema, escape=self.escape) as writer,
            _progress() or nullcontext() as progress,
        ):
            bar = progress and progress.add_task("", total=1.0 if self.reader.done is not None else None)
            for batch in itertools.chain([begun], joined):
                writer.write(batch)
                self.n += len(batch)
                if progress and bar is not None:
                    rate = self.n / max(time.monotonic() - self.began, 1e-3)
                    text = f"{counted(self.n, 'row')}  {rate:,.0f} rows/s"
                    progress.update(bar, completed=self.reader.done or 0.0, description=text)
            end()

    def _check_rows(self) -> None:
        if not self.n:
            raise DataError(f"{', '.join(self.reader.paths[:3])}: there is no row to predict")


def _claim(out: Path, state: dict[str, Any], overwrite: bool) -> None:
    """Make the folder with its state, before the first part. Of several processes, one writes the state and the others
    read it.
    """
    try:
        out.mkdir(exist_ok=True)
        if overwrite:
            for name in os.listdir(out):
                if _NAME.fullmatch(name):
                    (out / name).unlink()
            (out / STATE).unlink(missing_ok=True)  # the last one: until then, the folder is that of the run before
        write_once(out / STATE, json.dumps(state).encode())
    except OSError as error:
        raise DataError(f"{quote(out, 200)}: cannot be written: {reason(error)}") from None
    _check_state(out, state)


def _check_state(out: Path, state: dict[str, Any]) -> None:
    """Raise InputError, naming the first difference, unless the parts have the same model, input and options."""
    try:
        before = dict(json.loads(_read_state(out / STATE)))
    except (OSError, ValueError, TypeError):
        raise DataError(f"{quote(out / STATE, 200)}: damaged; --overwrite starts again") from None
    what = {"inputs": "the input has changed", "model": "the model is another one"}
    for name, value in json.loads(json.dumps(state)).items():  # as it is read
        if before.get(name) != value:
            why = what.get(name, f"{name} is different")
            raise InputError(f"{quote(out, 200)}: cannot be continued: {why}; --overwrite starts again")


def _read_state(path: Path) -> bytes:
    """The bytes of a state. Another process that writes it may have created the file, but not its content yet
    (`write_once`), so an empty one is read again for a second.
    """
    for _ in range(100):
        if raw := path.read_bytes():
            return raw
        time.sleep(0.01)
    return b""


def check_folder(out: Path) -> bool:
    """Whether the folder has predictions, or their state. Raises InputError, DataError for one with something else."""
    where = quote(out, 200)
    if not out.exists():
        if not out.resolve().parent.is_dir():
            raise DataError(f"{quote(out.parent, 200)}: not a folder")
        return False
    if not out.is_dir():
        raise InputError(f"{where}: exists, and is not a folder")
    if (out / STATE).exists():
        return True
    if others := [name for name in sorted(os.listdir(out)) if not name.startswith(".gatewise-")]:
        raise InputError(f"{where}: contains {quote(others[0])}, and is not an output of gatewise predict")
    return False


def _digest(path: str) -> dict[str, str]:
    """The SHA-256 of the whole file, which takes far less time than its predictions."""
    try:
        with open(path, "rb") as file:
            return {"path": path, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        raise unreadable(path, error) from None


def _suffix_of(path: str) -> str:
    """The suffix of the output for an input: the same format, compressed if the input is."""
    suffix = table_suffix(path)
    if suffix in ARROW:
        return ".parquet"
    written = {"": ".csv", ".json": ".jsonl", **dict.fromkeys(CONLL, ".jsonl")}.get(suffix, suffix)
    return f"{written}.gz" if Path(path).suffix.lower() in COMPRESSED else written


def added_names(model: Model, every: bool, taken: Collection[str], explained: bool = False) -> list[str]:
    """The names of the columns that predictions add to a table. every: a column of probabilities per class, else one
    for the label. taken: names of other columns; a name that is among them gets "predicted_" in front.
    """
    names: list[str] = []
    for name in [*model.target.column_names(every), *EXPLANATION * explained]:
        while name in taken or name in names:
            name = f"predicted_{name}"
        names.append(name)
    return names


class OutputRows:
    """Joins rows of `table` with their predictions.

    suffix: of the output, without that of a compression. columns, header: the keys of the output's rows and their names
    in the file. Raises DataError for a column of `keep` that the table does not have.
    """

    def __init__(self, bulk: BulkPrediction, table: Table | SeriesTable, suffix: str) -> None:
        self._bulk, self._target, self._suffix = bulk, bulk.model.target, suffix
        self._own = [table.column(name, "--keep") for name in bulk.keep] or list(table.keys)
        names = {} if bulk.keep else dict(zip(table.keys, table.columns, strict=True))
        header = [names.get(name, name) for name in self._own]
        self._added = added_names(bulk.model, bulk.every, {*self._own, *header}, bulk.explain is not None)
        self.columns = [*self._own, *self._added]
        self.header = [*header, *self._added]
        self._names = set(self.columns)

    def join(self, batch: Sequence[TableRow]) -> list[dict[str, Any]]:
        """The output's rows for rows of the table. Raises DataError for a row whose columns do not fit those of the
        first row.
        """
        bulk = self._bulk
        logits = (bulk.logits or bulk.model.logits)([row.input for row in batch])
        predictions = self._target.columns(logits, every=bulk.every, names=True)
        columns: list[Any] = [map(self._cell, column.values) for column in predictions.values()]
        if bulk.explain is not None:
            explained = [bulk.explain(row.input) for row in batch]
            columns += [[list(one.steps) for one in explained], [one.scores.tolist() for one in explained]]
            columns.append([one.target for one in explained])
        new = zip(*columns, strict=True)
        return [
            self._own_cells(row) | dict(zip(self._added, cells, strict=True))
            for row, cells in zip(batch, new, strict=True)
        ]

    def _cell(self, value: Any) -> Any:
        """A value as it is written. The labels of a row are a list, or in CSV a text separated by "; ", those of the
        steps by spaces.
        """
        if isinstance(value, list):
            cells = [self._cell(entry) for entry in value]
            if self._suffix in (*JSON_LINES, ".parquet"):
                return cells
            return self._target.label_separator.join(map(str, cells))
        return self._target.each.stored(value) if isinstance(value, float) else value

    def _own_cells(self, row: TableRow) -> dict[str, Any]:
        values = dict(row.values)
        if self._bulk.keep:
            values = {name: values[name] for name in self._own if name in values}
        if name := next((name for name in self._added if name in values), None):
            raise DataError(f"{row.where}: the column {quote(name)} is in this row, but not in the first one")
        if self._suffix not in JSON_LINES and not values.keys() <= self._names:
            extra = next(name for name in values if name not in self._names)
            raise DataError(
                f"{row.where}: {quote(extra)} is not among the columns of the first row: write .jsonl instead"
            )
        return values


def _progress() -> Progress | None:
    """A bar on stderr for rows, share, rows per second and the time that is left; None without a terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from gatewise.system.console import PlainConsole

    columns = TextColumn("{task.description}"), BarColumn(bar_width=30), TaskProgressColumn(), TimeRemainingColumn()
    options: dict[str, Any] = {"transient": True, "redirect_stdout": False, "redirect_stderr": False}
    return Progress(*columns, console=PlainConsole(stderr=True), **options)
