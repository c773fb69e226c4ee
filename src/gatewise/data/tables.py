"""Rows of tables in bounded memory: CSV, TSV, JSON Lines, a JSON list, Parquet, Arrow, CoNLL.

`open_table` opens one file. Its rows are dictionaries by column; for a row that cannot be used, the reason.
"""

import csv
import io
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from gatewise.data.conll import ConllReader
from gatewise.data.frames import find_column
from gatewise.errors import DataError, InputError, counted, printable, quote, required
from gatewise.storage.json_records import json_records
from gatewise.storage.streams import COMPRESSED, NOT_UTF_8, STDIN, FileStream, split_lines
from gatewise.storage.strict_json import parse_json

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON = (".jsonl", ".ndjson", ".json")
ARROW = (".parquet", ".arrow", ".feather", ".ipc")
CONLL = (".conll", ".conllu")
TABLES = (*DELIMITERS, *JSON, *ARROW, *CONLL)
DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_MAX_FIELD = 10_000_000  # characters; a longer field is an unclosed quote
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
    have them: distinct. rows: gives each row with its line; of a bad row, what is wrong with it. note: the dialect in
    words, if it is not the standard one. examples: the first rows, none for a Parquet or Arrow file. schema: of such a
    file, by `keys`. first_line: of the header or of the first good record. delimiter: of a CSV file.
    """

    stream: FileStream
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    rows: Callable[[Skip], Read]
    note: str = ""
    examples: list[dict[str, Any]] = field(default_factory=list)
    schema: Any = None
    first_line: int = 1
    delimiter: str = ""

    def column(self, name: str, option: str) -> str:
        """The column `name` as the header writes it: equal, or the only one that is equal without case and spaces.

        option: of the command line, for the message. Raises DataError that lists the columns.
        """
        try:
            return find_column(name, self.columns)
        except InputError as error:
            # The cells show which column may hold the text or the label, but not which one another column is.
            may_guess = option in ("--text", "--label") and "; there are" in str(error) and self.columns
            hint = self._hint(option) if may_guess else ""
            self.fail(f"{error}{hint}")

    def fail(self, message: str) -> NoReturn:
        """Close the file and raise DataError with the place of the header."""
        self.close()
        raise DataError(f"{self.stream.where}:{self.first_line}: {message}")

    def close(self) -> None:
        """Close the file."""
        self.stream.close()

    def _hint(self, option: str) -> str:
        """Which column may be meant: for --text the one of the longest texts; else, of the others, the one with the
        fewest different values. Cells that are all numbers, but for two, may be those of a series.
        """
        if option == "--text" and self._looks_like_series():
            return "; the cells are numbers: add --series if each row is a series, or with --time a step of one"
        cells = {name: [str(row.get(name) or "") for row in self.examples] for name in self.columns}
        likely = max(self.columns, key=lambda name: sum(map(len, cells[name])))
        if option != "--text" and len(self.columns) > 1:
            distinct = {name: len(set(texts)) for name, texts in cells.items() if name != likely}
            varied = [name for name in distinct if distinct[name] > 1]
            likely = min(varied or list(distinct)[-1:], key=distinct.__getitem__, default="")  # "": all have one name
        if not likely:
            return ""
        return f"; choose one, for example {option} {shlex.quote(printable(likely))}"

    def _looks_like_series(self) -> bool:
        """Whether the cells of the first row are numbers, but for two words, such as a label and an id."""
        if not self.examples:
            return False
        texts = [text.strip() for text in map(str, self.examples[0].values())]
        words = [text for text in texts if not _NUMERIC.fullmatch(text)]
        return len(words) <= 2 < len(self.columns) and not any(" " in word for word in words)


_NUMERIC = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|nan|[+-]?inf|none", re.I)


def table_suffix(name: str | Path) -> str:
    """The suffix of a table in lower case and without that of the compression; "" for another file."""
    path = Path(name)
    suffixes: tuple[str, ...] = TABLES
    if path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
        suffixes = (*DELIMITERS, *JSON, *CONLL)
    suffix = path.suffix.lower()
    return suffix if suffix in suffixes else ""


def open_table(source: str | Path, delimiter: str | None = None) -> Table:
    """Open a file, or "-" for stdin, which is JSON if it begins with { or [, else CSV.

    delimiter: of a CSV or TSV file, one character or "tab"; None: the one of , ; tab and | that fits the header and the
    first rows, the standard one of the suffix if several do. Raises DataError with file and line for another format, an
    empty file and a header that cannot be read.
    """
    delimiter = "\t" if delimiter == "tab" else delimiter
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise InputError(f"the delimiter must be one character, not {quote(delimiter)}")
    suffix = table_suffix(source)
    if not suffix and str(source) != STDIN:
        compressed = f", and of text formats with {' or '.join(COMPRESSED)}"
        raise DataError(f"{quote(source, 200)}: the name must end in one of {' '.join(TABLES)}{compressed}")
    stream = FileStream(source)
    try:
        if suffix in ARROW:
            return _open_arrow(stream, suffix)
        stream.check_text()
        if suffix in CONLL:
            if delimiter is not None:
                raise InputError(f"{stream.where}: fields of a {suffix} file are separated by tabs or spaces")
            return _open_conll(stream, suffix == ".conllu")
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


def _open_csv(stream: FileStream, delimiter: str | None, standard: str) -> Table:
    sample = stream.peek().decode("utf-8", "replace")
    # Excel may write the delimiter into the first line.
    if of_excel := re.match(r'("?)sep=(.)\1\r?\n', sample):
        stream.raw.readline()
        stream.line = 1
        sample = sample[of_excel.end() :]
        delimiter = delimiter or of_excel[2]
    chosen = delimiter or _guess_delimiter(sample, standard)
    plain = chosen == "\t" and _has_plain_quotes(sample)
    if plain:
        reader = csv.reader(stream.lines(), delimiter=chosen, strict=True, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(stream.lines(), delimiter=chosen, strict=True)

    def records() -> Iterator[tuple[int, list[str] | str]]:
        """The line of each record that is not blank, and its fields; or what is wrong with it."""
        while True:
            begin = stream.line + 1
            stream.problem = None
            try:
                with long_fields():
                    record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                reason = f"bad row: {error}"
                if "unexpected end of data" in str(error) or "field larger" in str(error):
                    reason = "a quote opened in this row is not closed"
                if stream.line > begin:
                    reason += f" (lines {begin} to {stream.line})"
                yield begin, reason
                continue
            if stream.problem or record:
                yield stream.problem or (begin, record)

    lines = records()
    first = next(lines, None)
    if first is None:
        raise DataError(f"{stream.where}: is empty")
    begin, header = first
    if isinstance(header, str):
        raise DataError(f"{stream.where}:{begin}: {header}")
    keys = _unique_keys(header)

    def rows(skip: Skip) -> Read:
        for line, record in lines:
            if skip():
                continue
            if isinstance(record, str):
                yield line, record
            elif len(record) != len(keys):
                yield line, f"{counted(len(record), 'field')}, but the header has {len(keys)}"
            else:
                yield line, dict(zip(keys, record, strict=True))

    notes = []
    if chosen != standard:
        notes.append(f"fields separated by {DELIMITER_NAMES.get(chosen, quote(chosen))}")
    if plain:
        notes.append("quotes are part of the fields")
    examples = [dict(zip(keys, row, strict=False)) for row in sample_rows(sample, chosen)[1:]]
    return Table(stream, tuple(header), tuple(keys), rows, "; ".join(notes), examples, None, begin, chosen)


def _unique_keys(header: list[str]) -> list[str]:
    """The names of the header, with a number after a name that was there before."""
    if len(set(header)) == len(header):
        return header
    keys: list[str] = []
    for name in header:
        names = (name, *(f"{name} ({number})" for number in range(2, len(keys) + 3)))
        keys.append(next(key for key in names if key not in keys))
    return keys


def _guess_delimiter(sample: str, standard: str) -> str:
    """The delimiter that splits the header, and most of the first rows into as many fields."""
    shares: dict[str, float] = {}
    for mark in (standard, *DELIMITER_NAMES):
        rows = sample_rows(sample, mark)
        fits = [len(row) == len(rows[0]) > 1 for row in rows] or [False]
        shares.setdefault(mark, sum(fits) / len(fits))
    return max(shares, key=shares.__getitem__)  # the first of equals


def _has_plain_quotes(sample: str) -> bool:
    """Whether the quotes of a file with tabs are part of the texts: as quotes they are errors, and without them every
    line has as many fields as the header.
    """
    text = sample if len(sample) < 8_000 else sample[: sample.rfind("\n") + 1]
    try:
        list(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
        return False
    except csv.Error as error:
        counts = {line.count("\t") for line in split_lines(text) if line}
        return "expected after" in str(error) and len(counts) == 1


def sample_rows(sample: str, delimiter: str) -> list[list[str]]:
    """The first rows of a text that may end within a row."""
    rows: list[list[str]] = []
    text = sample if len(sample) < 8_000 else sample[: sample.rfind("\n") + 1]
    with suppress(csv.Error):  # the rows before it count
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            rows += [row] * bool(row)
            if len(rows) > _SAMPLE:
                break
    return rows


def _open_json(stream: FileStream) -> Table:
    records = json_records(stream)

    def parsed(line: int, raw: bytes) -> tuple[int, dict[str, Any] | str]:
        if raw.count(b"\0"):
            return line, "a NUL byte"
        try:
            row = parse_json(raw, "record", error=DataError)
        except DataError as error:
            message = str(error)
            within = re.search(r"line (\d+), (?=column)", message)
            if within is None:
                return line, message
            # The record has several lines, and the message counts them from 1.
            return line + int(within[1]) - 1, message.replace(within[0], "")
        if not isinstance(row, dict):
            return line, "not a JSON object"
        return line, row

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

    def rows(skip: Skip) -> Read:
        yield from (record for record in leading if not skip())
        yield from (parsed(*record) for record in records if not skip())

    return Table(stream, tuple(row), tuple(row), rows, examples=[row], first_line=line)


def _open_conll(stream: FileStream, universal: bool) -> Table:
    """A CoNLL file: a row per sentence, with the cells of `ConllReader`."""
    reader = ConllReader(stream, universal)
    sentences = reader.sentences()
    first = next(sentences, None)
    if first is None:
        what = "has no word, only comments and empty lines" if stream.line else "is empty"
        raise DataError(f"{stream.where}: {what}")

    def rows(skip: Skip) -> Read:
        yield from (sentence for sentence in chain([first], sentences) if not skip())

    examples = [first[1]] if isinstance(first[1], dict) else []
    return Table(stream, tuple(reader.columns), tuple(reader.columns), rows, examples=examples, first_line=first[0])


def _open_arrow(stream: FileStream, suffix: str) -> Table:
    from gatewise.storage.arrow_buffers import check_arrow  # other tables do without
    from gatewise.storage.expansion import Expansion, check_parquet, values_size

    pyarrow = required("pyarrow", "data", f"{stream.where}: {suffix[1:]}")
    parquet = required("pyarrow.parquet", "data", f"{stream.where}: {suffix[1:]}")
    compute = required("pyarrow.compute", "data", f"{stream.where}: {suffix[1:]}")
    file = pyarrow.PythonFile(stream.raw, "r")
    expansion = Expansion(stream.size, stream.where)
    try:
        if suffix == ".parquet":
            opened: Any = parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
            largest = check_parquet(opened.metadata, expansion)
            schema = opened.schema_arrow
            batches = opened.iter_batches(batch_size=expansion.rows(largest, _BATCH))
        elif stream.peek()[:6] == b"ARROW1":
            check_arrow(stream.raw, expansion)
            opened = pyarrow.ipc.open_file(file)
            schema = opened.schema
            batches = (opened.get_batch(number) for number in range(opened.num_record_batches))
        else:
            check_arrow(stream.raw, expansion)
            opened = pyarrow.ipc.open_stream(file)
            schema = opened.schema
            batches = iter(opened)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{stream.where}: not a {suffix[1:]} file: {printable(error, 200)}") from None
    keys = _unique_keys(schema.names)

    def rows(skip: Skip) -> Read:
        number = 0
        try:
            for batch in batches:
                expansion.add(sum(values_size(column, compute) for column in batch.columns), batch.num_rows)
                for start in range(0, batch.num_rows, _BATCH):
                    block = batch.slice(start, _BATCH)
                    columns: list[list[Any]] = []  # converted where a row of the block is read
                    broken: dict[int, str] = {}
                    for row in range(block.num_rows):
                        number += 1
                        if skip():
                            continue
                        if not columns:
                            columns = [
                                _cells(key, column, broken) for key, column in zip(keys, block.columns, strict=True)
                            ]
                        cells = {key: column[row] for key, column in zip(keys, columns, strict=True)}
                        yield number, broken.get(row, cells)
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{stream.where}: damaged after row {number:,}: {printable(error, 200)}") from None

    schema_of_keys = pyarrow.schema([column.with_name(key) for key, column in zip(keys, schema, strict=True)])
    return Table(stream, tuple(schema.names), tuple(keys), rows, schema=schema_of_keys)


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
            reason = f"has a value that cannot be read: {printable(error, 200)}"
            if isinstance(error, UnicodeDecodeError):
                reason = f"is {NOT_UTF_8}: byte 0x{error.object[error.start]:02X}"
            broken.setdefault(row, f"{quote(key)} {reason}")
            values.append(None)
    return values
