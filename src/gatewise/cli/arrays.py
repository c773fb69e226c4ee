"""Rows of a model with several inputs, from files: .npz with an array for each input, or .jsonl with an object for each
row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gatewise.cli.file_columns import FileColumns
from gatewise.data.row_reader import TableRow
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.storage.numpy_files import read_numpy
from gatewise.storage.streams import STDIN, unreadable
from gatewise.storage.strict_json import parse_json

if TYPE_CHECKING:
    from gatewise.data import Labelled
    from gatewise.model.arrays_preprocessor import ArraysPreprocessor
    from gatewise.types import Task

_ROW = "row"
_LABELS = ("label", "labels", "y")
"""The names of labels in a file, where no option names them."""


class ArrayRows(NamedTuple):
    """The rows of a file. inputs: the arrays of each row by name. columns: what else the file has for each row."""

    inputs: list[dict[str, Any]]
    columns: dict[str, list[Any]]


@dataclass
class ArrayReader:
    """The rows of files, as `RowReader` has those of texts. One file at a time is in memory. reads: the preprocessor
    of the model.
    """

    reads: ArraysPreprocessor
    paths: list[str]
    chosen: Callable[[int, int], bool] | None = None
    table: FileColumns | None = field(init=False, default=None)
    skipped = None
    done = None
    n_bad = 0

    def __iter__(self) -> Iterator[TableRow]:
        for file, path in enumerate(self.paths):
            rows = read_rows(self.reads, path)
            columns = {name: values for name, values in rows.columns.items() if not any(map(_is_array, values))}
            columns = {_ROW: list(range(len(rows.inputs))), **columns}
            self.table = FileColumns(tuple(columns), tuple(columns))
            for number, arrays in enumerate(rows.inputs):
                if self.chosen is not None and not self.chosen(file, number):
                    continue
                cells = {name: values[number] for name, values in columns.items()}
                yield TableRow(number, cells, quote(path, 200), file, number, arrays)


def read_rows(reads: ArraysPreprocessor, path: str) -> ArrayRows:
    """The rows of a file. Raises InputError for a file of another kind, and naming the file and the row for arrays that
    the network does not read.
    """
    names = list(reads.arrays)
    if path == STDIN:
        raise InputError("rows of arrays cannot be read from stdin: give a file")
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        return _rows_of_arrays(reads, path)
    if suffix == ".jsonl":
        return _rows_of_lines(reads, path)
    raise InputError(
        f"{quote(path, 200)}: a model with the inputs {', '.join(names)} reads .npz files with an array for each "
        "input, and .jsonl files with an object for each row"
    )


def read_labelled(
    reads: ArraysPreprocessor,
    files: Sequence[str],
    label: Sequence[str],
    task: Task | None,
    classes: Sequence[str] | None = None,
) -> Labelled:
    """The rows of files with their labels. label: the names of the labels, () for the usual ones. task, classes: see
    `convert_labels`. Raises DataError for a file without labels.
    """
    inputs: list[dict[str, Any]] = []
    labels: list[Any] = []
    names: tuple[str, ...] = ()
    for path in files:
        rows = read_rows(reads, path)
        names = tuple(label) or tuple(name for name in _LABELS if name in rows.columns)[:1]
        for name in names or _LABELS[:1]:
            if name not in rows.columns:
                others = ", ".join(map(quote, rows.columns)) or "nothing else"
                raise DataError(
                    f"{quote(path, 200)}: has no labels {quote(name)}; besides the inputs it has {others}: name them "
                    "with --label"
                )
        columns = [rows.columns[name] for name in names]
        inputs += rows.inputs
        labels += columns[0] if len(columns) == 1 else map(list, zip(*columns, strict=True))
    shown = ", ".join(quote(Path(path).name) for path in files)
    by = ", ".join(map(quote, names))
    source = f"{counted(len(inputs), 'row')} of {shown} by {by}"
    return reads.labelled(inputs, labels, source, task=task, classes=classes, name=by)


def _rows_of_arrays(reads: ArraysPreprocessor, path: str) -> ArrayRows:
    """The rows of an .npz file."""
    arrays = read_numpy(Path(path))
    missing = [name for name in reads.arrays if name not in arrays]
    if missing:
        has = ", ".join(map(quote, arrays)) or "nothing"
        raise DataError(
            f"{quote(path, 200)}: has no array {quote(missing[0])}; the model has the inputs "
            f"{', '.join(reads.arrays)}, and the file has {has}"
        )
    inputs = _read(reads, {name: arrays[name] for name in reads.arrays}, path)
    columns = {}
    for name, array in arrays.items():
        if name in reads.arrays:
            continue
        if array.shape[:1] != (len(inputs),):
            raise DataError(
                f"{quote(path, 200)}: the array {quote(name)} {array.shape} is no input of the model "
                f"({', '.join(reads.arrays)}), and does not have an entry for each of the {counted(len(inputs), 'row')}"
            )
        columns[name] = array.tolist()
    return ArrayRows(inputs, columns)


def _rows_of_lines(reads: ArraysPreprocessor, path: str) -> ArrayRows:
    """The rows of a .jsonl file. What other lines have and one lacks is None."""
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise unreadable(path, error) from None
    inputs: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        where = f"{path}: line {number}"
        item = parse_json(line, where, error=DataError)
        if not isinstance(item, dict):
            raise DataError(f"{quote(where, 200)} must be an object with the inputs {', '.join(reads.arrays)}")
        missing = [name for name in reads.arrays if name not in item]
        if missing:
            raise DataError(
                f"{quote(where, 200)} has no {quote(missing[0])}; the model has the inputs {', '.join(reads.arrays)}"
            )
        try:
            row = reads.format.read({name: item[name] for name in reads.arrays})
        except InputError as error:
            raise InputError(f"{quote(where, 200)} {error}") from None
        inputs += _read(reads, [row], where)
        others.append({name: value for name, value in item.items() if name not in reads.arrays})
    names = dict.fromkeys(name for other in others for name in other)
    return ArrayRows(inputs, {name: [other.get(name) for other in others] for name in names})


def _read(reads: ArraysPreprocessor, inputs: Any, where: str) -> list[dict[str, Any]]:
    try:
        rows, _ = reads.rows(inputs)
    except InputError as error:
        raise InputError(f"{quote(where, 200)}: {error}") from None
    return rows


def _is_array(value: Any) -> bool:
    return isinstance(value, list | dict)
