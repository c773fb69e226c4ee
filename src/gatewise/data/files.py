"""Labelled texts from CSV, TSV and JSON Lines files and from folders. Anything ambiguous is an error with its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

from gatewise.data.labelled import Labelled
from gatewise.data.labels import class_order, label_rows
from gatewise.errors import DataError, quote
from gatewise.storage import parse_json

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_LINES = (".jsonl", ".ndjson")
TABLES = (*_DELIMITERS, *_LINES)
_MAX_FIELD = 10_000_000  # characters; a longer field is an unclosed quote
_MAX_CLASSES = 1_000
_MAX_FILE = 10 << 20  # bytes of a text file
_SIGNATURES = {b"\x1f\x8b": "gzip", b"PAR1": "Parquet", b"PK\x03\x04": "a zip or Excel file", b"\xff\xfe": "UTF-16"}
_SIGNATURES |= {b"\xfe\xff": "UTF-16", b"\x28\xb5\x2f\xfd": "zstd"}


def read_table(path: str | Path, *, text: str, label: str) -> Labelled:
    """The columns (or JSON keys) `text` and `label` of a UTF-8 file: .csv, .tsv, .tab, .jsonl, .ndjson.

    A CSV or TSV file starts with a header; quotes are as in RFC 4180; blank lines are ignored. Labels are strings, in
    JSON also whole numbers and true/false; surrounding spaces are stripped. No row is skipped and nothing is guessed:
    raises DataError with file and line for a missing or duplicate column, a row of another length, an empty label or
    text, an unclosed quote, NUL, invalid UTF-8, another format, or fewer than two classes.
    """
    file = Path(path).expanduser()
    rows = [(line, body, name) for line, (body, name) in _rows(file, (text, label))]
    _refuse_empty(file, "label", [line for line, _, name in rows if not name])
    _refuse_empty(file, "text", [line for line, body, _ in rows if not body.strip()])
    names = [name for _, _, name in rows]
    classes = class_order(names)
    if len(classes) < 2:
        found = f"only {quote(classes[0])}" if classes else "no row"
        raise DataError(f"{quote(file, 200)}: {found} in {quote(label)}; a classifier needs two classes or more")
    if len(classes) > _MAX_CLASSES:
        raise DataError(
            f"{quote(file, 200)}: {quote(label)} has {len(classes):,} different labels; is it the right column?"
        )
    source = f"{len(rows):,} rows of {quote(file.name)}, {len(classes)} classes by {quote(label)}"
    return Labelled([body for _, body, _ in rows], label_rows(names, classes), classes, source=source)


def read_column(path: str | Path, *, text: str) -> list[str]:
    """The column (or JSON key) `text` of a file, without labels. Formats and errors as in `read_table`."""
    file = Path(path).expanduser()
    rows = [(line, body) for line, (body,) in _rows(file, (text,))]
    _refuse_empty(file, "text", [line for line, body in rows if not body.strip()])
    return [body for _, body in rows]


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, values of the columns) of each row. The first column is a text, the second a label."""
    suffix = file.suffix.lower()
    if suffix not in TABLES:
        raise DataError(f"{quote(file, 200)}: the name must end in one of {' '.join(TABLES)}")
    content = _content(file)
    if suffix in _LINES:
        yield from _json_rows(file, content, columns)
    else:
        with long_fields():
            yield from _csv_rows(file, content, columns, _DELIMITERS[suffix])


@contextmanager
def long_fields() -> Iterator[None]:
    """Raise the field limit of the csv module, which is one per process, to ten million characters within the block."""
    before = csv.field_size_limit(_MAX_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def read_bytes(file: Path) -> bytes:
    """The bytes of a file. Raises DataError with the file name if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        reason = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise DataError(f"{quote(file, 200)}: {reason}") from None


def decode(raw: bytes, where: str, encoding: Literal["utf-8", "utf-8-sig"] = "utf-8") -> str:
    """The text in `raw`; utf-8-sig drops a byte order mark. Raises DataError, which begins with `where`."""
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not valid UTF-8 at byte {error.start}") from None


def _content(file: Path) -> str:
    raw = read_bytes(file)
    for start, name in _SIGNATURES.items():
        if raw.startswith(start):
            raise DataError(f"{quote(file, 200)}: this is {name}, not text in UTF-8")
    nul = raw.find(b"\0")
    if nul >= 0:
        fail(file, raw.count(b"\n", 0, nul) + 1, "a NUL byte")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fail(file, raw.count(b"\n", 0, error.start) + 1, f"not valid UTF-8: byte 0x{raw[error.start]:02X}")


def _error(file: Path, line: int, message: str) -> DataError:
    return DataError(f"{quote(file, 200)}:{line}: {message}")


def fail(file: Path, line: int, message: str) -> NoReturn:
    """Raise DataError with the file name and the line number."""
    raise _error(file, line, message)


def _csv_rows(
    file: Path, content: str, columns: tuple[str, ...], delimiter: str
) -> Iterator[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    line = 1
    while True:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            opened = "unexpected end of data" in str(error) or "field larger" in str(error)
            fail(file, line, "a quote opened in this row is not closed" if opened else f"bad row: {error}")
        here, line = line, reader.line_num + 1
        if not row:
            continue
        if header is None:
            header = row
            places = [_column(file, here, header, name, delimiter) for name in columns]
        elif len(row) != len(header):
            fail(file, here, f"{len(row)} fields, but the header has {len(header)}")
        else:
            yield here, (row[places[0]], *(row[place].strip() for place in places[1:]))
    if header is None:
        raise DataError(f"{quote(file, 200)}: is empty")


def _column(file: Path, line: int, header: list[str], name: str, delimiter: str) -> int:
    found = [place for place, column in enumerate(header) if column == name]
    if len(found) == 1:
        return found[0]
    if found:
        fail(file, line, f"the header has {len(found)} columns {quote(name)}")
    shown = ", ".join(quote(column) for column in header[:20])
    other = next((mark for mark in ",;\t|" if mark != delimiter and len(header) == 1 and mark in header[0]), None)
    hint = f"; the fields seem to be separated by {other!r}" if other else ""
    fail(file, line, f"no column {quote(name)}; there are {shown}{hint}")


def _json_rows(file: Path, content: str, columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for line, record in enumerate(content.split("\n"), start=1):
        if not record.strip():
            continue
        row = parse_json(record.encode(), "record", error=partial(_error, file, line))
        if not isinstance(row, dict):
            fail(file, line, "not a JSON object")
        for name in columns:
            if name not in row:
                fail(file, line, f"no key {quote(name)}; there are {', '.join(quote(key) for key in list(row)[:20])}")
        text, *labels = columns
        if not isinstance(row[text], str):
            fail(file, line, f"{quote(text)} must be a text")
        for label in labels:
            if not isinstance(row[label], (str, int)):
                fail(file, line, f"{quote(label)} must be a text, a whole number or true/false")
        names = [row[label] if isinstance(row[label], str) else json.dumps(row[label]) for label in labels]
        yield line, (row[text], *(name.strip() for name in names))


def _refuse_empty(file: Path, what: str, bad: list[int]) -> None:
    if bad:
        lines = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
        fail(file, bad[0], f"the {what} is empty in {len(bad):,} row{'s'[: len(bad) > 1]} (line {lines})")


def read_folder(path: str | Path) -> Labelled:
    """The texts ROOT/class/*.txt in UTF-8, sorted by name. Hidden files and folders are ignored.

    Raises DataError with the file name for fewer than two classes, an empty class or text, a link, invalid UTF-8, and
    more than 10 MB.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"{quote(root, 200)}: {'not a folder' if root.exists() else 'not found'}")
    try:
        folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if len(folders) < 2:
            raise DataError(f"{quote(root, 200)}: has {len(folders)} folders; a classifier needs two classes or more")
        texts: list[str] = []
        names: list[str] = []
        for folder in folders:
            files = sorted(file for file in folder.glob("*.txt") if not file.name.startswith("."))
            if not files:
                raise DataError(f"{quote(folder, 200)}: has no .txt file")
            texts += [read_text(file) for file in files]
            names += [folder.name] * len(files)
    except OSError as error:
        raise DataError(f"{quote(error.filename or root, 200)}: cannot be read: {error.strerror}") from None
    classes = class_order(names)
    source = f"{len(texts):,} files of the folder {quote(root.name)}, {len(classes)} classes"
    return Labelled(texts, label_rows(names, classes), classes, source=source)


def read_text(file: Path, max_bytes: int = _MAX_FILE) -> str:
    """The text of a UTF-8 file. Raises DataError with the file name if it is empty, has more than `max_bytes` bytes, is
    not UTF-8 or not a plain file.
    """
    if file.is_symlink() or not file.is_file():
        raise DataError(f"{quote(file, 200)}: not a plain file")
    with open(file, "rb") as opened:
        raw = opened.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise DataError(f"{quote(file, 200)}: more than {max_bytes:,} bytes")
    text = decode(raw, quote(file, 200), "utf-8-sig")
    if not text.strip():
        raise DataError(f"{quote(file, 200)}: the text is empty")
    return text
