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
        self.file = file
        self.where = quote(file, 200)
        self.line = 0
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
            values = self._values(channel, place)
            rows.append(values)
            if len(values) != len(rows[0]):
                self.fail(f"channel {place} has {counted(len(values), 'step')}, channel 1 has {len(rows[0])}")
        series = np.ascontiguousarray(np.stack(rows, axis=1))
        if trimmed:
            series = trim(series)
            if not len(series):
                self.fail("the series has no value")
        self.inputs.append(series)
        self.labels.append(label)
        self.places.append((self.where, self.line))

    def _values(self, channel: str, place: int) -> NDArray[np.float64]:
        """The values of a channel, "?" as NaN. place: its number, for messages."""
        fields = channel.replace("?", "nan").split(",")
        values = None
        with suppress(ValueError), np.errstate(over="ignore"):
            values = np.array(fields, dtype=np.float64)
        # NumPy reads 1_0 too, and digits of other scripts: these channels are checked field by field.
        if values is None or "_" in channel or not channel.isascii():
            bad = [field for field in fields if not NUMBER.fullmatch(field)]
            if values is None or bad:
                self.fail(f"channel {place} has an invalid number, {quote((bad or fields)[0], 40)}")
        if (np.abs(values) > LARGEST).any():
            self.fail(f"channel {place} has a value that is not finite")
        return values

    def rows(self, *, targets: bool = False, classes: list[str] | None = None, label: str = "") -> Rows:
        """The series. targets: their labels are numbers. classes: those that the file lists. label: its name."""
        if not self.inputs:
            raise DataError(f"{self.where}: has no series after '@data'")
        names = ColumnNames(label=(label,) if label else ())
        rows = Rows(self.inputs, names, self.labels, places=self.places, paths=[str(self.file)]).with_known_labels()
        if rows.labels is None:
            return rows
        if targets:
            for row, target in enumerate(self.labels):
                if not NUMBER.fullmatch(target) or not math.isfinite(float(target)):
                    rows.fail(row, f"the target {quote(target, 40)} is not a finite number")
            return replace(rows, labels=list(map(float, self.labels)), task="regression")
        if classes is not None:
            return replace(rows, classes=class_order(classes))
        if any(isinstance(label, list) for label in self.labels):
            return rows
        return replace(rows, labels=class_names(self.labels))


def read_ts(file: Path, per_step: bool = False) -> Rows:
    """A .ts file, as aeon and sktime read it, lengths equal or not.

    `:` separates channels, `,` steps; `?` and NaN are missing values. The label is last: a class of @classLabel, a
    number with `@targetLabel true`, or absent without either; `?` for every row: unlabelled. The classes are those of
    @classLabel, so that the training and test file of a set agree. per_step: in place of the label there are as many as
    steps, separated by commas. Raises DataError with the line for time stamps,
    channels of different lengths, a class that is not listed, and an invalid number.
    """
    lines = _TextFile(file)
    classes: list[str] | None = None
    has_target = False
    in_data = False
    for line in lines.lines("#%"):
        if in_data:
            channels = line.split(":")
            label = "?"
            if has_target or classes:
                label = channels.pop()
            lines.add(channels, _ts_label(lines, label, classes, per_step), trimmed=False)
            continue
        key, *values = line.split()
        key = key.lower()
        is_true = bool(values) and values[0].lower() == "true"
        if key == "@data":
            in_data = True
        elif not key.startswith("@"):
            lines.fail(f"neither a comment nor an @ line before '@data': {quote(line)}")
        elif key == "@classlabel" and is_true:
            classes = values[1:]
            if not classes:
                lines.fail("'@classLabel true' must list the classes")
        elif key == "@timestamps" and is_true:
            lines.fail("time stamps are not supported; for a long table use --id and --time")
        elif key == "@targetlabel" and is_true:
            has_target = True
    rows = lines.rows(targets=has_target and not per_step, classes=classes)
    if per_step:
        return replace(rows, task="tagging")
    return rows


def _ts_label(lines: _TextFile, text: str, classes: list[str] | None, per_step: bool) -> str | list[str]:
    """The label of a series, or with per_step those of its steps. Raises DataError for one that is not a class."""
    labels = [label.strip() for label in (text.split(",") if per_step else [text])]
    for label in labels:
        if classes is not None and label not in (*classes, "?"):
            hint = "; for a label per step the task is tagging" if "," in label else ""
            lines.fail(f"class {quote(label)} is not among those of @classLabel{hint}")
    return labels if per_step else labels[0]


def read_ucr(file: Path, label: bool = True) -> Rows:
    """A .tsv file of the UCR archive: one series per line, without a header; the class, then the steps.

    Missing values at the end mean a shorter series; NaN in other places is missing. A class that is NaN or `?` in every
    row: unlabelled. label: whether the first column is the class. Raises DataError with the line.
    """
    lines = _TextFile(file)
    for line in lines.lines(""):
        fields = _fields(line)
        name = fields.pop(0) if label else "?"
        if label and not NUMBER.fullmatch(name):
            lines.fail(f"the class must be a number, got {quote(name, 40)}")
        lines.add([",".join(fields)], name, trimmed=True)
    return lines.rows()


def _fields(line: str) -> list[str]:
    """The fields of a line, separated by tabs, else by commas, else by spaces."""
    for separator in ("\t", ","):
        if separator in line:
            return [field.strip() for field in line.split(separator)]
    return line.split()


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
    lines = _TextFile(file)
    header = _ArffHeader(lines, label)
    in_data = False
    for line in lines.lines("%"):
        if in_data:
            channels, name = header.series(line)
            lines.add(channels, name, trimmed=True)
        elif line.lower().startswith("@data"):
            header.close()
            in_data = True
        else:
            header.read(line)
    is_number = header.place is not None and header.classes is None
    rows = lines.rows(targets=is_number, classes=header.classes, label=header.label)
    return replace(rows, label_by_name=header.place is None)


class _ArffHeader:
    """The attributes of an ARFF file, and how they divide a row of data.

    attributes: name and type of each, without the inner attributes of a relational one. label: the name of the label's
    attribute, "" without one. place: its number among them. classes: those that it lists.
    """

    def __init__(self, lines: _TextFile, label: str | None) -> None:
        self.lines = lines
        self.label = label or ""
        self.attributes: list[tuple[str, str]] = []
        self.place: int | None = None
        self.classes: list[str] | None = None
        self._is_relational = False
        self._within_relational = False

    def read(self, line: str) -> None:
        """A line of the header. Raises DataError with its number."""
        attribute = _ATTRIBUTE.match(line)
        if line.lower().startswith("@end"):
            self._within_relational = False
        elif attribute:
            if not self._within_relational:  # within it are the steps of the series
                self._add(attribute[1].strip("'\""), attribute[2].strip())
        elif not line.lower().startswith("@relation"):
            self.lines.fail(f"not an ARFF header: {quote(line)}")

    def _add(self, name: str, kind: str) -> None:
        self.attributes.append((name, kind))
        if kind.lower() == "relational":
            self._is_relational = True
            self._within_relational = True
        elif kind.lower() not in ("numeric", "real", "integer") and not kind.startswith("{"):
            self.lines.fail(f"attribute {quote(name)} is neither numeric nor nominal: {quote(kind, 40)}")

    def close(self) -> None:
        """All attributes are known: find the label's. Raises DataError."""
        self.place = self._label_place()
        if self.place is not None:
            self.label, kind = self.attributes[self.place]
            if kind.startswith("{"):
                self.classes = [name.strip().strip("'\"") for name in kind.strip("{} ").split(",")]
        alone = len(self.attributes) == 1 + (self.place is not None)
        if self._is_relational and not alone:
            self.lines.fail("a relational attribute must stand alone or with the class")

    def _label_place(self) -> int | None:
        """The number of the label's attribute: that of its name, else the only nominal one."""
        names = [name for name, _ in self.attributes]
        if self.label:
            try:
                return names.index(find_column(self.label, names))
            except InputError as error:
                self.lines.fail(str(error))
        nominal = [place for place, (_, kind) in enumerate(self.attributes) if kind.startswith("{")]
        if len(nominal) > 1:
            several = ", ".join(quote(names[place]) for place in nominal)
            self.lines.fail(f"{len(nominal)} nominal attributes, {several}: name the class with --label")
        return nominal[0] if nominal else None

    def series(self, line: str) -> tuple[list[str], str]:
        """The channels of a row of data, and its label, "?" without one."""
        fields = list(_arff_fields(self.lines, line))
        if len(fields) != len(self.attributes):
            self.lines.fail(f"{counted(len(fields), 'value')}, but {counted(len(self.attributes), 'attribute')}")
        name = "?"
        if self.place is not None:
            name = fields.pop(self.place).strip()
        if self.classes is not None and name not in ("?", *self.classes):
            self.lines.fail(f"class {quote(name)} is not among those of {quote(self.label)}")
        if self._is_relational:
            return re.split(r"\\n|\n", fields[0]), name
        return [",".join(fields)], name


def _arff_fields(lines: _TextFile, text: str) -> Iterator[str]:
    """The values of a row; a value in quotes may contain commas."""
    start = 0
    while start <= len(text):
        value = _ARFF_VALUE.match(text, start)
        if value is None:
            lines.fail("a quote is not closed")
        yield next(group for group in value.groups() if group is not None).strip()
        # Without a comma this was the last value: one step beyond the end stops the loop.
        start = value.end() + (value[0][-1:] != ",")


def read_arrays(file: Path, layout: str | None = None, per_step: bool = False, array: str | None = None) -> Rows:
    """An .npz file with the series in one of two forms, and labels (n,), called `y` or `labels`, or none; or an .npy
    file with the series of equal length.

    Series of equal length: `X` or `inputs`, (n, steps) or (n, steps, channels); layout: see `gatewise.data.inputs`.
    Series of different lengths: concatenated `values (N, channels)` and `lengths (n,)` with sum N. Labels that are
    strings, whole numbers or booleans are classes; other numbers are those of a regression, which the task must say, as
    in a table. array: another name of the series, under which they are (n, steps, channels). per_step: there is a label
    for each step, (n, steps), or (N,) for `values`. Sizes are checked before anything is read. Raises DataError with
    the file and the array.
    """
    return _ArrayFile(file, per_step, array).rows(layout)


_KINDS: dict[str, LabelType] = {"i": "int", "u": "int", "b": "bool"}
"""The type of labels by the kind of a NumPy dtype; other labels are texts."""


class _ArrayFile:
    """The arrays of an .npz or .npy file. name: of the series; values, labels: their arrays; is_ragged: whether the
    values are concatenated. Raises DataError with the file for arrays that are missing or of another shape.
    """

    def __init__(self, file: Path, per_step: bool, array: str | None = None) -> None:
        self.file = file
        self.per_step = per_step
        self.arrays = read_numpy(file)
        names = ["X", "inputs", "values"]
        if array is not None and array not in names:
            names.insert(0, array)
        name = self._only(*names)
        if name is None or (name == "values" and "lengths" not in self.arrays):
            has = ", ".join(map(quote, sorted(self.arrays)))
            self.fail(f"must have {', '.join(names[:-1])}, or values with lengths; it has {has}")
        self.name = name
        self.array = array
        self.is_ragged = name == "values"
        self.values = self.arrays[name]
        self.label = self._only("y", "labels")
        self.labels = None if self.label is None else self.arrays[self.label]
        self._check_labels()

    def fail(self, message: str) -> NoReturn:
        """Raise DataError with the file."""
        raise DataError(f"{quote(self.file, 200)}: {message}")

    def _only(self, *names: str) -> str | None:
        """The one of the names that an array has; None without one."""
        present = [name for name in names if name in self.arrays]
        if len(present) > 1:
            self.fail(f"has both {quote(present[0])} and {quote(present[1])}")
        return present[0] if present else None

    def _check_labels(self) -> None:
        """Raise DataError for labels of another shape or kind."""
        if self.labels is None:
            return
        shape = f"{self.labels.shape} {self.labels.dtype}"
        if not self.per_step:
            if self.labels.ndim != 1 or self.labels.dtype.kind not in "fiuUb":
                self.fail(f"{self.label} must be (n,) numbers or strings, got {shape}")
            return
        axes = 1 if self.is_ragged else 2
        if self.labels.ndim != axes or self.labels.dtype.kind not in "iuUb":
            self.fail(f"{self.label} must have a label for each step, got {shape}")
        if self.is_ragged and len(self.labels) != len(self.values):
            count = counted(len(self.labels), "label")
            self.fail(f"{len(self.values)} rows of values and {count}; want equal numbers")

    def rows(self, layout: str | None) -> Rows:
        """The series with their labels."""
        inputs = self._series(layout)
        if not inputs:
            self.fail("has no series")
        rows = Rows(inputs, paths=[str(self.file)])
        if self.labels is None:
            return rows
        if self.labels.dtype.kind == "f":
            if not np.isfinite(self.labels).all():
                row = int(np.argwhere(~np.isfinite(self.labels))[0, 0])
                self.fail(f"{self.label}: row {row} is not finite")
            return replace(rows, labels=self.labels.tolist(), label_type="float")
        label_type = _KINDS.get(self.labels.dtype.kind, "str")
        if self.per_step:
            of_steps = [[str(label) for label in row.tolist()] for row in self._by_series(inputs)]
            return replace(rows, labels=of_steps, label_type=label_type, task="tagging")
        names = [str(label) for label in self.labels.tolist()]
        if not all(names):
            self.fail(f"{self.label}: row {names.index('')} is an empty label")
        return replace(rows, labels=names, label_type=label_type)

    def _series(self, layout: str | None) -> list[NDArray[np.float32]]:
        """The n series, as many as there are labels."""
        try:
            if layout is None and self.name == self.array and self.values.ndim == 3:
                layout = "time-first"
            inputs = self._concatenated() if self.is_ragged else series_of(self.values, layout)
        except InputError as error:
            is_named = self.file.suffix.lower() == ".npz"
            self.fail(f"{self.name}: {error}" if is_named else str(error))
        if self.labels is not None and not (self.is_ragged and self.per_step) and len(self.labels) != len(inputs):
            count = counted(len(self.labels), "label")
            self.fail(f"{len(inputs)} series and {count}; want equal numbers")
        return inputs

    def _concatenated(self) -> list[NDArray[np.float32]]:
        """The series of `values` and `lengths`."""
        lengths = self.arrays["lengths"]
        if self.values.dtype.kind not in "fiu" or self.values.ndim != 2:
            self.fail("values must be numbers, (N, channels)")
        is_whole = lengths.dtype.kind in "iu" and lengths.ndim == 1
        if not is_whole or (lengths < 1).any() or lengths.sum() != len(self.values):
            self.fail(f"lengths must be (n,) whole numbers from 1 with the sum {len(self.values)}, the rows of values")
        if not len(lengths):
            return []
        return series_of(np.split(self.values, np.cumsum(lengths)[:-1]), "time-first")

    def _by_series(self, inputs: list[NDArray[np.float32]]) -> Any:
        """The labels of the steps of each series."""
        if not self.is_ragged:
            return self.labels
        return Ragged(np.asarray(self.labels), np.array([len(series) for series in inputs], dtype=np.intp))
