"""`write_table`: a table in CSV, TSV, JSON Lines (also .gz) or Parquet, which gets its name when it is complete.

It is written in the same folder under a temporary name, which belongs to its process. A command claims its output first
(`check_output`), so that a second command with the same output is refused.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, NoReturn

from gatewise.cli.output import check_overwrite
from gatewise.data.schema import NUMBER
from gatewise.data.tables import DELIMITERS
from gatewise.errors import DataError, InputError, printable, quote, reason, required
from gatewise.storage.atomic import scratch
from gatewise.storage.streams import STDIN
from gatewise.system.files import sync_folder

JSON_LINES = (".jsonl", ".ndjson")
_ROW_GROUP = 16 << 20  # bytes of a row group of a Parquet file
_SIMPLE_TYPES = {str, int, float, type(None)}  # lists of these values are compared as a whole, which is quick
_FORMULA = re.compile(rf"(?!{NUMBER.pattern}$)[=+\-@\t\r]", re.I)
WRITABLE = (*DELIMITERS, *JSON_LINES, ".parquet")


def written_format(path: str | Path) -> tuple[str, bool]:
    """The suffix of a table that can be written, and whether it is compressed with gzip. Raises InputError."""
    name = Path(path)
    is_compressed = name.suffix.lower() == ".gz"
    if is_compressed:
        name = name.with_suffix("")
    suffix = name.suffix.lower()
    if suffix not in WRITABLE or (is_compressed and suffix == ".parquet"):
        names = " ".join(WRITABLE)
        raise InputError(f"{quote(path, 200)}: the name must end in one of {names}, text formats also in .gz")
    return suffix, is_compressed


def check_output(out: Path, inputs: Sequence[str], overwrite: bool) -> None:
    """Raise InputError, DataError for a table that cannot be written, exists, or is one of the inputs."""
    written_format(out)
    if not out.parent.is_dir():
        raise DataError(f"{quote(out.parent, 200)}: not a folder")
    if out.exists():
        for path in inputs:
            if path != STDIN and os.path.exists(path) and os.path.samefile(path, out):
                raise InputError(f"{quote(out, 200)}: the output is the input")
    if out.is_dir():
        raise InputError(f"{quote(out, 200)}: is a folder")
    check_overwrite(out, overwrite)


@contextmanager
def write_table(
    out: str | Path,
    columns: Sequence[str],
    *,
    header: Sequence[str] | None = None,
    schema: Any = None,
    escape: bool = False,
) -> Iterator[TableWriter]:
    """A writer of the table `out`, which appears at the end of the block; an error in the block leaves nothing.

    columns: the keys of the rows, in order. header: the names of the columns in the file, if they differ. schema: the
    PyArrow types of some columns, if they are known. escape: write an apostrophe before each cell of a CSV file that a
    spreadsheet would run as a formula: it begins with = + - @ or a tab and is not a number. Raises DataError if the
    file cannot be written.
    """
    path = Path(out)
    try:
        with scratch(path.parent) as unfinished:
            with open(unfinished, "r+b") as file:
                writer = TableWriter(path, file, columns, header or columns, schema, escape)
                try:
                    yield writer
                except BaseException:
                    with suppress(Exception):  # Arrow and gzip would write to the file when it is closed
                        writer.finish()
                    raise
                writer.finish()
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        sync_folder(path.parent)
    except OSError as error:
        raise DataError(f"{quote(out, 200)}: cannot be written: {reason(error)}") from None


@dataclass
class TableWriter:
    """Writes rows to an open file, a table in the format of the suffix of `out`; see `write_table`."""

    out: Path
    file: Any
    columns: Sequence[str]
    header: Sequence[str]
    schema: Any
    escape: bool

    def __post_init__(self) -> None:
        self.suffix, compressed = written_format(self.out)
        if compressed:
            self.file = gzip.GzipFile("", "wb", 6, self.file, mtime=0)
        self._arrow: Any = None
        self._parquet: Any = None
        self._group: list[Any] = []  # rows of the next row group
        if self.suffix == ".parquet":
            for name in ("pyarrow.parquet", "pyarrow"):
                self._arrow = required(name, "data", f"{quote(self.out, 200)}: parquet")
        elif self.suffix in DELIMITERS:
            self.file.write(self._csv([self.header]))

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows. Raises DataError, which names the column, for a value that the format cannot hold: bytes in CSV
        and JSON Lines; in Parquet a value that the type of the column, chosen by the first rows, would change.
        """
        if self.suffix in DELIMITERS:
            self.file.write(self._csv([[self._cell(name, row.get(name)) for name in self.columns] for row in rows]))
        elif self.suffix in JSON_LINES:
            lines = []
            for row in rows:
                values = {str(name): self._jsonable(name, value) for name, value in row.items()}
                lines.append(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")
            self.file.write("".join(lines).encode("utf-8", "surrogatepass"))
        elif rows:
            self._write_batch(rows)

    def _cell(self, name: str, value: Any) -> str:
        """A value of a column in a CSV field."""
        if isinstance(value, str):
            if "\0" in value:  # readers of CSV end the file at it, or refuse it
                self._refuse(name, "a NUL character")
            return value
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        if isinstance(value, bytes):
            self._refuse(name, "bytes")
        if isinstance(value, bool | list | tuple | dict):
            return json.dumps(self._jsonable(name, value), ensure_ascii=False)
        if isinstance(value, date | datetime | time):
            return value.isoformat()
        return str(value)

    def _jsonable(self, name: str, value: Any) -> Any:
        """A value of a column for JSON, which has no NaN, no infinity, no dates and no bytes."""
        if isinstance(value, dict):
            return {str(key): self._jsonable(name, entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [self._jsonable(name, entry) for entry in value]
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if value is None or isinstance(value, str | bool | int):
            return value
        return self._cell(name, value)

    def _refuse(self, name: str, content: str) -> NoReturn:
        raise DataError(
            f"{quote(self.out, 200)}: column {quote(name)} has {content}, which {self.suffix} cannot hold: "
            "write .parquet instead, or leave the column out"
        )

    def finish(self) -> None:
        """Write the end of the file."""
        if self._parquet is not None:
            self._write_group(last=True)
        if self.file.__class__ is gzip.GzipFile:
            self.file.close()  # the file below it stays open

    def _csv(self, rows: Sequence[Sequence[str]]) -> bytes:
        """Rows as lines that end in a line feed. The writer ends them in both characters, so that it quotes a cell with
        either of them.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=DELIMITERS[self.suffix], lineterminator="\r\n")
        lines = []
        for row in rows:
            if self.escape:
                row = [f"'{cell}" if _FORMULA.match(cell) else cell for cell in row]
            writer.writerow(row)
            lines.append(text.getvalue().removesuffix("\r\n") + "\n")
            text.seek(0)
            text.truncate()
        return "".join(lines).encode("utf-8", "surrogatepass")

    def _write_batch(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add the rows to the row group. The first rows choose the types of the columns that are not known."""
        arrow = self._arrow
        columns = {name: [row.get(name) for row in rows] for name in self.columns}
        if self._parquet is None:
            known_types: dict[str, Any] = {}
            if self.schema is not None:
                known_types = {field.name: field.type for field in self.schema}
            fields = [self._field(name, known_types.get(name), values) for name, values in columns.items()]
            self.schema = arrow.schema(fields)
            self._parquet = arrow.parquet.ParquetWriter(self.file, self.schema)
        arrays = [self._array(field, columns[field.name]) for field in self.schema]
        self._group.append(arrow.RecordBatch.from_arrays(arrays, schema=self.schema))
        if sum(batch.nbytes for batch in self._group) >= _ROW_GROUP:
            self._write_group()

    def _write_group(self, last: bool = False) -> None:
        arrow = self._arrow
        try:
            if self._group:
                self._parquet.write_table(arrow.Table.from_batches(self._group))
            self._group = []
            if last:
                self._parquet.close()
        except arrow.ArrowException as error:
            raise DataError(f"{quote(self.out, 200)}: cannot be written: {quote(error, 200)[1:-1]}") from None

    def _field(self, name: str, known_type: Any, values: list[Any]) -> Any:
        """The Arrow field of a column: of the known type, or of the type that its first values have. A column without a
        value is one of texts. Raises DataError for a type that Parquet does not have.
        """
        arrow = self._arrow
        try:
            type = known_type
            if type is None:
                type = arrow.array(values).type
            if known_type is None and arrow.types.is_null(type):
                type = arrow.string()
            field = arrow.field(name, type)
            arrow.parquet.ParquetWriter(arrow.BufferOutputStream(), arrow.schema([field])).close()
        except (arrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{quote(self.out, 200)}: column {quote(name)} fits no type of Parquet ({quote(error, 150)[1:-1]}): "
                "write .jsonl instead"
            ) from None
        return field

    def _array(self, field: Any, values: list[Any]) -> Any:
        """The values as an Arrow array. Raises DataError unless it holds them unchanged: Arrow makes 4 of 4.5 in a
        column of whole numbers, and drops keys that the first rows do not have.
        """
        arrow = self._arrow
        try:
            array = arrow.array(values, field.type)
            written = array.to_pylist()
            if _same(written, values):
                return array
            changed = next(value for held, value in zip(written, values, strict=True) if not _same(held, value))
            problem = f"{printable(changed)} is not {field.type}"
        except (arrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            problem = str(error)
        raise DataError(
            f"{quote(self.out, 200)}: column {quote(field.name)} has values of another type than in the first rows "
            f"({printable(problem, 150)}): write .jsonl instead"
        )


def _same(written: Any, value: Any) -> bool:
    """Whether Arrow holds a value unchanged. A missing key is null, 4 is 4.0, NaN is NaN, and true is not 1."""
    if isinstance(value, dict):
        return isinstance(written, dict) and all(_same(written.get(key), value.get(key)) for key in written | value)
    if isinstance(value, list | tuple):
        if not isinstance(written, list | tuple) or len(written) != len(value):
            return False
        if _SIMPLE_TYPES.issuperset(map(type, value)) and written == value:
            return True
        return all(map(_same, written, value))
    if isinstance(value, bool):
        return written is value
    both_nan = written != written and value != value
    return bool(written == value or both_nan)
