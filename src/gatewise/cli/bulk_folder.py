"""Predictions for tables of any size, written as a folder of tables; several processes can share the work.

Each output file holds the predictions of a block of consecutive rows of one input file: part-00002-00007.parquet those
of block 8 of file 3. It gets its name when it is complete, so a file that is there is never written again, whether the
process was killed or another one has made it. `_gatewise.json` says which model, input and options the files are of.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gatewise.cli.bulk import Progress, batches, check_identity, run_identity
from gatewise.cli.output_rows import OutputRows
from gatewise.cli.table_writer import WRITABLE, TableWriter, written_format
from gatewise.data.columns import RowReader, TableRow
from gatewise.data.tables import ARROW, table_suffix
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.storage.atomic import reason, write_once
from gatewise.storage.streams import COMPRESSED, STDIN

if TYPE_CHECKING:
    from gatewise.model.model import Model

ROWS_PER_FILE = 100_000
_SUFFIXES = (*WRITABLE, *(f"{suffix}.gz" for suffix in WRITABLE if suffix != ".parquet"))
STATE = "_gatewise.json"
_NAME = re.compile(r"part-(\d{5,})-(\d{5,})\.[a-z.]+")
_HIDDEN = re.compile(r"\.part-\d{5,}-|\.gatewise-")  # left by a run that was killed


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


class Written(NamedTuple):
    """What a run has done: rows and files that it wrote, and files that were there."""

    rows: int
    files: int
    before: int


@dataclass
class FolderPrediction:
    """Predicts the rows of `reader` into tables in the folder `out`.

    every: a column of probabilities per class. keep: the input columns to write; None: all. suffix: of the files, such
    as ".parquet"; "": that of the first input. share: of the work that this run does. identity: with which the files
    that are there must agree.
    """

    model: Model
    reader: RowReader
    out: Path
    every: bool = True
    keep: list[str] | None = None
    suffix: str = ""
    rows_per_file: int = ROWS_PER_FILE
    share: Share = Share(1, 1)  # noqa: RUF009
    overwrite: bool = False
    resume: bool = False
    identity: dict[str, Any] = field(default_factory=dict)
    _rows: int = field(init=False, default=0)
    _files: int = field(init=False, default=0)
    _before: int = field(init=False, default=0)
    _claimed: bool = field(init=False, default=False)  # the folder is this run's
    _last: tuple[int, int] = field(init=False, default=(-1, -1))  # file and block of the last row
    _read: bool = field(init=False, default=False)  # whether this block is read

    def run(self) -> Written:
        """Raises InputError, DataError for an output that is there, or is of another model, input or options."""
        self._begin()
        self._progress = Progress(0, time.monotonic())
        self.reader.chosen = self._chosen
        try:
            for (file, block), rows in itertools.groupby(self.reader, self._place):
                if self._is_there(file, block):
                    self._before += 1
                    for _ in rows:  # read for its bad rows alone
                        pass
                else:
                    self._write(self._name(file, block), rows)
            if not self.reader.n and self.share.of == 1 and not self._pieces():
                raise DataError(f"{', '.join(self.reader.paths[:3])}: there is no row to predict")
        except BaseException:
            self._progress.clear()
            if self._files:
                done = counted(self._files, "file is", "files are")
                print(f"gatewise: {done} in {quote(self.out, 200)}; --resume continues there", file=sys.stderr)
            raise
        finally:
            self._progress.clear()
        self._remove_leftovers()
        return Written(self._rows, self._files, self._before)

    def _remove_leftovers(self) -> None:
        """Remove the hidden files of complete ones: a kill between the last two steps of a Parquet file leaves one."""
        for name in self._pieces():
            (self.out / f".{name}").unlink(missing_ok=True)

    def _place(self, row: TableRow) -> tuple[int, int]:
        return row.file, row.number // self.rows_per_file

    def _name(self, file: int, block: int) -> str:
        return f"part-{file:05d}-{block:05d}{self.suffix}"

    def _is_there(self, file: int, block: int) -> bool:
        return (self._claimed or not self.overwrite) and (self.out / self._name(file, block)).exists()

    def _chosen(self, file: int, row: int) -> bool:
        """Whether a row is read: of this share, and its file is not there, unless bad rows are to be listed."""
        block = row // self.rows_per_file
        if (file, block) != self._last:
            self._last = file, block
            mine = self.share.has(file, block)
            there = mine and self._is_there(file, block)
            self._before += there and self.reader.skipped is None
            self._read = mine and (not there or self.reader.skipped is not None)
        return self._read

    def _write(self, name: str, rows: Iterator[TableRow]) -> None:
        """One file, completely or not at all."""
        table = self.reader.table
        assert table is not None
        output = OutputRows(self.model, table, table.keys, suffix=self._format, every=self.every, keep=self.keep)
        hidden = self.out / f".{name}"
        writer = None
        try:
            for batch in batches(rows, live=False):
                logits = self.model.logits([row.text for row in batch])
                if not self._claimed:
                    self._claim()
                if writer is None:
                    header = output.header
                    writer = TableWriter(self.out / name, hidden, output.columns, header=header, schema=table.schema)
                writer.write(output.join(batch, logits))
                self._rows += len(batch)
                self._progress.show(self._rows, self.reader.done)
            if writer is not None:
                writer.finish()
                self._files += 1
        except BaseException:
            if writer is not None:
                writer.discard()
            raise

    def _begin(self) -> None:
        """The folder with its state. Raises InputError where something else would be written over or continued."""
        where = quote(self.out, 200)
        if STDIN in self.reader.paths:
            raise InputError(f"{where}: a folder is for the rows of files, and stdin is none: give -o FILE")
        if self.overwrite and self.resume:
            raise InputError("give either --overwrite or --resume")
        if self.overwrite and self.share.of > 1:
            raise InputError(f"--overwrite would remove the files of other parts: remove the folder {where} instead")
        skipped = self.reader.skipped
        if skipped is not None and self.out.resolve() in skipped.path.resolve().parents:
            raise InputError(f"{quote(skipped.path, 200)}: the list of bad rows is in the output folder")
        if self.rows_per_file < 1:
            raise InputError("--rows-per-file must be at least 1")
        self.suffix = self.suffix or _suffix_of(self.reader.paths[0])
        if self.suffix not in _SUFFIXES:
            formats = ", ".join(suffix[1:] for suffix in _SUFFIXES)
            raise InputError(f"--format must be one of {formats}, not {quote(self.suffix[1:])}")
        self._format, _ = written_format(f"part{self.suffix}")
        self.identity = {"ray": False} | self.identity
        self.identity |= run_identity(self.reader, self.every, self.keep)
        self.identity |= {"format": self.suffix, "rows-per-file": self.rows_per_file}
        state = self.out / STATE
        if not self.out.exists():
            if not self.out.parent.is_dir():
                raise DataError(f"{quote(self.out.parent, 200)}: not a folder")
            return
        if not self.out.is_dir():
            raise InputError(f"{where}: exists, and is not a folder")
        if not state.exists():
            if others := [name for name in sorted(os.listdir(self.out)) if not _HIDDEN.match(name)]:
                raise InputError(f"{where}: contains {quote(others[0])}, and is not an output of gatewise predict")
        elif not self.overwrite:
            check_identity(self.out, _read_state(state), self.identity)
            if self._pieces() and not self.resume:
                raise InputError(f"{where}: contains predictions; --resume continues, --overwrite starts again")

    def _claim(self) -> None:
        """Make the folder with its state, before the first file, so that an error in the input or the model leaves
        nothing. Of several processes, one writes the state and the others read it.
        """
        state = self.out / STATE
        try:
            self.out.mkdir(exist_ok=True)
            if self.overwrite:
                for name in os.listdir(self.out):
                    if _NAME.fullmatch(name) or _HIDDEN.match(name):
                        (self.out / name).unlink()
                state.unlink(missing_ok=True)  # the last one: until then, the folder is that of the run before
            write_once(state, json.dumps(self.identity).encode())
        except OSError as error:
            raise DataError(f"{quote(self.out, 200)}: cannot be written: {reason(error)}") from None
        check_identity(self.out, _read_state(state), self.identity)
        self._claimed = True

    def _pieces(self) -> list[str]:
        """The complete files of this share."""
        if not self.out.is_dir():
            return []
        found = [(name, _NAME.fullmatch(name)) for name in sorted(os.listdir(self.out))]
        return [name for name, match in found if match and self.share.has(int(match[1]), int(match[2]))]


def _suffix_of(path: str) -> str:
    """The suffix of the output for an input: the same format, compressed if the input is."""
    suffix = table_suffix(path)
    if suffix in ARROW:
        return ".parquet"
    written = {"": ".csv", ".json": ".jsonl"}.get(suffix, suffix)
    return f"{written}.gz" if Path(path).suffix.lower() in COMPRESSED else written


def _read_state(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise DataError(f"{quote(path, 200)}: damaged; --overwrite starts again") from None
    return found if isinstance(found, dict) else {}
