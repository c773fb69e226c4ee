"""Predictions for the rows of tables and for series, in bounded memory: one file, or a folder of parts.

A file gets its name when it is complete. In a folder, each part holds the predictions of a block of consecutive rows
of one input file: part-00002-00007.parquet holds block 8 of file 3. A part that exists is not written again, so the
same command continues after the process was killed, and several processes share the work. `_gatewise.json` records the
model, the input and the options of the parts.
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

import numpy as np

from gatewise.cli.input_versions import InputChanged, InputVersions
from gatewise.cli.inputs import batches, size_of
from gatewise.cli.table_writer import JSON_LINES, WRITABLE, check_output, write_table, written_format
from gatewise.data.row_reader import RowReader, TableRow
from gatewise.data.tables import ARROW, CONLL, table_suffix
from gatewise.errors import DataError, InputError, counted, quote, reason
from gatewise.storage.atomic import sweep, write_once
from gatewise.storage.streams import COMPRESSED, STDIN, unreadable
from gatewise.target import EXPLANATION

if TYPE_CHECKING:
    from rich.progress import Progress

    from gatewise.cli.arrays import ArrayReader
    from gatewise.cli.file_columns import FileColumns
    from gatewise.cli.series import SeriesReader
    from gatewise.data.tables import Table
    from gatewise.explain import Explanation
    from gatewise.model import Model
    from gatewise.types import Array

ROWS_PER_FILE = 100_000
STATE = "_gatewise.json"
_SUFFIXES = (*WRITABLE, *(f"{suffix}.gz" for suffix in WRITABLE if suffix != ".parquet"))
_STALE_ROWS = "no more of its rows are written to {}; --overwrite starts again"
_STALE_FILES = "the files in {} are of its earlier content; --overwrite starts again"
_NAME = re.compile(r"part-(\d{5,})-(\d{5,})\.[a-z.]+")


@dataclass
class BulkPrediction:
    """Predicts the rows of `reader` into tables.

    every: write a column of probabilities per class. keep: the input columns to write; () for all. escape: see
    `write_table`. explain: a function that explains an input, for columns of tokens and attributions. logits: a
    function of inputs that replaces `model.logits`. outputs: write all outputs of a network that is a graph too, a
    column for each. n: the number of rows so far.
    """

    model: Model
    reader: RowReader | SeriesReader | ArrayReader
    every: bool = True
    keep: Sequence[str] = ()
    overwrite: bool = False
    escape: bool = False
    explain: Callable[[Any], Explanation] | None = None
    logits: Callable[[list[Any]], Array] | None = None
    outputs: bool = False
    n: int = field(init=False, default=0)
    began: float = field(init=False, default_factory=time.monotonic)

    def to_file(self, out: Path) -> str:
        """Write all rows into one table. Returns what was written, in words. Raises as `check_output`."""
        check_output(out, self.reader.paths, self.overwrite)
        if self.reader.skipped is not None:
            self.reader.skipped.check_other(out, "the output")
        versions = InputVersions(self.reader.paths)
        unchanged = partial(versions.check, self.reader.paths, "nothing was written; run the command again")
        self.write(out, iter(self.reader), end=unchanged)
        self._check_rows()
        return counted(self.n, "row")

    def to_folder(self, out: Path, suffix: str, rows_per_file: int, part: str, identity: dict[str, Any]) -> str:
        """Write blocks of `rows_per_file` rows of each file into tables in a folder, except for those that exist.
        Returns what was written, in words. Raises InputError, DataError for an output of another model, input or other
        options.

        suffix: the suffix of the parts, such as ".parquet"; "" for that of the first input. part: the share of the work
        that this run does, as in "3/16": the blocks of all files are dealt out in turn. identity: the model and its
        options, which must be those of the parts that exist.
        """
        reader = self.reader
        folder = quote(out, 200)
        share, shares = _parsed_part(part)
        if STDIN in reader.paths:
            raise InputError(f"{folder}: a folder is for the rows of files, and stdin is none: give -o FILE")
        if self.overwrite and shares > 1:
            raise InputError(f"--overwrite would remove the files of other parts: remove the folder {folder} instead")
        if reader.skipped is not None and out.resolve() in reader.skipped.path.resolve().parents:
            raise InputError(f"{quote(reader.skipped.path, 200)}: the list of bad rows is in the output folder")
        suffix = suffix or _suffix_of(reader.paths[0])
        if suffix not in _SUFFIXES:
            formats = ", ".join(suffix[1:] for suffix in _SUFFIXES)
            raise InputError(f"--format must be one of {formats}, not {quote(suffix[1:])}")
        versions = InputVersions(reader.paths)  # before the files are hashed, so that a change after that is seen too
        state = {
            "ray": False,
            **identity,
            "inputs": [_digest(path) for path in reader.paths],
            "probabilities": self.every,
            "keep": self.keep,
            "escape": self.escape,
            "format": suffix,
            "rows-per-file": rows_per_file,
        }
        if check_folder(out) and not self.overwrite:
            _check_state(out, state)
        sweep(out)  # also where all parts exist, and nothing is written
        existing: set[tuple[int, int]] = set()
        if not self.overwrite:
            existing = {block for block in _existing_blocks(out) if sum(block) % shares == share}
        # The list of bad rows is written anew by each run, so the rows of complete parts are read again for it.
        reads_all = reader.skipped is not None

        def is_chosen(file: int, row: int) -> bool:
            block = (file, row // rows_per_file)
            if sum(block) % shares != share:
                return False
            return reads_all or block not in existing

        reader.chosen = is_chosen
        written = 0
        try:
            for block, rows in itertools.groupby(reader, lambda row: (row.file, row.number // rows_per_file)):
                if block in existing:
                    continue
                file, number = block
                path = out / f"part-{file:05d}-{number:05d}{suffix}"
                unchanged = partial(versions.check, [reader.paths[file]], _STALE_ROWS.format(folder))
                if written:
                    self.write(path, rows, end=unchanged)
                else:
                    self.write(path, rows, partial(_claim, out, state, self.overwrite), unchanged)
                written += 1
            versions.check(reader.paths, _STALE_FILES.format(folder))
        except InputChanged:
            raise  # the same command does not continue with another input
        except BaseException:
            if written:
                done = counted(written, "file is", "files are")
                print(f"gatewise: {done} in {folder}; the same command continues there", file=sys.stderr)
            raise
        if not existing and shares == 1:
            self._check_rows()
        words = f"{counted(self.n, 'row')} in {counted(written, 'file')}"
        if existing:
            words += f"; {counted(len(existing), 'file was', 'files were')} there"
        return words

    def write(
        self,
        out: Path,
        rows: Iterator[TableRow],
        begin: Callable[[], None] = lambda: None,
        end: Callable[[], None] = lambda: None,
    ) -> None:
        """Write one table, completely or not at all. begin: called after the first batch is computed: an error in the
        input or in the model has changed nothing by then. end: called after the last batch; if it raises, there is no
        table.
        """
        first_row = next(rows, None)
        # The table of the first row. The batch may end in the next file, with other columns or types.
        table = self.reader.table
        if first_row is None or table is None:
            return
        suffix, _ = written_format(out)
        output = OutputRows(self, table, suffix)
        is_live = STDIN in self.reader.paths
        row_batches = batches(itertools.chain([first_row], rows), is_live, size=lambda row: size_of(row.input))
        output_batches = map(output.join, row_batches)
        first_batch = next(output_batches)
        begin()
        with (
            write_table(out, output.columns, header=output.header, schema=table.schema, escape=self.escape) as writer,
            _progress() or nullcontext() as progress,
        ):
            if progress is not None:
                total = None if self.reader.done is None else 1.0
                bar = progress.add_task("", total=total)
            for batch in itertools.chain([first_batch], output_batches):
                writer.write(batch)
                self.n += len(batch)
                if progress is not None:
                    rate = self.n / max(time.monotonic() - self.began, 1e-3)
                    description = f"{counted(self.n, 'row')}  {rate:,.0f} rows/s"
                    progress.update(bar, completed=self.reader.done or 0.0, description=description)
            end()

    def _check_rows(self) -> None:
        if not self.n:
            raise DataError(f"{', '.join(self.reader.paths[:3])}: there is no row to predict")


def _parsed_part(part: str) -> tuple[int, int]:
    """The share of --part from 0, and the number of shares."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", part, re.ASCII)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"--part must be like 3/16, from 1/16 to 16/16, not {quote(part)}")
    return int(match[1]) - 1, int(match[2])


def _existing_blocks(out: Path) -> set[tuple[int, int]]:
    """The file and the block of each part in the folder, from 0."""
    if not out.is_dir():
        return set()
    matches = map(_NAME.fullmatch, os.listdir(out))
    return {(int(match[1]), int(match[2])) for match in matches if match}


def _claim(out: Path, state: dict[str, Any], overwrite: bool) -> None:
    """Make the folder with its state, before the first part. Where several processes share the work, one writes the
    state and the others read it.
    """
    try:
        out.mkdir(exist_ok=True)
        if overwrite:
            for name in os.listdir(out):
                if _NAME.fullmatch(name):
                    (out / name).unlink()
            (out / STATE).unlink(missing_ok=True)  # after the parts: until then, the folder is still an output
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
    differences = {"inputs": "the input has changed", "model": "the model is another one"}
    as_read = json.loads(json.dumps(state))  # tuples become lists, as in the file
    for name, value in as_read.items():
        if before.get(name) != value:
            difference = differences.get(name, f"{name} is different")
            raise InputError(f"{quote(out, 200)}: cannot be continued: {difference}; --overwrite starts again")


def _read_state(path: Path) -> bytes:
    """The bytes of a state. Another process may have created the file without its content yet (`write_once`), so an
    empty file is read again for a second.
    """
    for _ in range(100):
        if raw := path.read_bytes():
            return raw
        time.sleep(0.01)
    return b""


def check_folder(out: Path) -> bool:
    """Whether the folder holds predictions. Raises InputError, DataError for one that holds something else."""
    folder = quote(out, 200)
    if not out.exists():
        if not out.resolve().parent.is_dir():
            raise DataError(f"{quote(out.parent, 200)}: not a folder")
        return False
    if not out.is_dir():
        raise InputError(f"{folder}: exists, and is not a folder")
    if (out / STATE).exists():
        return True
    foreign = [name for name in sorted(os.listdir(out)) if not name.startswith(".gatewise-")]
    if foreign:
        raise InputError(f"{folder}: contains {quote(foreign[0])}, and is not an output of gatewise predict")
    return False


def _digest(path: str) -> dict[str, str]:
    """The SHA-256 of the whole file, which takes far less time than its predictions."""
    try:
        with open(path, "rb") as file:
            return {"path": path, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        raise unreadable(path, error) from None


def _suffix_of(path: str) -> str:
    """The suffix of the output for an input: the same format where it can be written, compressed if the input is."""
    suffix = table_suffix(path)
    if suffix in ARROW:
        return ".parquet"
    if suffix == "":
        suffix = ".csv"
    elif suffix == ".json" or suffix in CONLL:
        suffix = ".jsonl"
    if Path(path).suffix.lower() in COMPRESSED:
        suffix += ".gz"
    return suffix


def added_names(
    model: Model, every: bool, taken: Collection[str], explained: bool = False, outputs: bool = False
) -> list[str]:
    """The names of the columns that predictions add to a table. every: a column of probabilities per class, instead of
    one for the label. outputs: also the outputs of a network. taken: names of other columns; a name that is taken gets
    the prefix "predicted_".
    """
    wanted = list(model.target.column_names(every))
    if explained:
        wanted += EXPLANATION
    if outputs:
        wanted += [f"output_{name}" for name in model.ensemble.network.output_names]
    names: list[str] = []
    for name in wanted:
        while name in taken or name in names:
            name = f"predicted_{name}"
        names.append(name)
    return names


class OutputRows:
    """Joins rows of `table` with their predictions.

    suffix: of the output, without that of a compression. columns, header: the keys of the output's rows and their names
    in the file. Raises DataError for a column of `keep` that the table does not have.
    """

    def __init__(self, bulk: BulkPrediction, table: Table | FileColumns, suffix: str) -> None:
        self._bulk = bulk
        self._target = bulk.model.target
        self._suffix = suffix
        if bulk.keep:
            self._kept = [table.column(name, "--keep") for name in bulk.keep]
            header = self._kept
        else:
            self._kept = list(table.keys)
            header = list(table.columns)
        self._added = added_names(
            bulk.model, bulk.every, {*self._kept, *header}, bulk.explain is not None, bulk.outputs
        )
        self.columns = [*self._kept, *self._added]
        self.header = [*header, *self._added]
        self._names = set(self.columns)

    def join(self, batch: Sequence[TableRow]) -> list[dict[str, Any]]:
        """The output's rows for rows of the table. Raises DataError for a row whose columns do not fit those of the
        first row.
        """
        bulk = self._bulk
        inputs = [row.input for row in batch]
        compute_logits = bulk.logits or bulk.model.logits
        predictions = self._target.columns(compute_logits(inputs), every=bulk.every, names=True)
        columns: list[Any] = [map(self._cell, column.values) for column in predictions.values()]
        if bulk.explain is not None:
            explanations = [bulk.explain(item) for item in inputs]
            columns.append([list(explanation.steps) for explanation in explanations])
            columns.append([explanation.scores.tolist() for explanation in explanations])
            columns.append([explanation.target for explanation in explanations])
        if bulk.outputs:
            of_rows = bulk.model.row_outputs(inputs)
            for name in bulk.model.ensemble.network.output_names:
                columns.append([self._array_cell(name, outputs[name]) for outputs in of_rows])
        rows = []
        for row, cells in zip(batch, zip(*columns, strict=True), strict=True):
            rows.append(self._kept_cells(row) | dict(zip(self._added, cells, strict=True)))
        return rows

    def _cell(self, value: Any) -> Any:
        """A value as it is written. Labels are a list; in CSV they are joined, those of a row by "; ", those of its
        steps by spaces.
        """
        if isinstance(value, float):
            return self._target.each.stored(value)
        if not isinstance(value, list):
            return value
        cells = [self._cell(entry) for entry in value]
        if self._suffix in (*JSON_LINES, ".parquet"):
            return cells
        return self._target.label_separator.join(map(str, cells))

    def _array_cell(self, name: str, array: Array) -> Any:
        """An output of the network as it is written: nested lists, in CSV numbers that are separated by spaces. Raises
        InputError for more axes than CSV has.
        """
        if self._suffix in (*JSON_LINES, ".parquet"):
            return array.tolist()
        if array.ndim > 1:
            problem = f"the output {quote(name)} has {array.ndim} axes, too many for {self._suffix}"
            raise InputError(f"{problem}: write .jsonl or .parquet")
        return " ".join(f"{number:.9g}" for number in np.atleast_1d(array).tolist())

    def _kept_cells(self, row: TableRow) -> dict[str, Any]:
        """The input columns of a row that are written. Raises DataError for columns that the first row does not have:
        their names may be those of added columns, and only JSON Lines has rows with different columns.
        """
        values = dict(row.values)
        if self._bulk.keep:
            values = {name: values[name] for name in self._kept if name in values}
        for name in self._added:
            if name in values:
                raise DataError(f"{row.where}: the column {quote(name)} is in this row, but not in the first one")
        if self._suffix in JSON_LINES:
            return values
        for name in values:
            if name not in self._names:
                message = f"{quote(name)} is not among the columns of the first row: write .jsonl instead"
                raise DataError(f"{row.where}: {message}")
        return values


def _progress() -> Progress | None:
    """A progress bar on stderr with the rows, the share, the rows per second and the time left; None without a
    terminal.
    """
    if not sys.stderr.isatty():
        return None
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from gatewise.system.console import PlainConsole

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=PlainConsole(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
