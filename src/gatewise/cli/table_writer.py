"""`TableWriter`: appends rows to a table and continues it after a kill: CSV, TSV, JSON Lines (also .gz), Parquet.

Every `write` ends at a byte from which the file can be continued. CSV and JSON Lines are written as they are, .gz in
one member per call, and Parquet as an Arrow stream, which `finish` converts: a Parquet file ends with its index.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from gatewise.data.tables import DELIMITERS
from gatewise.errors import DataError, InputError, printable, quote, required
from gatewise.system import lock, open_file, sync_folder

_JSON = (".jsonl", ".ndjson")
_ROW_GROUP = 16 << 20  # bytes of a row group of a Parquet file
_COMPARED_AT_ONCE = {str, int, float, type(None)}  # types of values in a list
WRITABLE = (*DELIMITERS, *_JSON, ".parquet")


def written_format(path: str | Path) -> tuple[str, bool]:
    """The suffix of a table that can be written, and whether it is compressed with gzip. Raises InputError."""
    name = Path(path)
    compressed = name.suffix.lower() == ".gz"
    suffix = name.with_suffix("").suffix.lower() if compressed else name.suffix.lower()
    if suffix not in WRITABLE or (compressed and suffix == ".parquet"):
        names = " ".join(WRITABLE)
        raise InputError(f"{quote(path, 200)}: the name must end in one of {names}, text formats also in .gz")
    return suffix, compressed


class TableWriter:
    """Writes rows to the file `part`, a table in the format of the suffix of `out`.

    columns: the keys of the rows, in order. header: their names in the file, if they differ. schema: PyArrow types of
    some of the columns, if they are known. at: the number of bytes to keep of an existing file; None: a new file.
    Raises DataError if the file cannot be written, InputError if another process writes it.
    """

    def __init__(
        self,
        out: str | Path,
        part: Path,
        columns: Sequence[str],
        *,
        header: Sequence[str] | None = None,
        schema: Any = None,
        at: int | None = None,
    ) -> None:
        self.out, self.part, self.columns = Path(out), part, list(columns)
        self.suffix, self.compressed = written_format(out)
        self._schema = schema
        self._header = list(header or columns)
        if self.suffix == ".parquet":
            self._arrow()  # a missing package is an error before there is a file
        try:
            self.file = open(open_file(part, os.O_RDWR | os.O_CREAT), "r+b")  # noqa: SIM115
        except OSError as error:
            raise self._error(error) from None
        try:
            lock(self.file.fileno())
        except BlockingIOError:
            self.file.close()
            raise InputError(f"{quote(part, 200)}: another process writes it") from None
        except OSError as error:
            self.file.close()
            raise self._error(error) from None
        self.file.truncate(at or 0)
        self.file.seek(at or 0)
        if self.suffix == ".parquet":
            if at:
                with self._arrow().OSFile(str(part)) as file:
                    self._schema = self._arrow().ipc.open_stream(file).schema
        elif at is None and self.suffix in DELIMITERS:
            self._write(self._csv([self._header]))

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Append rows. Raises DataError, which names the column, for a value that the format cannot hold: bytes in CSV
        and JSON Lines; in Parquet a value that the type of the column, chosen by the first rows, would change.
        """
        if not rows:
            return
        try:
            if self.suffix in DELIMITERS:
                raw = self._csv([[_cell(row.get(name)) for name in self.columns] for row in rows])
            elif self.suffix in _JSON:
                lines = [json.dumps(_jsonable(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
                raw = "".join(lines).encode("utf-8", "surrogatepass")
            else:
                raw = self._batch(rows)
        except _BytesFound:
            name = next(name for row in rows for name in row if _has_bytes(row[name]))
            raise DataError(
                f"{quote(self.out, 200)}: column {quote(name)} has bytes, which {self.suffix} cannot hold: "
                "write .parquet instead, or leave the column out"
            ) from None
        self._write(raw)

    def flush(self) -> int:
        """Hand the rows to the operating system: the number of bytes of the file."""
        try:
            self.file.flush()
            return self.file.tell()
        except OSError as error:
            raise self._error(error) from None

    def finish(self) -> None:
        """Flush, and give the file its name."""
        self.flush()
        try:
            os.fsync(self.file.fileno())
            self.file.close()
            if self.suffix == ".parquet":
                self._to_parquet()
            else:
                os.replace(self.part, self.out)
            sync_folder(self.out.parent)
        except OSError as error:
            raise self._error(error) from None

    def close(self) -> None:
        """Close the file; it stays."""
        self.file.close()

    def discard(self) -> None:
        """Close the file and remove it."""
        with suppress(OSError):
            self.file.close()
        with suppress(OSError):
            self.part.unlink()

    def _write(self, raw: bytes) -> None:
        try:
            self.file.write(gzip.compress(raw, 6, mtime=0) if self.compressed else raw)
        except OSError as error:
            raise self._error(error) from None

    def _csv(self, rows: Sequence[Sequence[str]]) -> bytes:
        text, lines = io.StringIO(newline=""), []
        writer = csv.writer(text, delimiter=DELIMITERS[self.suffix], lineterminator="\r\n")  # quotes either character
        for row in rows:
            writer.writerow(row)
            lines.append(text.getvalue().removesuffix("\r\n") + "\n")
            text.seek(0)
            text.truncate()
        return "".join(lines).encode("utf-8", "surrogatepass")

    def _arrow(self) -> Any:
        needed_for = f"{quote(self.out, 200)}: parquet"
        found = required("pyarrow", "data", needed_for)
        required("pyarrow.parquet", "data", needed_for)  # an attribute of `found` from now on
        return found

    def _batch(self, rows: Sequence[dict[str, Any]]) -> bytes:
        """The rows as a message of an Arrow stream, after the schema if it is the first one."""
        arrow = self._arrow()
        columns = {name: [row.get(name) for row in rows] for name in self.columns}
        begin = b""
        if self.file.tell() == 0:
            known = {} if self._schema is None else {one.name: _plain(arrow, one.type) for one in self._schema}
            self._schema = arrow.schema(
                [self._field(name, known.get(name), values) for name, values in columns.items()]
            )
            begin = self._schema.serialize().to_pybytes()
        arrays = [self._array(field, columns[field.name]) for field in self._schema]
        batch = arrow.RecordBatch.from_arrays(arrays, schema=self._schema)
        return begin + bytes(batch.serialize().to_pybytes())

    def _field(self, name: str, kind: Any, values: list[Any]) -> Any:
        """The Arrow field of a column: of the type `kind`, if it is known, or the one that fits its first values."""
        arrow = self._arrow()
        try:
            field = arrow.field(name, _not_null(arrow, arrow.array(values).type) if kind is None else kind)
            arrow.parquet.ParquetWriter(arrow.BufferOutputStream(), arrow.schema([field])).close()
        except (arrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{quote(self.out, 200)}: column {quote(name)} fits no type of Parquet ({quote(error, 150)[1:-1]}): "
                "write .jsonl instead"
            ) from None
        return field

    def _array(self, field: Any, values: list[Any]) -> Any:
        """The values as an Arrow array, which has to hold them unchanged: Arrow makes 4 of 4.5 in a column of whole
        numbers, and drops keys that the first rows do not have.
        """
        arrow = self._arrow()
        try:
            array = arrow.array(values, field.type)
            written = array.to_pylist()
            if _same(written, values):
                return array
            changed = next(value for one, value in zip(written, values, strict=True) if not _same(one, value))
            found = f"{printable(changed)} is not {field.type}"
        except (arrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            found = str(error)
        raise DataError(
            f"{quote(self.out, 200)}: column {quote(field.name)} has values of another type than in the first rows "
            f"({printable(found, 150)}): write .jsonl instead"
        )

    def _to_parquet(self) -> None:
        arrow = self._arrow()
        scratch = self.part.with_name(self.part.name + ".parquet")
        if not self.part.stat().st_size:
            raise DataError(f"{quote(self.out, 200)}: there is no row to write")
        with open(self.part, "ab") as end:
            end.write(b"\xff\xff\xff\xff\x00\x00\x00\x00")  # the end of an Arrow stream
        try:
            with (
                arrow.OSFile(str(self.part)) as file,
                arrow.ipc.open_stream(file) as stream,
                arrow.parquet.ParquetWriter(scratch, stream.schema) as writer,
            ):
                group: list[Any] = []
                for batch in stream:
                    group.append(batch)
                    if sum(one.nbytes for one in group) >= _ROW_GROUP:
                        writer.write_table(arrow.Table.from_batches(group))
                        group = []
                if group:
                    writer.write_table(arrow.Table.from_batches(group))
            with open(scratch, "rb") as written:
                os.fsync(written.fileno())
            os.replace(scratch, self.out)
        except arrow.ArrowException as error:
            raise DataError(f"{quote(self.out, 200)}: cannot be written: {quote(error, 200)[1:-1]}") from None
        finally:
            scratch.unlink(missing_ok=True)
        self.part.unlink()

    def _error(self, error: OSError) -> DataError:
        return DataError(f"{quote(self.out, 200)}: cannot be written: {error.strerror or error}")


class _BytesFound(ValueError):
    """Bytes among the values of a text format."""


def _has_bytes(value: Any) -> bool:
    try:
        _cell(value)
    except _BytesFound:
        return True
    return False


def _cell(value: Any) -> str:
    """A value in a CSV field. Raises _BytesFound."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        raise _BytesFound
    if isinstance(value, bool | list | tuple | dict):
        return json.dumps(_jsonable(value), ensure_ascii=False)
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _jsonable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | bool | int) else _cell(value)


def _same(written: Any, given: Any) -> bool:
    """Whether Arrow holds a value as it was given: a missing key is null, 4 is 4.0, and true is not 1."""
    if isinstance(given, dict):
        return isinstance(written, dict) and all(_same(written.get(key), given.get(key)) for key in written | given)
    if isinstance(given, list | tuple):
        if not isinstance(written, list | tuple) or len(written) != len(given):
            return False
        one_by_one = not _COMPARED_AT_ONCE.issuperset(map(type, given))
        return (not one_by_one and written == given) or all(map(_same, written, given))
    if isinstance(given, bool):
        return written is given
    return bool(written == given or (written != written and given != given))  # NaN


def _plain(arrow: Any, kind: Any) -> Any:
    """The type without dictionaries, whose batches could not be continued, also within lists and structs."""
    types = arrow.types

    def plain(field: Any) -> Any:
        return field.with_type(_plain(arrow, field.type))

    if types.is_dictionary(kind):
        return _plain(arrow, kind.value_type)
    if types.is_struct(kind):
        return arrow.struct([plain(field) for field in kind])
    if types.is_map(kind):
        return arrow.map_(plain(kind.key_field), plain(kind.item_field))
    if types.is_list(kind):
        return arrow.list_(plain(kind.value_field))
    if types.is_large_list(kind):
        return arrow.large_list(plain(kind.value_field))
    if types.is_fixed_size_list(kind):
        return arrow.list_(plain(kind.value_field), kind.list_size)
    return kind


def _not_null(arrow: Any, kind: Any) -> Any:
    return arrow.string() if arrow.types.is_null(kind) else kind
