"""Rows of tables in bounded memory: CSV, TSV, JSON Lines, a JSON list, Parquet, Arrow, and lines of text.

`open_table` opens one file. Its rows are dictionaries by column; for a row that cannot be used, the reason.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from gatewise.data.frames import find_column
from gatewise.data.streams import COMPRESSED, NOT_UTF_8, STDIN, Lines, Stream, split_lines
from gatewise.errors import DataError, InputError, counted, printable, quote, required
from gatewise.storage import parse_json

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON = (".jsonl", ".ndjson", ".json")
ARROW = (".parquet", ".arrow", ".feather", ".ipc")
TABLES = (*DELIMITERS, *JSON, *ARROW)
_DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_MAX_FIELD = 10_000_000  # characters; a longer field is an unclosed quote
_MAX_OBJECT = 64 << 20  # bytes of an object in a JSON list
_MAX_LEADING = 1_000  # bad records at the begin of a JSON file, after which it is taken to be none
_SAMPLE = 20  # rows from which the delimiter is guessed
_BATCH = 512  # rows of a Parquet or Arrow file in memory

Skip = Callable[[], bool]
"""Called once before each row, good or bad: whether it is left out, neither parsed nor reported."""

Read = Iterator[tuple[int, dict[str, Any] | str]]
"""The line of each row, and its cells by column; of a bad row what is wrong with it."""


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
    read: Callable[[Skip], Read]
    note: str = ""
    examples: list[dict[str, Any]] = field(default_factory=list)
    schema: Any = None
    first_line: int = 1
    delimiter: str = ""

    @property
    def where(self) -> str:
        """The quoted name of the file, for messages."""
        return self.stream.where

    def rows(self, skip: Skip = lambda: False) -> Read:
        """Each row with its line; of a bad row, a text that says what is wrong."""
        with self.stream.errors():
            yield from self.read(skip)

    def column(self, name: str, option: str) -> str:
        """The column `name` as the header writes it: equal, or the only one that is equal without case and spaces.

        option: of the command line, for the message. Raises DataError that lists the columns.
        """
        try:
            return find_column(name, self.columns)
        except InputError as error:
            hint = self._hint(option) if "; there are" in str(error) and self.columns else ""
            self.fail(f"{error}{hint}")

    def fail(self, message: str) -> NoReturn:
        """Close the file and raise DataError with the place of the header."""
        self.close()
        raise DataError(f"{self.where}:{self.first_line}: {message}")

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    def _hint(self, option: str) -> str:
        """Which column may be meant: for --text the one of the longest texts; else, of the others, the one with the
        fewest different values. Cells that are all numbers, but for two, may be those of a series.
        """
        cells = {name: [str(row.get(name) or "") for row in self.examples] for name in self.columns}
        if option == "--text" and self.examples:
            words = [text for text in map(str, self.examples[0].values()) if not _NUMERIC.fullmatch(text.strip())]
            if len(words) <= 2 < len(self.columns) and not any(" " in word.strip() for word in words):
                return "; the cells are numbers: add --series if each row is a series, or with --time a step of one"
        likely = max(self.columns, key=lambda name: sum(map(len, cells[name])))
        if option != "--text" and len(self.columns) > 1:
            values = {name: len(set(texts)) for name, texts in cells.items() if name != likely}
            varied = [name for name in values if values[name] > 1]
            likely = min(varied, key=values.__getitem__) if varied else list(values)[-1]
        return f"; choose one, for example {option} {shlex.quote(printable(likely))}" if likely else ""


_NUMERIC = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|nan|[+-]?inf|none", re.I)


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
            return _open_arrow(stream, suffix)
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

    def records() -> Iterator[tuple[int, list[str] | str]]:
        """The line of each record that is not blank, and its fields; or what is wrong with it."""
        while True:
            begin = lines.number + 1
            lines.problem = None
            try:
                with long_fields():
                    record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                opened = "unexpected end of data" in str(error) or "field larger" in str(error)
                reason = "a quote opened in this row is not closed" if opened else f"bad row: {error}"
                yield begin, f"{reason} (lines {begin} to {lines.number})" if lines.number > begin else reason
                continue
            if lines.problem:
                yield lines.problem
            elif record:
                yield begin, record

    found = records()
    begin, header = next(found, (1, None))
    if header is None:
        raise DataError(f"{stream.where}: is empty")
    if isinstance(header, str):
        raise DataError(f"{stream.where}:{begin}: {header}")
    keys = _unique_keys(header)

    def read(skip: Skip) -> Read:
        for line, record in found:
            if skip():
                continue
            if isinstance(record, str):
                yield line, record
            elif len(record) != len(keys):
                yield line, f"{counted(len(record), 'field')}, but the header has {len(keys)}"
            else:
                yield line, dict(zip(keys, record, strict=True))

    notes = [f"fields separated by {_DELIMITER_NAMES.get(chosen, quote(chosen))}"] * (chosen != standard)
    notes += ["quotes are part of the fields"] * plain
    examples = [dict(zip(keys, row, strict=False)) for row in _sample_rows(sample, chosen)[1:]]
    return Table(stream, tuple(header), tuple(keys), read, "; ".join(notes), examples, None, begin, chosen)


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
    for mark in (standard, *(mark for mark in _DELIMITER_NAMES if mark != standard)):
        rows = _sample_rows(sample, mark)
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
    text = _whole_rows(sample)
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True):
            pass
        return False
    except csv.Error as error:
        counts = {line.count("\t") for line in split_lines(text) if line}
        return "expected after" in str(error) and len(counts) == 1


def _whole_rows(sample: str) -> str:
    """A text that may end within a row, without that row."""
    return sample if len(sample) < 8_000 else sample[: sample.rfind("\n") + 1]


def _sample_rows(sample: str, delimiter: str) -> list[list[str]]:
    """The first rows of a text that may end within a row."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(_whole_rows(sample), newline=""), delimiter=delimiter, strict=True):
            rows += [row] * bool(row)
            if len(rows) > _SAMPLE:
                break
    except csv.Error:
        pass  # the rows before it count
    return rows


def _open_json(stream: Stream) -> Table:
    records = _json_list(stream) if stream.peek().lstrip()[:1] == b"[" else _json_lines(stream)

    def parsed(line: int, raw: bytes) -> tuple[int, dict[str, Any] | str]:
        if raw.count(b"\0"):
            return line, "a NUL byte"
        try:
            row = parse_json(raw, "record", error=DataError)
        except DataError as error:
            message = str(error)
            within = re.search(r"line (\d+), (?=column)", message)  # of a record of several lines
            return (line + int(within[1]) - 1, message.replace(within[0], "")) if within else (line, message)
        return line, row if isinstance(row, dict) else "not a JSON object"

    leading: list[tuple[int, dict[str, Any] | str]] = []  # up to the first good record, whose keys are the columns
    for record in records:
        leading.append(parsed(*record))
        if isinstance(leading[-1][1], dict) or len(leading) > _MAX_LEADING:
            break
    if not leading:
        raise DataError(f"{stream.where}: is empty")
    line, row = leading[-1]
    if isinstance(row, str):
        raise DataError(f"{stream.where}:{leading[0][0]}: {leading[0][1]}")

    def read(skip: Skip) -> Read:
        yield from (one for one in leading if not skip())
        yield from (parsed(*record) for record in records if not skip())

    return Table(stream, tuple(row), tuple(row), read, examples=[row], first_line=line)


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


def _open_arrow(stream: Stream, suffix: str) -> Table:
    pyarrow = required("pyarrow", "data", f"{stream.where}: {suffix[1:]}")
    from pyarrow import parquet

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

    def read(skip: Skip) -> Read:
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
                        cells = {key: column[row] for key, column in zip(keys, columns, strict=True)}
                        yield number, broken.get(row, cells)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{stream.where}: damaged after row {number:,}: {quote(error, 200)[1:-1]}") from None

    schema_of_keys = pyarrow.schema([one.with_name(key) for key, one in zip(keys, schema, strict=True)])
    return Table(stream, tuple(schema.names), tuple(keys), read, schema=schema_of_keys)


def _cells(key: str, column: Any, broken: dict[int, str]) -> list[Any]:
    """The values of an Arrow column. Rows whose value Python cannot hold are added to `broken`, with the reason."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):
        values: list[Any] = []
    for row in range(len(column)):
        try:
            values.append(column[row].as_py())
        except (ValueError, OverflowError) as error:
            reason = f"has a value that cannot be read: {quote(error, 200)[1:-1]}"
            if isinstance(error, UnicodeDecodeError):
                reason = f"is {NOT_UTF_8}: byte 0x{error.object[error.start]:02X}"
            broken.setdefault(row, f"{quote(key)} {reason}")
            values.append(None)
    return values


def open_lines(source: str | Path, refuse_tables: bool = False) -> Table:
    """A text file, or "-" for stdin, as a table with the column text: one text per line.

    Blank lines at the end do not count. refuse_tables: what begins like a table raises InputError. Only what has
    arrived is looked at, without waiting for more. Raises DataError for a file that is not UTF-8 or has no text.
    """
    stream = Stream(source)
    stream.check_signature()
    if refuse_tables:
        _refuse_table(stream, stream.peek().decode("utf-8", "replace"))
    lines = Lines(stream)

    def read(skip: Skip) -> Read:
        blank: list[int] = []  # lines, which are bad rows if a text follows
        empty, begin = True, ""
        for line in lines:
            number, skipped, problem = lines.number, skip(), lines.problem
            lines.problem = None
            if refuse_tables and number <= 2:  # the second line may arrive later than the first one
                begin += line
                _refuse_table(stream, begin)
            if not problem and not line.strip():
                blank += [] if skipped else [number]
                continue
            yield from ((before, "the text is empty") for before in blank)
            blank.clear()
            empty = False
            if not skipped:
                yield problem or (number, {"text": line.rstrip("\r\n")})
        if empty:
            raise DataError(f"{stream.where}: contains no text")

    return Table(stream, ("text",), ("text",), read)


_KNOWN = {"text", "label"}  # the columns that are read where no option names others
_NAME = re.compile(r"[^\W\d][\w\-./#%()]*( [\w\-./#%()]+){0,2}")  # up to three words, no space around them
_JSON = re.compile(r'\s*(\[\s*)?\{\s*("|\})')
_IN_NUMBER = re.compile(r"\d,\d")
_REGULAR = 0.9  # the part of the rows with as many fields as the header


def _refuse_table(stream: Stream, begin: str) -> None:
    """Raises InputError if the text, the begin of a stream, is that of a table."""
    how = "to read it as a table, name its text column: --text {}; if each line is a text, add --lines"
    if _JSON.match(begin):
        raise InputError(f"{stream.where} looks like JSON: {how.format('KEY')}")
    header = table_header(begin)
    if header:
        named = [name.strip() for name in header if name.strip().casefold() == "text"]
        names = ", ".join(quote(name, 40) for name in header[:10]) + (", …" if len(header) > 10 else "")
        raise InputError(
            f"{stream.where} looks like a table with the {len(header)} fields {names} in its first line: "
            + how.format(named[0] if named else "COLUMN")
        )


def table_header(begin: str) -> list[str]:
    """The fields of the first line if the text, which may end within a line, begins a delimited table; else [].

    A table has names of columns in its first line and as many fields in the lines after it, or at least three lines of
    equally many fields; a first line alone has a column text or label. A comma in a sentence has a space after it, one
    in a number has digits around it.
    """
    for mark in _DELIMITER_NAMES:
        rows = _sample_rows(begin, mark)
        if not rows or len(rows[0]) < 2:
            continue
        header = rows[0]
        if len(rows) > 1 and len(rows[-1]) < len(header) and not begin.endswith(("\n", "\r")):
            rows.pop()  # it has not arrived completely
        names = all(_NAME.fullmatch(name) for name in header[not header[0] :])  # pandas writes an index without a name
        share = sum(len(row) == len(header) for row in rows) / len(rows)
        if names and (_KNOWN & {name.casefold() for name in header} or (len(rows) > 1 and share >= _REGULAR)):
            return header
        spaced = any(field[:1] == " " for row in rows for field in row) or _IN_NUMBER.search(begin)
        if len(rows) > 2 and share == 1 and not spaced:
            return header
    return []
