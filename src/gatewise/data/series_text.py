"""Text files of the UCR/UEA archives: .ts, UCR .tsv, ARFF. They have channels first; series have time first."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from gatewise.data.columns import find_column
from gatewise.data.files import decode, fail, read_bytes
from gatewise.data.labels import class_order
from gatewise.data.series import Series
from gatewise.data.series_rows import SeriesRows, class_names
from gatewise.errors import DataError, InputError, counted, quote

NUMBER = re.compile(r"\s*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?nan|[+-]?inf(inity)?|\?)\s*", re.I)
_MAX_LINE = 64 << 20  # characters
_ATTRIBUTE = re.compile(r"@attribute\s+('[^']*'|\"[^\"]*\"|\S+)\s+(.+)", re.I)


def read_ts(path: str | Path) -> SeriesRows:
    """A .ts file, as aeon and sktime read it, lengths equal or not.

    `:` separates channels, `,` steps; `?` and NaN are missing values. The label is last: a class of @classLabel, a
    number with `@targetLabel true`, or absent without either; `?` for every row: unlabelled. The classes are those of
    @classLabel, so that the training and test file of a set agree. Raises DataError with the line for time stamps,
    channels of different lengths, a class that is not listed, and an invalid number.
    """
    file = Path(path).expanduser()
    classes: list[str] | None = None
    target = in_data = False
    rows: list[tuple[int, Series, str]] = []
    for number, line in _lines(file, "#%"):
        if in_data:
            *channels, label = line.split(":") if target or classes else [*line.split(":"), "?"]
            label = label.strip()
            if classes is not None and label not in (*classes, "?"):
                fail(file, number, f"class {quote(label)} is not among those of @classLabel")
            rows.append((number, _channels(file, number, channels, rows[0][1].shape[1] if rows else None), label))
            continue
        key, *values = line.split()
        key, on = key.lower(), bool(values) and values[0].lower() == "true"
        if key == "@data":
            in_data = True
        elif not key.startswith("@"):
            fail(file, number, f"neither a comment nor an @ line before '@data': {quote(line)}")
        elif key == "@classlabel" and on:
            classes = values[1:]
            if not classes:
                fail(file, number, "'@classLabel true' must list the classes")
        elif key == "@timestamps" and on:
            fail(file, number, "time stamps are not supported; for a long table use --id and --time")
        elif key == "@targetlabel" and on:
            target = True
    if not rows:
        raise DataError(f"{quote(file, 200)}: has no series after '@data'")
    return _rows(file, rows, target, None if classes is None else class_order(classes))


def read_ucr(path: str | Path, label: bool = True) -> SeriesRows:
    """A .tsv file of the UCR archive: one series per line, without a header; the class, then the steps.

    Missing values at the end mean a shorter series; NaN in other places is missing. A class that is NaN or `?` in every
    row: unlabelled. label: whether the first column is the class. Raises DataError with the line.
    """
    file = Path(path).expanduser()
    rows = []
    for number, line in _lines(file, ""):
        first, *steps = _fields(line) if label else ["?", *_fields(line)]
        if not NUMBER.fullmatch(first):
            fail(file, number, f"the class must be a number, got {quote(first, 40)}")
        rows.append((number, trim(_channels(file, number, [",".join(steps)], 1)), first))
        if not len(rows[-1][1]):
            fail(file, number, "the series has no value")
    if not rows:
        raise DataError(f"{quote(file, 200)}: has no series")
    rows = [(number, series, "?" if name.lower() == "nan" else name) for number, series, name in rows]
    return _rows(file, rows, False, None)


def is_ucr(path: str | Path) -> bool:
    """Whether every field of the first three lines is a number, as in the UCR archive and in no table with a header.

    The names 0, 1, 2, ... are a header too. Raises DataError for a file that cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            lines = [file.readline(_MAX_LINE).strip() for _ in range(3)]
    except OSError as error:
        raise DataError(f"{quote(path, 200)}: cannot be read: {error.strerror}") from None
    rows = [_fields(line) for line in lines if line]
    if not rows or not all(len(row) > 1 and all(map(NUMBER.fullmatch, row)) for row in rows):
        return False
    return not is_numbering(rows[0])


def is_numbering(names: list[str]) -> bool:
    """Whether the names are 0, 1, 2, ... or 1, 2, 3, ..., as pandas names columns."""
    return any(names == [str(k + start) for k in range(len(names))] for start in (0, 1))


def _fields(line: str) -> list[str]:
    """The fields of a line, separated by tabs, else by commas, else by spaces."""
    separator = "\t" if "\t" in line else "," if "," in line else None
    return [field.strip() for field in line.split(separator)]


def read_arff(path: str | Path, label: str | None = None) -> SeriesRows:
    r"""An ARFF file of the UCR/UEA archives.

    Univariate: one numeric attribute per step. Multivariate: one relational attribute whose quoted value has channels
    separated by \n and steps by commas. The nominal attribute is the class. label: the name of the label's attribute; a
    numeric one means regression. `?` is missing; missing steps at the end mean a shorter series. A class that is `?` in
    every row: unlabelled. Raises DataError with the line.
    """
    file = Path(path).expanduser()
    attributes: list[tuple[str, str]] = []  # name, type; without the inner attributes of a relational one
    relational: str | None = None
    place: int | None = None
    in_data = numeric = False
    rows: list[tuple[int, Series, str]] = []
    for number, line in _lines(file, "%"):
        if in_data:
            fields = list(_arff_fields(file, number, line))
            if len(fields) != len(attributes):
                fail(file, number, f"{counted(len(fields), 'value')}, but {counted(len(attributes), 'attribute')}")
            name = "?" if place is None else fields.pop(place).strip()
            if place is not None and not numeric and name not in ("?", *_nominal(attributes[place][1])):
                fail(file, number, f"class {quote(name)} is not among those of {quote(attributes[place][0])}")
            channels = [",".join(fields)] if relational is None else re.split(r"\\n|\n", fields[0])
            series = trim(_channels(file, number, channels, rows[0][1].shape[1] if rows else None))
            if not len(series):
                fail(file, number, "the series has no value")
            rows.append((number, series, name))
            continue
        lowered = line.lower()
        found = _ATTRIBUTE.match(line)
        if lowered.startswith("@data"):
            in_data = True
            place, numeric = _arff_label(file, number, attributes, label)
            if relational is not None and len(attributes) != 1 + (place is not None):
                fail(file, number, "a relational attribute must stand alone or with the class")
        elif lowered.startswith("@end"):
            relational = ""  # closed
        elif found and relational:
            continue  # a step of the relational attribute
        elif found:
            name, kind = found[1].strip("'\""), found[2].strip()
            attributes.append((name, kind))
            if kind.lower() == "relational":
                relational = name
            elif kind.lower() not in ("numeric", "real", "integer") and not kind.startswith("{"):
                fail(file, number, f"attribute {quote(name)} is neither numeric nor nominal: {quote(kind, 40)}")
        elif not lowered.startswith("@relation"):
            fail(file, number, f"not an ARFF header: {quote(line)}")
    if not rows:
        raise DataError(f"{quote(file, 200)}: has no series after '@data'")
    listed = None if place is None or numeric else class_order(_nominal(attributes[place][1]))
    series_rows = _rows(file, rows, numeric, listed, "value" if place is None else attributes[place][0])
    return replace(series_rows, label_by_name=place is None)


def trim(series: Series) -> Series:
    """Without the missing steps at the end."""
    known = np.flatnonzero(~np.isnan(series).all(axis=1))
    return series[: known[-1] + 1] if len(known) else series[:0]


def _lines(file: Path, comments: str) -> Iterator[tuple[int, str]]:
    text = decode(read_bytes(file), quote(file, 200), "utf-8-sig")
    for number, full in enumerate(io.StringIO(text, newline=None), start=1):  # lines end in \n, \r\n or \r
        line = full.strip()
        if line and line[0] not in comments:
            yield number, line


def _rows(
    file: Path, rows: list[tuple[int, Series, str]], target: bool, classes: tuple[str, ...] | None, name: str = "value"
) -> SeriesRows:
    """The result of a reader. rows: (line, series, label); "?" is no label."""
    inputs, labels = [series for _, series, _ in rows], [label for _, _, label in rows]
    if all(label == "?" for label in labels):
        return SeriesRows(str(file), inputs, None, classes)
    for number, _, label in rows:
        if label in ("", "?"):
            fail(file, number, "the label is missing")
    if not target:
        return SeriesRows(str(file), inputs, labels if classes else class_names(labels), classes)
    for number, _, label in rows:
        if not NUMBER.fullmatch(label) or not np.isfinite(float(label)):
            fail(file, number, f"the target {quote(label, 40)} is not a finite number")
    return SeriesRows(str(file), inputs, np.array([float(label) for label in labels]), name=name)


def _channels(file: Path, line: int, channels: list[str], expected: int | None) -> Series:
    """(steps, channels) from one text per channel, steps separated by commas."""
    if not channels or (expected is not None and len(channels) != expected):
        fail(file, line, f"{counted(len(channels), 'channel')}, expected {expected or 'one or more'}")
    rows: list[Series] = []
    for place, channel in enumerate(channels, start=1):
        fields = channel.replace("?", "nan").split(",")
        values = None
        with suppress(ValueError), np.errstate(over="ignore"):
            values = np.array(fields, dtype=np.float32)
        if values is None or "_" in channel or not channel.isascii():  # NumPy reads 1_0, and digits of other scripts
            bad = [field for field in fields if not NUMBER.fullmatch(field)]
            if values is None or bad:
                fail(file, line, f"channel {place} has an invalid number, {quote((bad or fields)[0], 40)}")
        rows.append(values)
        if np.isinf(rows[-1]).any():
            fail(file, line, f"channel {place} has a value that is not finite")
        if len(rows[-1]) != len(rows[0]):
            fail(file, line, f"channel {place} has {counted(len(rows[-1]), 'step')}, channel 1 has {len(rows[0])}")
    return np.ascontiguousarray(np.stack(rows, axis=1))


def _arff_label(file: Path, line: int, attributes: list[tuple[str, str]], label: str | None) -> tuple[int | None, bool]:
    """The number of the label's attribute, and whether it is numeric."""
    nominal = [place for place, (_, kind) in enumerate(attributes) if kind.startswith("{")]
    names = [name for name, _ in attributes]
    if label:
        try:
            named = names.index(find_column(label, names))
        except InputError as error:
            fail(file, line, str(error))
        return named, named not in nominal
    if len(nominal) > 1:
        several = ", ".join(quote(names[place]) for place in nominal)
        fail(file, line, f"{len(nominal)} nominal attributes, {several}: name the class with --label")
    return (nominal[0], False) if nominal else (None, False)


def _nominal(kind: str) -> list[str]:
    return [name.strip().strip("'\"") for name in kind.strip("{} ").split(",")]


def _arff_fields(file: Path, line: int, text: str) -> Iterator[str]:
    """The values of a row; a value in quotes may contain commas."""
    at = 0
    while at <= len(text):
        start = at + len(text[at:]) - len(text[at:].lstrip())
        if start < len(text) and text[start] in "'\"":
            end = text.find(text[start], start + 1)
            if end < 0:
                fail(file, line, "a quote is not closed")
            yield text[start + 1 : end]
            at = text.find(",", end)
        else:
            at, start = text.find(",", at), at
            yield text[start : at if at >= 0 else None].strip()
        if at < 0:
            return
        at += 1
