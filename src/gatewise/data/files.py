"""Labelled texts from tables and from folders. Anything ambiguous is an error with file and line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from gatewise.data.inputs import described
from gatewise.data.labelled import Labelled
from gatewise.data.labels import (
    REGRESSION,
    class_order,
    convert_groups,
    convert_labels,
    label_rows,
    looks_continuous,
    merge_equal_numbers,
)
from gatewise.data.rows import Columns, RowReader, TableRow
from gatewise.data.streams import STDIN
from gatewise.data.times import seconds_of
from gatewise.errors import DataError, counted, quote
from gatewise.types import Task

_MAX_CLASSES = 1_000
_MAX_FILE = 10 << 20  # bytes of a text file


def read_table(
    path: str | Path | Sequence[str | Path],
    *,
    text: str | Sequence[str] = "text",
    label: str | Sequence[str] = "label",
    task: Task | None = None,
    label_separator: str | None = None,
    weight: str | None = None,
    group: str | None = None,
    time: str | None = None,
    delimiter: str | None = None,
    skip_bad_rows: str | Path | None = None,
    one_class: bool = False,
) -> Labelled:
    """Texts and labels from the columns (or JSON keys) of one or more tables.

    path: files, glob patterns, or "-" for stdin: .csv, .tsv, .tab, .jsonl, .ndjson, .json (a list of objects),
    .parquet, .arrow, .feather; text formats also with .gz and .zst. text: one or more columns, joined by a newline.
    label: one column, or several for regression and multi-label. label_separator: between the labels in a column, which
    makes the task multi-label. weight, group, time: columns of `Labelled.sample_weight`, `groups`, `time`. delimiter:
    None: guessed. A column name also fits without case and spaces, if only one does.

    Surrounding spaces of a label are stripped. A bad row has another number of fields, no text or label, a quote that
    is not closed, a value of another type, or bytes that are not UTF-8. skip_bad_rows: a CSV file for them (file, line,
    reason); without it the first one is an error that counts the others. one_class: all rows may have one class, as in
    data on which a model is evaluated.

    Labels that are numbers are one class where they are equal, as 1 and 1.0, with a DataWarning. Raises DataError with
    file and line, also for a missing or duplicate column and for fewer than two classes.
    """
    columns = Columns(_several(text), _several(label), task, label_separator, weight, group, time)
    found: list[TableRow] = []
    with RowReader.open(path, columns, delimiter, skip_bad_rows) as reader:
        found += (row._replace(values={}) for row in reader)  # the other columns need not stay in memory
    return _labelled(found, columns, reader, one_class)


def read_column(path: str | Path, *, text: str | Sequence[str] = "text") -> list[str]:
    """The column (or JSON key) `text` of a file, without labels. Formats and errors as in `read_table`."""
    with RowReader.open(path, Columns(_several(text))) as reader:
        return [row.text for row in reader]


def _several(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _labelled(rows: list[TableRow], columns: Columns, reader: RowReader, one_class: bool) -> Labelled:
    paths = reader.paths
    where = ", ".join("stdin" if path == STDIN else quote(path, 200) for path in paths[:3])
    name = ", ".join(quote(column) for column in columns.label)
    if not rows:
        raise DataError(f"{where}: no row in {name}; a classifier needs two classes or more")
    labels: Any = [row.label for row in rows]
    first = rows[0]
    for row in rows:
        if isinstance(row.label, str) != isinstance(first.label, str) and not isinstance(row.label, list):
            other = f"but {described(first.label)} in " + (f"line {first.line}" if len(paths) == 1 else first.where)
            raise DataError(f"{row.where}: {name} is {described(row.label)}, {other}")
    task = columns.task or ("multilabel" if columns.label_separator is not None else None)
    one_each = not any(isinstance(label, list) for label in labels)
    if task is None and one_each:
        _refuse_continuous(rows, where, name)
    if task in (None, "classification") and one_each:
        labels = merge_equal_numbers(labels, f"{where}: {name}")
    if task == "multilabel" and len(columns.label) == 1 and one_each:
        raise DataError(
            f"{where}: {name} has one label per row: multilabel needs a label separator, or several columns"
        )
    several = len(columns.label) > 1 or (task == "regression")
    found = convert_labels(labels, task or _task_of(labels), columns.label if several else None, f"{where}: {name}")
    if found.task == "classification":
        if len(found.classes) < 2 and not one_class:
            raise DataError(
                f"{where}: only {quote(found.classes[0])} in {name}; a classifier needs two classes or more"
            )
        if len(found.classes) > _MAX_CLASSES:
            raise DataError(f"{where}: {name} has {len(found.classes):,} different labels; is it the right column?")
    what = ("class", "classes") if found.task == "classification" else ("label", "labels")
    count = "" if found.task == "regression" else f"{counted(len(found.classes), *what)} by "
    files = ", ".join("stdin" if path == STDIN else quote(Path(path).name) for path in paths[:3])
    files += f" and {counted(len(paths) - 3, 'more file')}" if len(paths) > 3 else ""
    notes = "".join(f"; {note}" for note in reader.notes)
    skipped = f"; {counted(reader.n_bad, 'bad row')} skipped" if reader.n_bad else ""
    source = f"{counted(len(rows), 'row')} of {files}, {count}{name}{notes}{skipped}"
    more: dict[str, Any] = {}
    if columns.weight is not None:
        more["sample_weight"] = np.array([row.weight for row in rows], dtype=np.float64)
    if columns.group is not None:
        more["groups"] = convert_groups([row.group for row in rows])
    if columns.time is not None:
        more["time"] = seconds_of([row.time for row in rows], lambda row: rows[row].where)
    texts = [row.text for row in rows]
    kind = {"task": found.task, "label_type": found.label_type}
    return Labelled(texts, found.labels, found.classes, source=source, **kind, **more)  # type: ignore[arg-type]


def _task_of(labels: list[Any]) -> Task | None:
    return None if any(isinstance(label, list) for label in labels) else "classification"


def _refuse_continuous(rows: list[TableRow], where: str, name: str) -> None:
    """Labels of a table are texts also where they are numbers."""
    labels = [row.label for row in rows]
    try:
        numbers = [float(label) for label in labels]
    except (ValueError, OverflowError):  # of a whole number above 1e308
        return
    if not np.isfinite(numbers).all():
        row = rows[int(np.flatnonzero(~np.isfinite(numbers))[0])]
        raise DataError(f"{row.where}: {name} is {quote(row.label)}: neither a class nor a number")
    if not isinstance(labels[0], bool) and (found := looks_continuous(numbers)):
        raise DataError(
            f"{where}: {name} {'has' if found[0] < 0 else 'contains a label that'} {found[1]}: {REGRESSION}"
        )


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


def fail(file: Path, line: int, message: str) -> NoReturn:
    """Raise DataError with the file name and the line number."""
    raise DataError(f"{quote(file, 200)}:{line}: {message}")


def read_folder(path: str | Path, one_class: bool = False) -> Labelled:
    """The texts ROOT/class/*.txt in UTF-8, sorted by name. Hidden files and folders are ignored. one_class: as in
    `read_table`.

    Raises DataError with the file name for fewer than two classes, an empty class or text, a link, invalid UTF-8, and
    more than 10 MB.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"{quote(root, 200)}: {'not a folder' if root.exists() else 'not found'}")
    try:
        folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if len(folders) < (1 if one_class else 2):
            has = counted(len(folders), "folder")
            raise DataError(f"{quote(root, 200)}: has {has}; a classifier needs two classes or more")
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
    source = (
        f"{counted(len(texts), 'file')} of the folder {quote(root.name)}, {counted(len(classes), 'class', 'classes')}"
    )
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
