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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gatewise.cli.inputs import batches
from gatewise.cli.predictions import OutputRows
from gatewise.cli.table_writer import WRITABLE, check_output, write_table, written_format
from gatewise.data.columns import RowReader, TableRow
from gatewise.data.tables import ARROW, table_suffix
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.storage.atomic import reason, write_once
from gatewise.storage.streams import COMPRESSED, STDIN

if TYPE_CHECKING:
    from gatewise.cli.inputs import SeriesReader
    from gatewise.model.model import Model

ROWS_PER_FILE = 100_000
STATE = "_gatewise.json"
_SUFFIXES = (*WRITABLE, *(f"{suffix}.gz" for suffix in WRITABLE if suffix != ".parquet"))
_NAME = re.compile(r"part-(\d{5,})-(\d{5,})\.[a-z.]+")


class Share(NamedTuple):
    """One of `of` shares of the work: `number`, from 1."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Share:
        """From "3/16". Raises InputError."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise InputError(f"--part must be like 3/16, from 1/16 to 16/16, not {quote(text)}")
        return cls(int(found[1]), int(found[2]))

    def has(self, file: int, block: int) -> bool:
        """Whether a block of a file belongs to this share. Files and the blocks of one file are dealt out in turn."""
        return (file + block) % self.of == self.number - 1


@dataclass
class BulkPrediction:
    """Predicts the rows of `reader` into tables. every: a column of probabilities per class. keep: the input columns to
    write; () for all. n: the number of rows predicted so far.
    """

    model: Model
    reader: RowReader | SeriesReader
    every: bool = True
    keep: Sequence[str] = ()
    overwrite: bool = False
    n: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.progress = Progress()

    def to_file(self, out: Path) -> str:
        """All rows into one table. Returns what was written, in words. Errors as `check_output`."""
        check_output(out, self.reader.paths, self.overwrite)
        if self.reader.skipped is not None:
            self.reader.skipped.check_other(out, "the output")
        try:
            self.write(out, iter(self.reader))
        finally:
            self.progress.clear()
        if not self.n:
            raise self.no_row()
        return counted(self.n, "row")

    def write(self, out: Path, rows: Iterator[TableRow], begin: Callable[[], None] = lambda: None) -> None:
        """One table, completely or not at all. begin: called after the first batch, so that an error in the input or in
        the model has changed nothing.
        """
        first = next(rows, None)
        table = self.reader.table  # of the first row: the batch may end in another one, with other columns or types
        if first is None or table is None:
            return
        output = OutputRows(self.model, table, self.keep, self.every, written_format(out)[0])
        joined = self._joined(itertools.chain([first], rows), output)
        begun = next(joined)
        begin()
        with write_table(out, output.columns, header=output.header, schema=table.schema) as writer:
            for batch in itertools.chain([begun], joined):
                writer.write(batch)
                self.n += len(batch)
                self.progress.show(self.n, self.reader.done)

    def _joined(self, rows: Iterator[TableRow], output: OutputRows) -> Iterator[list[dict[str, Any]]]:
        for batch in batches(rows, STDIN in self.reader.paths, size=lambda row: len(row.input)):
            yield output.join(batch, self.model.logits([row.input for row in batch]))

    def no_row(self) -> DataError:
        """The error for an input without a row."""
        return DataError(f"{', '.join(self.reader.paths[:3])}: there is no row to predict")


class FolderPrediction:
    """Predicts into tables in the folder `out`.

    suffix: of the parts, such as ".parquet"; "": that of the first input. share: of the work that this run does.
    identity: with which the parts that are there must agree, apart from the input and the output's own options.
    """

    def __init__(
        self,
        bulk: BulkPrediction,
        out: Path,
        suffix: str = "",
        rows_per_file: int | None = None,
        share: Share = Share(1, 1),  # noqa: B008
        identity: dict[str, Any] | None = None,
    ) -> None:
        self.bulk, self.out, self.rows_per_file, self.share = bulk, out, rows_per_file or ROWS_PER_FILE, share
        reader = bulk.reader
        where = quote(out, 200)
        if STDIN in reader.paths:
            raise InputError(f"{where}: a folder is for the rows of files, and stdin is none: give -o FILE")
        if bulk.overwrite and share.of > 1:
            raise InputError(f"--overwrite would remove the files of other parts: remove the folder {where} instead")
        if reader.skipped is not None and out.resolve() in reader.skipped.path.resolve().parents:
            raise InputError(f"{quote(reader.skipped.path, 200)}: the list of bad rows is in the output folder")
        self.suffix = suffix or _suffix_of(reader.paths[0])
        if self.suffix not in _SUFFIXES:
            formats = ", ".join(suffix[1:] for suffix in _SUFFIXES)
            raise InputError(f"--format must be one of {formats}, not {quote(self.suffix[1:])}")
        named = {"ray": False, **(identity or {}), "inputs": [_digest(path) for path in reader.paths]}
        named |= {"probabilities": bulk.every, "keep": bulk.keep}
        named |= {"format": self.suffix, "rows-per-file": self.rows_per_file}
        self.identity = json.loads(json.dumps(named))  # as it is read

    def run(self) -> str:
        """What was written, in words. Raises InputError, DataError for an output that is there, or is of another model,
        input or options.
        """
        bulk, files = self.bulk, 0
        if check_folder(self.out) and not bulk.overwrite:
            self._check_state()
        there = set() if bulk.overwrite else self._parts()
        listed = bulk.reader.skipped is not None  # the bad rows of complete parts are listed again

        def chosen(file: int, row: int) -> bool:
            block = row // self.rows_per_file
            return self.share.has(file, block) and (listed or (file, block) not in there)

        bulk.reader.chosen = chosen
        try:
            for place, rows in itertools.groupby(bulk.reader, lambda row: (row.file, row.number // self.rows_per_file)):
                if place not in there:
                    name = "part-{:05d}-{:05d}".format(*place)
                    bulk.write(self.out / f"{name}{self.suffix}", rows, (lambda: None) if files else self._claim)
                    files += 1
        except BaseException:
            bulk.progress.clear()
            if files:
                done = counted(files, "file is", "files are")
                print(f"gatewise: {done} in {quote(self.out, 200)}; the same command continues there", file=sys.stderr)
            raise
        bulk.progress.clear()
        if not bulk.n and not there and self.share.of == 1:
            raise bulk.no_row()
        before = f"; {counted(len(there), 'file was', 'files were')} there" if there else ""
        return f"{counted(bulk.n, 'row')} in {counted(files, 'file')}{before}"

    def _claim(self) -> None:
        """Make the folder with its state, before the first part. Of several processes, one writes the state and the
        others read it.
        """
        state = self.out / STATE
        try:
            self.out.mkdir(exist_ok=True)
            if self.bulk.overwrite:
                for name in os.listdir(self.out):
                    if _NAME.fullmatch(name):
                        (self.out / name).unlink()
                state.unlink(missing_ok=True)  # the last one: until then, the folder is that of the run before
            write_once(state, json.dumps(self.identity).encode())
        except OSError as error:
            raise DataError(f"{quote(self.out, 200)}: cannot be written: {reason(error)}") from None
        self._check_state()

    def _check_state(self) -> None:
        """Raise InputError, naming the first difference, unless the parts have the same model, input and options."""
        state = self.out / STATE
        try:
            before = dict(json.loads(state.read_bytes()))
        except (OSError, ValueError, TypeError):
            raise DataError(f"{quote(state, 200)}: damaged; --overwrite starts again") from None
        what = {"inputs": "the input has changed", "model": "the model is another one"}
        for name, value in self.identity.items():
            if before.get(name) != value:
                why = what.get(name, f"{name} is different")
                raise InputError(f"{quote(self.out, 200)}: cannot be continued: {why}; --overwrite starts again")

    def _parts(self) -> set[tuple[int, int]]:
        """File and block of the complete parts of this share."""
        found = map(_NAME.fullmatch, os.listdir(self.out) if self.out.is_dir() else [])
        parts = {(int(match[1]), int(match[2])) for match in found if match}
        return {part for part in parts if self.share.has(*part)}


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
        found = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise DataError(f"{quote(path, 200)}: {found}") from None


def _suffix_of(path: str) -> str:
    """The suffix of the output for an input: the same format, compressed if the input is."""
    suffix = table_suffix(path)
    if suffix in ARROW:
        return ".parquet"
    written = {"": ".csv", ".json": ".jsonl"}.get(suffix, suffix)
    return f"{written}.gz" if Path(path).suffix.lower() in COMPRESSED else written


class Progress:
    """One line on stderr, if that is a terminal: rows, share, rows per second, ETA."""

    def __init__(self) -> None:
        self._began, self._shown = time.monotonic(), 0.0
        self._first: float | None = None
        self._terminal = sys.stderr.isatty()

    def show(self, rows: int, done: float | None) -> None:
        """Show the number of rows; done: the part of the input, from 0 to 1."""
        now = time.monotonic()
        if not self._terminal or now - self._shown < 0.5:
            return
        self._shown, seconds = now, max(now - self._began, 1e-3)
        line = f"{counted(rows, 'row')}  {rows / seconds:,.0f} rows/s"
        if done is not None:
            self._first = done if self._first is None else self._first
            line += f"  {done:.0%}"
            if done > self._first:
                eta = round((1 - done) / (done - self._first) * seconds)
                line += f"  ETA {eta // 60}:{eta % 60:02d}"
        print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Erase the line."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
