"""Labelled texts out of a CSV, TSV or JSON Lines file, read strictly: what is not clear is an error with its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from gatewise.data.labelled import Labelled, class_order, label_rows
from gatewise.errors import DataError, quote

__all__ = ["long_fields", "read_column", "read_table"]

_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_LINES = (".jsonl", ".ndjson")
_FIELD = 10_000_000  # characters; a longer one is a quote that is never closed
_CLASSES = 1_000
_OTHER = {b"\x1f\x8b": "gzip", b"PAR1": "Parquet", b"PK\x03\x04": "a zip or Excel file", b"\xff\xfe": "UTF-16"}
_OTHER |= {b"\xfe\xff": "UTF-16", b"\x28\xb5\x2f\xfd": "zstd"}


def read_table(path: str | Path, *, text: str, label: str) -> Labelled:
    """The columns (or JSON keys) `text` and `label` of a file in UTF-8: .csv, .tsv, .tab, .jsonl, .ndjson.

    A CSV or TSV begins with a header; quotes as in RFC 4180; blank lines are passed over. Labels are any strings, in
    JSON whole numbers and true/false too; spaces around them do not count. Nothing is ever skipped or guessed:
    DataError with file and line for a missing or doubled column, a row of another length, an empty label or text, an
    open quote, NUL, bytes that are not UTF-8, another format, fewer than two classes.
    """
    file = Path(path).expanduser()
    rows = [(line, body, name) for line, (body, name) in _rows(file, (text, label))]
    return _labelled(file, rows, label)


def read_column(path: str | Path, *, text: str) -> list[str]:
    """The column (or JSON key) `text` alone, of a file as `read_table` reads it and with its errors; no row may be
    empty.
    """
    file = Path(path).expanduser()
    rows = [(line, body) for line, (body,) in _rows(file, (text,))]
    _refuse_empty(file, "text", [line for line, body in rows if not body.strip()])
    return [body for _, body in rows]


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, the columns' values) of each row; the first column is a text, the second a label."""
    suffix = file.suffix.lower()
    if suffix not in _DELIMITERS and suffix not in _LINES:
        known = " ".join((*_DELIMITERS, *_LINES))
        raise DataError(f"{quote(file, 200)}: the name must end in one of {known}")
    content = _content(file)
    if suffix in _LINES:
        yield from _json_rows(file, content, columns)
    else:
        with long_fields():
            yield from _csv_rows(file, content, columns, _DELIMITERS[suffix])


@contextmanager
def long_fields() -> Iterator[None]:
    """csv takes fields of ten million characters for a while; its limit is one for the process."""
    before = csv.field_size_limit(_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _content(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        reason = "not found" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise DataError(f"{quote(file, 200)}: {reason}") from None
    for start, name in _OTHER.items():
        if raw.startswith(start):
            raise DataError(f"{quote(file, 200)}: this is {name}, not text in UTF-8")
    nul = raw.find(b"\0")
    if nul >= 0:
        _fail(file, raw.count(b"\n", 0, nul) + 1, "a NUL byte")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _fail(file, raw.count(b"\n", 0, error.start) + 1, f"not valid UTF-8: byte 0x{raw[error.start]:02X}")


def _fail(file: Path, line: int, what: str) -> NoReturn:
    raise DataError(f"{quote(file, 200)}:{line}: {what}")


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
            _fail(file, line, "a quote that is opened in this row is never closed" if opened else f"bad row: {error}")
        here, line = line, reader.line_num + 1
        if not row:
            continue
        if header is None:
            header = row
            places = [_column(file, here, header, name, delimiter) for name in columns]
        elif len(row) != len(header):
            _fail(file, here, f"{len(row)} fields, but the header has {len(header)}")
        else:
            yield here, (row[places[0]], *(row[place].strip() for place in places[1:]))
    if header is None:
        raise DataError(f"{quote(file, 200)}: is empty")


def _column(file: Path, line: int, header: list[str], name: str, delimiter: str) -> int:
    found = [place for place, column in enumerate(header) if column == name]
    if len(found) == 1:
        return found[0]
    if found:
        _fail(file, line, f"the header has column {quote(name)} {len(found)} times")
    shown = ", ".join(quote(column) for column in header[:20])
    other = next((mark for mark in ",;\t|" if mark != delimiter and len(header) == 1 and mark in header[0]), None)
    hint = f"; the fields seem to be separated by {other!r}" if other else ""
    _fail(file, line, f"no column {quote(name)}; there are {shown}{hint}")


def _json_rows(file: Path, content: str, columns: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for line, record in enumerate(content.split("\n"), start=1):
        if not record.strip():
            continue
        try:
            row = json.loads(record, object_pairs_hook=_unique, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            _fail(file, line, f"not a JSON object: {getattr(error, 'msg', error)}")
        if not isinstance(row, dict):
            _fail(file, line, "not a JSON object")
        for name in columns:
            if name not in row:
                _fail(file, line, f"no key {quote(name)}; there are {', '.join(quote(key) for key in list(row)[:20])}")
        text, *labels = columns
        if not isinstance(row[text], str):
            _fail(file, line, f"{quote(text)} must be a text")
        for label in labels:
            if not isinstance(row[label], (str, int)):
                _fail(file, line, f"{quote(label)} must be a text, a whole number or true/false")
        names = [row[label] if isinstance(row[label], str) else json.dumps(row[label]) for label in labels]
        for value in (row[text], *names):
            if any("\ud800" <= ch <= "\udfff" for ch in value):
                _fail(file, line, "a lone surrogate, which is no character")
        yield line, (row[text], *(name.strip() for name in names))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise ValueError("a key stands there twice")
    return row


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _labelled(file: Path, rows: list[tuple[int, str, str]], label: str) -> Labelled:
    for what, bad in (
        ("label", [line for line, _, name in rows if not name]),
        ("text", [line for line, body, _ in rows if not body.strip()]),
    ):
        _refuse_empty(file, what, bad)
    names = [name for _, _, name in rows]
    classes = class_order(names)
    if len(classes) < 2:
        there = f"only {quote(classes[0])}" if classes else "no row"
        raise DataError(f"{quote(file, 200)}: {there} in {quote(label)}; a classifier needs two classes or more")
    if len(classes) > _CLASSES:
        raise DataError(
            f"{quote(file, 200)}: {quote(label)} has {len(classes):,} different labels; is it the right column?"
        )
    source = f"{len(rows):,} rows of {quote(file.name)}, {len(classes)} classes by {quote(label)}"
    return Labelled([body for _, body, _ in rows], label_rows(names, classes), classes, source=source)


def _refuse_empty(file: Path, what: str, bad: list[int]) -> None:
    if bad:
        lines = ", ".join(map(str, bad[:5])) + (", …" if len(bad) > 5 else "")
        _fail(file, bad[0], f"the {what} is empty in {len(bad):,} row{'s'[: len(bad) > 1]} (line {lines})")
