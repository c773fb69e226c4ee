"""Rows of tables in bounded memory: CSV, TSV, JSON Lines, a JSON list, Parquet, Arrow.

`open_table` opens one file. Its rows are dictionaries by column; a bad row goes to a function that the caller passes.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewise.data.columns import find_column
from gatewise.data.streams import COMPRESSED, NOT_UTF_8, STDIN, Lines, Stream, split_lines
from gatewise.errors import DataError, InputError, MissingExtra, counted, printable, quote
from gatewise.storage import parse_json

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON = (".jsonl", ".ndjson", ".json")
ARROW = (".parquet", ".arrow", ".feather", ".ipc")
TABLES = (*DELIMITERS, *JSON, *ARROW)
DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_MAX_FIELD = 10_000_000  # characters; a longer field is an unclosed quote
_MAX_OBJECT = 64 << 20  # bytes of an object in a JSON list
_MAX_LEADING = 1_000  # bad records at the begin of a JSON file, after which it is taken to be none
_SAMPLE = 20  # rows from which the delimiter is guessed
_BATCH = 512  # rows of a Parquet or Arrow file in memory

Bad = Callable[[int, str], None]
"""Takes the line of a bad row, and what is wrong with it."""

Skip = Callable[[], bool]
"""Called once before each row, good or bad: whether it is left out, neither parsed nor reported."""


def skip_none() -> bool:
    """No row is left out."""
    return False


@dataclass
class Table:
    """An opened table. columns: of the header; for JSON those of the first good record. keys: the same, as the rows
    have them: distinct. note: the dialect in words, if it is not the standard one. schema: of a Parquet or Arrow file,
    by `keys`. examples: the first rows, none for such a file. first_line: of the header or of the first good record.
    delimiter: of a CSV file.
    """

    stream: Stream
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    note: str
    read: Callable[[Bad, Skip], Iterator[tuple[int, dict[str, Any]]]]
    examples: list[dict[str, Any]]
    schema: Any = None
    first_line: int = 1
    delimiter: str = ""

    @property
    def where(self) -> str:
        """The quoted name of the file, for messages."""
        return self.stream.where

    def rows(self, bad: Bad, skip: Skip = skip_none) -> Iterator[tuple[int, dict[str, Any]]]:
        """(line, values by column) of each good row. `bad` is called for each bad one, and may raise."""
        with self.stream.errors():
            yield from self.read(bad, skip)

    def column(self, name: str, option: str) -> str:
        """The column `name` as the header writes it: equal, or the only one that is equal without case and spaces.

        option: of the command line, for the message. Raises DataError that lists the columns.
        """
        likely = self._likely(option) if self.columns else ""
        hint = f"; choose one, for example {option} {shlex.quote(printable(likely))}" if likely else ""
        if option == "--text" and self._looks_like_series():
            hint = "; the cells are numbers: add --series if each row is a series, or with --time a step of one"
        try:
            return find_column(name, self.columns, hint)
        except InputError as error:
            raise DataError(f"{self.where}:{self.first_line}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    def _looks_like_series(self) -> bool:
        """Whether all but two columns of the first row, at most, are numbers, and none is a text of several words."""
        first = self.examples[0] if self.examples else {}
        others = []
        for value in first.values():
            try:
                float(value)
            except OverflowError:
                pass  # a whole number above 1e308
            except (TypeError, ValueError):
                others.append(str(value))
        return len(others) <= 2 < len(first) and not any(" " in value.strip() for value in others)

    def _likely(self, option: str) -> str:
        """The column of the longest texts for --text; of the others, the one with the fewest different values."""
        texts = max(self.columns, key=lambda name: sum(len(str(row.get(name) or "")) for row in self.examples))
        others = [name for name in self.columns if name != texts]
        if option == "--text" or not others:
            return texts
        values = {name: len({str(row.get(name)) for row in self.examples}) for name in others}
        several = [name for name in others if values[name] > 1]
        return min(several, key=values.__getitem__) if several else others[-1]


def is_table(name: str | Path) -> bool:
    """Whether the name is that of a table, compressed or not."""
    return bool(table_suffix(name))


def table_suffix(name: str | Path) -> str:
    """The suffix of a table in lower case and without that of the compression; "" for another file."""
    path = Path(name)
    if path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
        return path.suffix.lower() if path.suffix.lower() in (*DELIMITERS, *JSON) else ""
    return path.suffix.lower() if path.suffix.lower() in TABLES else ""


def open_table(source: str | Path, delimiter: str | None = None) -> Table:
    """Open a file, or "-" for stdin, which is JSON if it begins with { or [, else CSV.

    delimiter: of a CSV or TSV file; None: the one of , ; tab and | that fits the header and the first rows, the
    standard one of the suffix if several do. Raises DataError with file and line for another format, an empty file and
    a header that cannot be read.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InputError(f"the delimiter must be one character, not {quote(delimiter)}")
    suffix = table_suffix(source)
    if not suffix and str(source) != STDIN:
        compressed = f", and of text formats with {' or '.join(COMPRESSED)}"
        raise DataError(f"{quote(source, 200)}: the name must end in one of {' '.join(TABLES)}{compressed}")
    stream = Stream(source)
    try:
        if suffix in ARROW:
            return _open_arrow(stream, Path(source), suffix)
        stream.check_signature()
        if suffix in JSON or (not suffix and stream.peek().lstrip()[:1] in (b"{", b"[")):
            if delimiter is not None:
                raise InputError(f"{stream.where}: a JSON file has no delimiter")
            return _open_json(stream)
        return _open_csv(stream, delimiter, DELIMITERS.get(suffix, ","))
    except BaseException:
        stream.close()
        raise


@contextmanager
def long_fields() -> Iterator[None]:
    """Raise the field limit of the csv module, which is one per process, to ten million characters within the block."""
    before = csv.field_size_limit(_MAX_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _open_csv(stream: Stream, delimiter: str | None, standard: str) -> Table:
    lines = Lines(stream)
    sample = stream.peek().decode("utf-8", "replace")
    chosen = delimiter or _guess_delimiter(sample, standard)
    plain = chosen == "\t" and _has_plain_quotes(sample)
    reader = csv.reader(lines, delimiter=chosen, strict=True, quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL)
    with long_fields():
        header: list[str] = []
        while not header:
            begin = lines.number + 1
            try:
                header = next(reader)
            except StopIteration:
                raise DataError(f"{stream.where}: is empty") from None
            except csv.Error as error:
                raise DataError(f"{stream.where}:{begin}: {_csv_reason(error)}") from None
            if lines.problem:
                raise DataError(f"{stream.where}:{lines.problem[0]}: {lines.problem[1]}")
    keys = _unique_keys(header)

    def read(bad: Bad, skip: Skip) -> Iterator[tuple[int, dict[str, Any]]]:
        while True:
            begin = lines.number + 1
            lines.clear()
            try:
                with long_fields():
                    row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if skip():
                    continue
                last = f" (lines {begin} to {lines.number})" if lines.number > begin else ""
                bad(begin, _csv_reason(error) + last)
                continue
            if (row or lines.problem) and skip():
                continue
            if lines.problem:
                bad(*lines.problem)
            elif row and len(row) != len(keys):
                bad(begin, f"{counted(len(row), 'field')}, but the header has {len(keys)}")
            elif row:
                yield begin, dict(zip(keys, row, strict=True))

    notes = [f"fields separated by {DELIMITER_NAMES.get(chosen, quote(chosen))}"] * (chosen != standard)
    notes += ["quotes are part of the fields"] * plain
    note = "; ".join(notes)
    examples = [dict(zip(keys, row, strict=False)) for row in sample_rows(sample, chosen)[1:]]
    return Table(stream, tuple(header), tuple(keys), note, read, examples, first_line=begin, delimiter=chosen)


def _csv_reason(error: csv.Error) -> str:
    opened = "unexpected end of data" in str(error) or "field larger" in str(error)
    return "a quote opened in this row is not closed" if opened else f"bad row: {error}"


def _unique_keys(header: list[str]) -> list[str]:
    """The names of the header, with a number after a name that was there before."""
    keys: list[str] = []
    for name in header:
        key, number = name, 1
        while key in keys:
            number += 1
            key = f"{name} ({number})"
        keys.append(key)
    return keys


def _guess_delimiter(sample: str, standard: str) -> str:
    """The delimiter that splits the header, and most of the first rows into as many fields."""
    best, most = standard, 0.0
    for mark in (standard, *(mark for mark in DELIMITER_NAMES if mark != standard)):
        rows = sample_rows(sample, mark)
        if not rows or len(rows[0]) < 2:
            continue
        share = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
        if share > most:
            best, most = mark, share
    return best


def _has_plain_quotes(sample: str) -> bool:
    """Whether the quotes of a file with tabs are part of the texts: as quotes they are errors, and without them every
    line has as many fields as the header.
    """
    text = sample if len(sample) < 8_000 else sample[: sample.rfind("\n") + 1]
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True):
            pass
        return False
    except csv.Error as error:
        if "expected after" not in str(error):
            return False
    counts = {line.count("\t") for line in split_lines(text) if line}
    return len(counts) == 1


def sample_rows(sample: str, delimiter: str) -> list[list[str]]:
    """The first rows of a text that may end within a row."""
    text = sample if len(sample) < 8_000 else sample[: sample.rfind("\n") + 1]
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            rows += [row] * bool(row)
            if len(rows) > _SAMPLE:
                break
    except csv.Error:
        pass  # the rows before it count
    return rows


def _open_json(stream: Stream) -> Table:
    records = _json_list(stream) if stream.peek().lstrip()[:1] == b"[" else _json_lines(stream)
    problem: list[tuple[int, str]] = []

    def value(line: int, raw: bytes) -> dict[str, Any] | None:
        problem.clear()
        if raw.count(b"\0"):
            problem.append((line, "a NUL byte"))
            return None
        try:
            row = parse_json(raw, "record", error=DataError)
        except DataError as error:
            message = str(error)
            within = re.search(r"line (\d+), (?=column)", message)  # of a record of several lines
            if within:
                line, message = line + int(within[1]) - 1, message.replace(within[0], "")
            problem.append((line, message))
            return None
        if not isinstance(row, dict):
            problem.append((line, "not a JSON object"))
            return None
        return row

    before: list[tuple[int, str]] = []  # bad records before the first good one, whose keys are the columns
    row, line = None, 0
    for line, raw in records:
        row = value(line, raw)
        if row is not None or len(before) == _MAX_LEADING:
            break
        before += problem
    if row is None:
        raise DataError(f"{stream.where}:{before[0][0]}: {before[0][1]}" if before else f"{stream.where}: is empty")

    def read(bad: Bad, skip: Skip) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, reason in before:
            if not skip():
                bad(number, reason)
        if not skip():
            yield line, row
        for number, record in records:
            if skip():
                continue
            values = value(number, record)
            if values is None:
                bad(*problem[0])
            else:
                yield number, values

    columns = tuple(row)
    return Table(stream, columns, columns, "", read, [row], first_line=line)


def _json_lines(stream: Stream) -> Iterator[tuple[int, bytes]]:
    number = 0
    while True:
        with stream.errors():
            raw = stream.raw.readline(_MAX_OBJECT)
        if not raw:
            return
        number += 1
        if len(raw) == _MAX_OBJECT:
            raise DataError(f"{stream.where}:{number}: a record of more than {_MAX_OBJECT:,} bytes")
        if raw.strip():
            yield number, raw.strip(b"\r\n")


_SPACE = b" \t\n\r"  # of JSON
_GAP = re.compile(rb"[ \t\n\r,]*")
_PARTS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|"|[{}\[\]]', re.DOTALL)


def _json_list(stream: Stream) -> Iterator[tuple[int, bytes]]:
    """(line, bytes) of each element of a JSON list, found by its brackets, without the whole list in memory."""
    buffer, at, number = b"", 0, 1
    opened, first = False, True

    def fail(reason: str) -> DataError:
        return DataError(f"{stream.where}:{number}: not JSON: {reason}")

    while True:
        with stream.errors():
            # As much again as the record has so far, which is searched from its begin: twice its length in all.
            more = stream.raw.read(max(1 << 16, len(buffer) - at))
        if not more:
            raise fail("the list is not closed")
        buffer, at = buffer[at:] + more, 0
        if len(buffer) > _MAX_OBJECT:
            raise fail(f"a record of more than {_MAX_OBJECT:,} bytes")
        if not opened:
            opened, at = True, buffer.index(b"[") + 1
            number += buffer.count(b"\n", 0, at)
        while True:
            begin = _GAP.match(buffer, at).end()  # type: ignore[union-attr]
            mark = buffer[begin : begin + 1]
            if mark and buffer.count(b",", at, begin) != (0 if first or mark == b"]" else 1):
                raise fail("there must be one comma between two records")
            if mark == b"]":
                rest = buffer[begin + 1 :]
                while not rest.strip(_SPACE):
                    rest = stream.raw.read(1 << 16)
                    if not rest:
                        return
                raise fail("there is something after the end of the list")
            end = _element_end(buffer, begin) if mark else 0
            if not end:
                break
            number += buffer.count(b"\n", at, begin)
            yield number, buffer[begin:end]
            number += buffer.count(b"\n", begin, end)
            at, first = end, False


def _element_end(buffer: bytes, begin: int) -> int:
    """Where the JSON value ends that begins at `begin`; 0 if its end is not there yet."""
    if buffer[begin : begin + 1] not in (b"{", b"["):
        other = re.compile(rb"[,\]]").search(buffer, begin)
        return other.start() if other else 0
    depth = 0
    for part in _PARTS.finditer(buffer, begin):
        mark = part[0]
        if mark == b'"':
            return 0  # a string that is not closed yet
        if len(mark) == 1:
            depth += 1 if mark in b"{[" else -1
            if depth == 0:
                return part.end()
    return 0


def _open_arrow(stream: Stream, path: Path, suffix: str) -> Table:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("pyarrow", "data", f"{stream.where}: {suffix[1:]}") from None
    file = pyarrow.PythonFile(stream.raw, "r")
    try:
        if suffix == ".parquet":
            opened: Any = parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
            schema = opened.schema_arrow
            batches = opened.iter_batches(batch_size=_BATCH)
        elif stream.peek()[:6] == b"ARROW1":
            opened = pyarrow.ipc.open_file(file)
            schema = opened.schema
            batches = (opened.get_batch(number) for number in range(opened.num_record_batches))
        else:
            opened = pyarrow.ipc.open_stream(file)
            schema, batches = opened.schema, iter(opened)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{stream.where}: not a {suffix[1:]} file: {quote(error, 200)[1:-1]}") from None
    keys = _unique_keys(schema.names)

    def read(bad: Bad, skip: Skip) -> Iterator[tuple[int, dict[str, Any]]]:
        number = 0
        try:
            for batch in batches:
                for start in range(0, batch.num_rows, _BATCH):
                    part = batch.slice(start, _BATCH)
                    columns: list[list[Any]] = []  # converted where a row of the part is read
                    broken: dict[int, str] = {}
                    for row in range(part.num_rows):
                        number += 1
                        if skip():
                            continue
                        if not columns:
                            columns = [_cells(*one, broken) for one in zip(keys, part.columns, strict=True)]
                        if row in broken:
                            bad(number, broken[row])
                        else:
                            yield number, {key: column[row] for key, column in zip(keys, columns, strict=True)}
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{stream.where}: damaged after row {number:,}: {quote(error, 200)[1:-1]}") from None

    schema_of_keys = pyarrow.schema([one.with_name(key) for key, one in zip(keys, schema, strict=True)])
    return Table(stream, tuple(schema.names), tuple(keys), "", read, [], schema=schema_of_keys)


def _cells(key: str, column: Any, broken: dict[int, str]) -> list[Any]:
    """The values of an Arrow column. Rows whose value Python cannot hold are added to `broken`, with the reason."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        values: list[Any] = []
    for row in range(len(column)):
        try:
            values.append(column[row].as_py())
        except UnicodeDecodeError as error:
            broken.setdefault(row, f"{quote(key)} is {NOT_UTF_8}: byte 0x{error.object[error.start]:02X}")
            values.append(None)
        except (ValueError, OverflowError) as error:
            broken.setdefault(row, f"{quote(key)} has a value that cannot be read: {quote(error, 200)[1:-1]}")
            values.append(None)
    return values
