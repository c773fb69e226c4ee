"""Series in files of their own: .ts, UCR text, ARFF, .npz, .npy. Those of the UCR/UEA archives have channels first."""

import io
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import find_column
from gatewise.data.inputs import series_of
from gatewise.data.labels import class_order
from gatewise.data.row_reader import is_numbering, trim
from gatewise.data.rows import Rows
from gatewise.data.schema import LARGEST, NUMBER
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.ragged import Ragged
from gatewise.storage.numpy_files import read_numpy
from gatewise.storage.streams import open_data, read_text, unreadable
from gatewise.target.names import number_of
from gatewise.types import ColumnNames, LabelType

SERIES = (".ts", ".arff", ".npz", ".npy")
"""File names of series alone; tables may hold series too."""

_MAX_LINE = 64 << 20  # characters
_ATTRIBUTE = re.compile(r"@attribute\s+('[^']*'|\"[^\"]*\"|\S+)\s+(.+)", re.I)
_ARFF_VALUE = re.compile(r"""\s*(?:'([^']*)'[^,]*|"([^"]*)"[^,]*|([^'",][^,]*|))(?:,|$)""")
_WHOLE = re.compile(r"[+-]?[0-9]+(\.0+)?([eE][+-]?[0-9]+)?")


def is_series_file(path: str | Path) -> bool:
    """Whether the file can hold series only: by its name, or a .tsv or .txt file of numbers without a header."""
    suffix = Path(path).suffix.lower()
    return suffix in SERIES or (suffix in (".tsv", ".txt") and Path(path).is_file() and is_ucr(path))


def is_ucr(path: str | Path) -> bool:
    """Whether every field of the first three lines is a number, as in the UCR archive and in no table with a header.

    The names 0, 1, 2, ... are a header too. Raises DataError for a file that cannot be read.
    """
    try:
        with io.TextIOWrapper(open_data(path), encoding="utf-8-sig", errors="replace") as file:
            lines = [file.readline(_MAX_LINE).strip() for _ in range(3)]
    except OSError as error:
        raise unreadable(path, error) from None
    rows = [_fields(line) for line in lines if line]
    if not rows or not all(len(row) > 1 and all(map(NUMBER.fullmatch, row)) for row in rows):
        return False
    return not is_numbering(rows[0])


class _TextFile:
    """The series of a text file, read line by line. label: the name of their label."""

    def __init__(self, file: Path) -> None:
        self.file, self.where, self.line = file, quote(file, 200), 0
        self.inputs: list[NDArray[np.float64]] = []
        self.labels: list[Any] = []
        self.places: list[tuple[str, int]] = []

    def lines(self, comments: str) -> Iterator[str]:
        """The lines that are neither blank nor comments."""
        text = io.StringIO(read_text(self.file), newline=None)  # lines end in \n, \r\n or \r
        for self.line, full in enumerate(text, start=1):
            line = full.strip()
            if line and line[0] not in comments:
                yield line

    def fail(self, message: str) -> NoReturn:
        """Raise DataError with the line."""
        raise DataError(f"{self.where}:{self.line}: {message}")

    def add(self, channels: list[str], label: Any, trimmed: bool) -> None:
        """A series from one text per channel, steps separated by commas. trimmed: without missing steps at its end."""
        expected = self.inputs[0].shape[1] if self.inputs else None
        if not channels or (expected is not None and len(channels) != expected):
            self.fail(f"{counted(len(channels), 'channel')}, expected {expected or 'one or more'}")
        rows: list[NDArray[np.float64]] = []
        for place, channel in enumerate(channels, start=1):
            fields = channel.replace("?", "nan").split(",")
            values = None
            with suppress(ValueError), np.errstate(over="ignore"):
                values = np.array(fields, dtype=np.float64)
            # NumPy reads 1_0 too, and digits of other scripts.
            if values is None or "_" in channel or not channel.isascii():
                bad = [field for field in fields if not NUMBER.fullmatch(field)]
                if values is None or bad:
                    self.fail(f"channel {place} has an invalid number, {quote((bad or fields)[0], 40)}")
            rows.append(values)
            if (np.abs(values) > LARGEST).any():
                self.fail(f"channel {place} has a value that is not finite")
            if len(values) != len(rows[0]):
                self.fail(f"channel {place} has {counted(len(values), 'step')}, channel 1 has {len(rows[0])}")
        series = np.ascontiguousarray(np.stack(rows, axis=1))
        if trimmed and not len(series := trim(series)):
            self.fail("the series has no value")
        self.inputs.append(series)
        self.labels.append(label)
        self.places.append((self.where, self.line))

    def rows(self, *, targets: bool = False, classes: list[str] | None = None, label: str = "") -> Rows:
        """The series. targets: their labels are numbers. classes: those that the file lists. label: its name."""
        if not self.inputs:
            raise DataError(f"{self.where}: has no series after '@data'")
        names = ColumnNames(label=(label,) if label else ())
        found = Rows(self.inputs, names, self.labels, places=self.places, paths=[str(self.file)]).with_known_labels()
        if found.labels is None:
            return found
        if targets:
            for row, target in enumerate(self.labels):
                if not NUMBER.fullmatch(target) or not math.isfinite(float(target)):
                    found.fail(row, f"the target {quote(target, 40)} is not a finite number")
            return replace(found, labels=list(map(float, self.labels)), task="regression")
        if classes is None and not any(isinstance(label, list) for label in self.labels):
            return replace(found, labels=class_names(self.labels))
        return replace(found, classes=None if classes is None else class_order(classes))


def read_ts(file: Path, per_step: bool = False) -> Rows:
    """A .ts file, as aeon and sktime read it, lengths equal or not.

    `:` separates channels, `,` steps; `?` and NaN are missing values. The label is last: a class of @classLabel, a
    number with `@targetLabel true`, or absent without either; `?` for every row: unlabelled. The classes are those of
    @classLabel, so that the training and test file of a set agree. per_step: in place of the label there are as many as
    steps, separated by commas. Raises DataError with the line for time stamps,
    channels of different lengths, a class that is not listed, and an invalid number.
    """
    found = _TextFile(file)
    classes: list[str] | None = None
    target = in_data = False
    for line in found.lines("#%"):
        if in_data:
            *channels, label = line.split(":") if target or classes else [*line.split(":"), "?"]
            each = [one.strip() for one in (label.split(",") if per_step else [label])]
            for one in each:
                if classes is not None and one not in (*classes, "?"):
                    hint = "; for a label per step the task is tagging" if "," in one else ""
                    found.fail(f"class {quote(one)} is not among those of @classLabel{hint}")
            found.add(channels, each if per_step else each[0], trimmed=False)
            continue
        key, *values = line.split()
        key, on = key.lower(), bool(values) and values[0].lower() == "true"
        if key == "@data":
            in_data = True
        elif not key.startswith("@"):
            found.fail(f"neither a comment nor an @ line before '@data': {quote(line)}")
        elif key == "@classlabel" and on:
            classes = values[1:]
            if not classes:
                found.fail("'@classLabel true' must list the classes")
        elif key == "@timestamps" and on:
            found.fail("time stamps are not supported; for a long table use --id and --time")
        elif key == "@targetlabel" and on:
            target = True
    rows = found.rows(targets=target and not per_step, classes=classes)
    return replace(rows, task="tagging") if per_step else rows


def read_ucr(file: Path, label: bool = True) -> Rows:
    """A .tsv file of the UCR archive: one series per line, without a header; the class, then the steps.

    Missing values at the end mean a shorter series; NaN in other places is missing. A class that is NaN or `?` in every
    row: unlabelled. label: whether the first column is the class. Raises DataError with the line.
    """
    found = _TextFile(file)
    for line in found.lines(""):
        first, *steps = _fields(line) if label else ["?", *_fields(line)]
        if not NUMBER.fullmatch(first):
            found.fail(f"the class must be a number, got {quote(first, 40)}")
        found.add([",".join(steps)], first, trimmed=True)
    return found.rows()


def _fields(line: str) -> list[str]:
    """The fields of a line, separated by tabs, else by commas, else by spaces."""
    separator = "\t" if "\t" in line else "," if "," in line else None
    return [field.strip() for field in line.split(separator)]


def class_names(labels: list[str]) -> list[str]:
    """The names; as whole numbers if all are numbers like 1.0 or 1.0000000e+00, as older UCR files write classes.

    >>> class_names(["1.0", "-1.0000000e+00"]), class_names(["1.0", "x"])
    (['1', '-1'], ['1.0', 'x'])
    """
    numbers = [number_of(label) if _WHOLE.fullmatch(label) else None for label in labels]
    whole = [int(number) for number in numbers if number is not None and number == int(number)]
    return list(map(str, whole)) if len(whole) == len(labels) else labels


def read_arff(file: Path, label: str | None = None) -> Rows:
    r"""An ARFF file of the UCR/UEA archives.

    Univariate: one numeric attribute per step. Multivariate: one relational attribute whose quoted value has channels
    separated by \n and steps by commas. The nominal attribute is the class. label: the name of the label's attribute; a
    numeric one means regression. `?` is missing; missing steps at the end mean a shorter series. A class that is `?` in
    every row: unlabelled. Raises DataError with the line.
    """
    found = _TextFile(file)
    attributes: list[tuple[str, str]] = []  # name, type; without the inner attributes of a relational one
    relational: str | None = None
    place: int | None = None
    in_data = False
    classes: list[str] | None = None
    for line in found.lines("%"):
        if in_data:
            fields = list(_arff_fields(found, line))
            if len(fields) != len(attributes):
                found.fail(f"{counted(len(fields), 'value')}, but {counted(len(attributes), 'attribute')}")
            name = "?" if place is None else fields.pop(place).strip()
            if place is not None and classes is not None and name not in ("?", *classes):
                found.fail(f"class {quote(name)} is not among those of {quote(attributes[place][0])}")
            channels = [",".join(fields)] if relational is None else re.split(r"\\n|\n", fields[0])
            found.add(channels, name, trimmed=True)
            continue
        attribute = _ATTRIBUTE.match(line)
        if line.lower().startswith("@data"):
            in_data = True
            place = _arff_label(found, attributes, label)
            if place is not None and attributes[place][1].startswith("{"):
                classes = [name.strip().strip("'\"") for name in attributes[place][1].strip("{} ").split(",")]
            if relational is not None and len(attributes) != 1 + (place is not None):
                found.fail("a relational attribute must stand alone or with the class")
        elif line.lower().startswith("@end"):
            relational = ""  # closed
        elif attribute and relational:
            continue  # a step of the relational attribute
        elif attribute:
            name, kind = attribute[1].strip("'\""), attribute[2].strip()
            attributes.append((name, kind))
            if kind.lower() == "relational":
                relational = name
            elif kind.lower() not in ("numeric", "real", "integer") and not kind.startswith("{"):
                found.fail(f"attribute {quote(name)} is neither numeric nor nominal: {quote(kind, 40)}")
        elif not line.lower().startswith("@relation"):
            found.fail(f"not an ARFF header: {quote(line)}")
    name = "" if place is None else attributes[place][0]
    rows = found.rows(targets=place is not None and classes is None, classes=classes, label=name)
    return replace(rows, label_by_name=place is None)


def _arff_label(found: _TextFile, attributes: list[tuple[str, str]], label: str | None) -> int | None:
    """The number of the label's attribute."""
    nominal = [place for place, (_, kind) in enumerate(attributes) if kind.startswith("{")]
    names = [name for name, _ in attributes]
    if label:
        try:
            return names.index(find_column(label, names))
        except InputError as error:
            found.fail(str(error))
    if len(nominal) > 1:
        several = ", ".join(quote(names[place]) for place in nominal)
        found.fail(f"{len(nominal)} nominal attributes, {several}: name the class with --label")
    return nominal[0] if nominal else None


def _arff_fields(found: _TextFile, text: str) -> Iterator[str]:
    """The values of a row; a value in quotes may contain commas."""
    at = 0
    while at <= len(text):
        value = _ARFF_VALUE.match(text, at)
        if value is None:
            found.fail("a quote is not closed")
        yield next(one for one in value.groups() if one is not None).strip()
        at = value.end() + (value[0][-1:] != ",")


def read_arrays(file: Path, layout: str | None = None, per_step: bool = False) -> Rows:
    """An .npz file with the series in one of two forms, and labels (n,), called `y` or `labels`, or none; or an .npy
    file with the series of equal length.

    Series of equal length: `X` or `inputs`, (n, steps) or (n, steps, channels); layout: see `gatewise.data.inputs`.
    Series of different lengths: concatenated `values (N, channels)` and `lengths (n,)` with sum N. Labels that are
    strings, whole numbers or booleans are classes; other numbers are those of a regression, which the task must say, as
    in a table. per_step: there is a label
    for each step, (n, steps), or (N,) for `values`. Sizes are checked before
    anything is read. Raises DataError with the file and the array.
    """
    where = quote(file, 200)

    def refuse(message: str) -> NoReturn:
        raise DataError(f"{where}: {message}")

    def one_of(*names: str) -> str | None:
        there = [name for name in names if name in arrays]
        if len(there) > 1:
            refuse(f"has both {quote(there[0])} and {quote(there[1])}")
        return there[0] if there else None

    arrays = read_numpy(file)
    name, label = one_of("X", "inputs", "values"), one_of("y", "labels")
    if name is None or (name == "values" and "lengths" not in arrays):
        refuse(f"must have X, inputs, or values with lengths; it has {', '.join(map(quote, sorted(arrays)))}")
    labels, values = None if label is None else arrays[label], arrays[name]
    if labels is not None and per_step:
        if labels.ndim != (1 if name == "values" else 2) or labels.dtype.kind not in "iuUb":
            refuse(f"{label} must have a label for each step, got {labels.shape} {labels.dtype}")
        if name == "values" and len(labels) != len(values):
            refuse(f"{len(values)} rows of values and {counted(len(labels), 'label')}; want equal numbers")
    elif labels is not None and (labels.ndim != 1 or labels.dtype.kind not in "fiuUb"):
        refuse(f"{label} must be (n,) numbers or strings, got {labels.shape} {labels.dtype}")
    try:
        if name == "values":
            lengths = arrays["lengths"]
            if values.dtype.kind not in "fiu" or values.ndim != 2:
                refuse("values must be numbers, (N, channels)")
            whole = lengths.dtype.kind in "iu" and lengths.ndim == 1
            if not whole or (lengths < 1).any() or lengths.sum() != len(values):
                refuse(f"lengths must be (n,) whole numbers from 1 with the sum {len(values)}, the rows of values")
            inputs = series_of(np.split(values, np.cumsum(lengths)[:-1]), "time-first") if len(lengths) else []
        else:
            inputs = series_of(values, layout)
    except InputError as error:
        refuse(f"{name}: {error}" if file.suffix.lower() == ".npz" else str(error))
    rows: Any = labels
    if labels is not None and name == "values" and per_step:
        rows = Ragged(labels, np.array([len(series) for series in inputs], dtype=np.intp))
    if rows is not None and len(rows) != len(inputs):
        refuse(f"{len(inputs)} series and {counted(len(rows), 'label')}; want equal numbers")
    if not inputs:
        refuse("has no series")
    found = Rows(inputs, paths=[str(file)])
    if labels is None:
        return found
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            refuse(f"{label}: row {int(np.argwhere(~np.isfinite(labels))[0, 0])} is not finite")
        return replace(found, labels=labels.tolist(), label_type="float")
    kinds: dict[str, LabelType] = {"i": "int", "u": "int", "b": "bool"}
    kind = kinds.get(arrays[label or ""].dtype.kind, "str")
    if per_step:
        each = [[str(label) for label in row.tolist()] for row in rows]
        return replace(found, labels=each, label_type=kind, task="tagging")
    names = [str(one) for one in labels.tolist()]
    if not all(names):
        refuse(f"{label}: row {names.index('')} is an empty label")
    return replace(found, labels=names, label_type=kind)
