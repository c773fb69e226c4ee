"""Predictions for the rows of tables, written after the input columns in bounded memory; continues after a kill.

While it runs, the rows are in OUT.part and its state in OUT.part.json: how many rows and bytes are complete, and which
input, model and options they come from. The last step renames OUT.part to OUT.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gatewise.cli.output import check_overwrite
from gatewise.cli.output_rows import OutputRows
from gatewise.cli.predictions import PredictionColumns
from gatewise.cli.table_writer import TableWriter, written_format
from gatewise.data.columns import RowReader, TableRow
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.storage.streams import STDIN

if TYPE_CHECKING:
    from gatewise.model.model import Model

T = TypeVar("T")
BATCH_ROWS, BATCH_CHARACTERS = 256, 500_000
_FLUSH_SECONDS = 2.0


@dataclass
class BulkPrediction:
    """Predicts the rows of `reader` into the table `out`.

    every: a column of probabilities per class. keep: the input columns to write; None: all. identity: what an
    unfinished run must agree with to be continued.
    """

    model: Model
    reader: RowReader
    out: Path
    every: bool = True
    overwrite: bool = False
    resume: bool = False
    identity: dict[str, Any] = field(default_factory=dict)
    keep: list[str] | None = None

    def __post_init__(self) -> None:
        self.part, self.state = part_files(self.out)
        self.suffix, _ = written_format(self.out)
        self.identity |= run_identity(self.reader, self.every, self.keep)

    def run(self) -> int:
        """The number of rows written. Raises DataError, InputError for an output or an unfinished run that is there."""
        before = self._begin()
        rows, total = iter(self.reader), int(before.get("rows", 0))
        for number in range(total):
            if next(rows, None) is None:
                raise DataError(
                    f"{quote(self.out, 200)}: the input has only {counted(number, 'row')}, fewer than the output"
                )
        writer: TableWriter | None = None
        complete: tuple[int, int] | None = None
        began = flushed = time.monotonic()
        progress = Progress(total, began)
        try:
            for batch in batches(rows, live=STDIN in self.reader.paths):
                logits = self.model.logits([row.text for row in batch])
                if writer is None:
                    output, writer = self._open(batch[0], before)
                writer.write(output.join(batch, logits))
                total += len(batch)
                complete = total, writer.file.tell()
                progress.show(total, self.reader.done)
                if time.monotonic() - flushed > _FLUSH_SECONDS or total == len(batch):
                    writer.flush()
                    self._save(*complete)
                    flushed = time.monotonic()
            if not total:
                raise DataError(f"{', '.join(self.reader.paths[:3])}: there is no row to predict")
            if self.reader.n_bad and self.reader.skipped is None:
                raise self.reader.error()
            if writer is None:  # all rows were there
                _, writer = self._open(None, before)
            writer.finish()
            self.state.unlink(missing_ok=True)
        except BaseException:
            if complete is not None and writer is not None and not writer.file.closed:
                writer.flush()
                self._save(*complete)
                progress.clear()
                part = quote(self.part, 200)
                print(
                    f"gatewise: {counted(complete[0], 'row is', 'rows are')} in {part}; --resume continues there",
                    file=sys.stderr,
                )
            elif complete is None and writer is not None and not before:
                writer.discard()  # there is nothing to continue
            raise
        finally:
            progress.clear()
            if writer is not None:
                with contextlib.suppress(OSError):
                    writer.close()
        return total

    def _begin(self) -> dict[str, Any]:
        """The state of the unfinished run, {} for a new one. Raises InputError where files would be overwritten."""
        if self.overwrite and self.resume:
            raise InputError("give either --overwrite or --resume")
        if not self.out.parent.is_dir():
            raise DataError(f"{quote(self.out.parent, 200)}: not a folder")
        if any(path != STDIN and self.out.exists() and os.path.samefile(path, self.out) for path in self._existing()):
            raise InputError(f"{quote(self.out, 200)}: the output is the input")
        if self.reader.skipped is not None:
            for path in (self.out, self.part, self.state):
                self.reader.skipped.check_other(path, "the output")
        before = self._state()
        if self.resume and before:
            if STDIN in self.reader.paths:
                raise InputError("stdin cannot be resumed: give a file, or --overwrite")
            check_identity(self.part, before.get("identity", {}), self.identity)
            self.overwrite = before.get("overwrite", False)
        check_overwrite(self.out, self.overwrite)
        if not self.resume and not self.overwrite and (self.part.exists() or self.state.exists()):
            raise InputError(
                f"{quote(self.part, 200)}: an unfinished run; --resume continues it, --overwrite starts again"
            )
        if not self.resume or not self.part.exists():
            return {}
        if self.part.stat().st_size < before.get("bytes", 0):
            raise DataError(f"{quote(self.part, 200)}: damaged, it has lost rows; --overwrite starts again")
        return before

    def _state(self) -> dict[str, Any]:
        try:
            found = json.loads(self.state.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            raise DataError(f"{quote(self.state, 200)}: damaged; --overwrite starts again") from None
        return found if isinstance(found, dict) else {}

    def _existing(self) -> list[str]:
        return [path for path in self.reader.paths if path != STDIN and os.path.exists(path)]

    def _open(self, first: TableRow | None, before: dict[str, Any]) -> tuple[OutputRows, TableWriter]:
        """The writer, opened after the first batch, so that an error in the input or the model leaves no file."""
        table = self.reader.first  # the batch may end in another one, with other columns or types
        assert table is not None
        own = list(first.values) if first is not None else list(table.keys)
        if before:  # the columns of the first row of the run, whatever this row has
            own = before["columns"][: -len(PredictionColumns(self.model, self.every, ()).names)]
        output = OutputRows(self.model, table, own, suffix=self.suffix, every=self.every, keep=self.keep)
        columns, header = output.columns, output.header
        writer = TableWriter(self.out, self.part, columns, header=header, schema=table.schema, at=before.get("bytes"))
        if not before:
            self.state.unlink(missing_ok=True)  # of a run that this one replaces
        self._columns = columns
        return output, writer

    def _save(self, rows: int, size: int) -> None:
        state = {
            "rows": rows,
            "bytes": size,
            "columns": self._columns,
            "overwrite": self.overwrite,
            "identity": self.identity,
        }
        scratch = self.state.with_name(self.state.name + ".new")
        try:
            scratch.write_text(json.dumps(state), encoding="utf-8")
            os.replace(scratch, self.state)
        except OSError as error:
            raise DataError(f"{quote(self.state, 200)}: cannot be written: {error.strerror}") from None


def part_files(out: Path) -> tuple[Path, Path]:
    """The names under which an unfinished run has the rows and the state of the output `out`."""
    return Path(f"{out}.part"), Path(f"{out}.part.json")


class Progress:
    """One line on stderr, if that is a terminal: rows, share, rows per second, ETA."""

    def __init__(self, rows: int, began: float) -> None:
        self._before, self._began, self._shown = rows, began, 0.0
        self._first: float | None = None
        self._terminal = sys.stderr.isatty()

    def show(self, rows: int, done: float | None) -> None:
        """Show the number of rows; done: the part of the input, from 0 to 1."""
        now = time.monotonic()
        if not self._terminal or now - self._shown < 0.5:
            return
        self._shown, seconds = now, max(now - self._began, 1e-3)
        line = f"{counted(rows, 'row')}  {(rows - self._before) / seconds:,.0f} rows/s"
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


def batches(rows: Iterator[TableRow], live: bool) -> Iterator[list[TableRow]]:
    """Rows in batches of a limited size. live: a batch is what has arrived, at least one row, without waiting."""
    size = characters = 0
    batch: list[TableRow] = []
    if live:
        yield from _arrived(rows)
        return
    for row in rows:
        batch.append(row)
        size, characters = size + 1, characters + len(row.text)
        if size >= BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, size, characters = [], 0, 0
    if batch:
        yield batch


def _arrived(rows: Iterator[T]) -> Iterator[list[T]]:
    """What another thread has read so far, in batches of at most `BATCH_ROWS`."""
    pending: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=BATCH_ROWS)

    def read() -> None:
        try:
            for row in rows:
                pending.put(("row", row))
            pending.put(("end", None))
        except BaseException as error:
            pending.put(("error", error))

    threading.Thread(target=read, daemon=True).start()
    while True:
        found = [pending.get()]
        with contextlib.suppress(queue.Empty):
            while len(found) < BATCH_ROWS:
                found.append(pending.get_nowait())
        batch = [value for kind, value in found if kind == "row"]
        if batch:
            yield batch
        kind, value = found[-1]
        if kind == "error":
            raise value
        if kind == "end":
            return


def run_identity(reader: RowReader, every: bool, keep: list[str] | None) -> dict[str, Any]:
    """What decides the rows and columns of an output, apart from the model. Raises DataError for a missing file."""
    return {
        "inputs": [_fingerprint(path) for path in reader.paths],
        "text": list(reader.columns.text),
        "delimiter": reader.delimiter,
        "probabilities": every,
        "keep": keep,
    }


def check_identity(where: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise InputError, naming the first difference, unless an unfinished run had the same model, input and options."""
    for name, value in now.items():
        if before.get(name) != value:
            what = {"inputs": "the input has changed", "model": "the model is another one"}
            raise InputError(
                f"{quote(where, 200)}: cannot be resumed: {what.get(name, f'{name} is different')}; "
                "--overwrite starts again"
            )


def _fingerprint(path: str) -> dict[str, Any]:
    """The SHA-256 of the whole file, which takes far less time than its predictions."""
    if path == STDIN:
        return {"path": STDIN}
    try:
        with open(path, "rb") as file:
            return {"path": path, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        reason = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise DataError(f"{quote(path, 200)}: {reason}") from None


def print_live(rows: Iterator[TableRow], live: bool, lines: Callable[[list[str]], list[str]]) -> int:
    """Print a line per row as the rows arrive: the number of rows. Raises DataError if there is none."""
    total = 0
    for batch in batches(rows, live):
        for line in lines([row.text for row in batch]):
            print(line)
        if live:
            sys.stdout.flush()
        total += len(batch)
    if not total:
        raise DataError("there is no row to predict")
    return total
