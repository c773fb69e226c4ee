"""What a user passes as labels, as an array with the classes, the task and the type of the labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from decimal import Decimal
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import described, frame_columns, is_finite, is_frame, is_missing, missing_name
from gatewise.data.inputs import convert_rows
from gatewise.data.suspects import suspect_classes
from gatewise.errors import InputError, printable, quote, warn
from gatewise.ragged import Ragged
from gatewise.target import Target, labels_task, target_of
from gatewise.target.multilabel import label_names
from gatewise.target.names import number_of
from gatewise.target.regression import number_names
from gatewise.types import Array, LabelType, Task

_REGRESSION = "this looks like regression: pass task='regression' (--task regression)"
_NOT_FINITE = re.compile(r"[+-]?(nan|inf(inity)?)", re.I)
_MANY = 20  # distinct numbers; more, if they are more than half of the rows, are no classes


_NAMES: dict[LabelType, Callable[[Any], str]] = {
    "str": lambda label: str(label).strip(),
    "int": lambda label: str(int(label)),
    "bool": lambda label: str(bool(label)),
    "float": lambda label: str(float(label) + 0.0),  # -0.0 is the class 0.0
}
"""The name of the class of a label, by the type of the labels."""

Where = Callable[[int], str]
"""Names a row for messages."""


class ConvertedLabels(NamedTuple):
    """The labels of n rows.

    labels: (n,) int64, indices into `target.classes`, which are sorted; multilabel: (n, K) int64 of 0 and 1;
    regression: (n, M) float64; tagging: `Ragged`, with values (N,) int64. target: with the type of the labels as they
    were passed.
    """

    labels: Array | Ragged
    target: Target

    def for_task(self, task: Task) -> ConvertedLabels:
        """These labels with the target of a task that reads them."""
        return self._replace(target=target_of(self.target.classes, task, self.target.label_type))


def convert_labels(
    labels: Any,
    task: Task | None = None,
    classes: Sequence[str] | None = None,
    name: str = "labels",
    where: Where | None = None,
    table: bool = False,
) -> ConvertedLabels:
    """Labels in a list, tuple, array (n,) or (n, 1), Series, PyArrow array or data frame.

    A list, tuple or set of labels per row is multi-label, and so is, with task="multilabel", an array or data frame (n,
    K) of 0 and 1. With task="regression", numbers (n,) or (n, M). With task="tagging", a list of labels per row, one
    for each step. task: None for multilabel if the rows hold lists of labels, else classification. classes: the names
    of the K or M columns; None: those of a data frame, or numbers. name, where: of the labels and of a row, for
    messages. table: the texts of a table may be numbers; equal ones, as 1 and 1.0, become one class, with a
    DataWarning.

    Raises InputError that names the row for a missing label, and for different types of labels, one-hot rows, numbers
    that look like regression (no whole numbers, or more than 20 distinct ones that are more than half of the rows),
    a set and a dict.
    """
    read_as = labels_task(task)
    if task is not None and read_as != task:
        return convert_labels(labels, read_as, classes, name, where, table).for_task(task)
    if is_frame(labels):
        columns = frame_columns(labels)
        if len(columns) > 1:
            classes = tuple(columns) if classes is None else classes
            labels = [list(row) for row in zip(*columns.values(), strict=True)]
    where = where or (lambda row: f"{name}: row {row}")
    rows = _rows(labels, name)
    nested = any(isinstance(row, list | tuple | Set | np.ndarray) for row in rows)
    if nested:
        rows = [_entries(row, where(number)) for number, row in enumerate(rows)]
        # One label in a list of its own is a column (n, 1), unless the task has several labels per row.
        is_column = not table and all(isinstance(row, list) and len(row) == 1 for row in rows)
        if is_column and task not in ("multilabel", "tagging"):
            rows = [row[0] for row in rows]
            nested = False
    if task == "tagging":
        return _tagging(rows, classes, name, where)
    if task == "regression":
        return _regression(rows if nested else [[row] for row in rows], classes, name, where)
    if nested:
        return _multilabel(rows, task, classes, name, where)
    if task == "multilabel":
        raise InputError(f"{name}: multilabel needs a list of labels per row, or an array (n, K) of 0 and 1")
    return _classification(rows, task, name, where, table)


def _rows(labels: Any, name: str) -> list[Any]:
    """The labels as a list; a row of an array (n, K) is a list."""
    if isinstance(labels, np.ndarray) and labels.ndim >= 2:
        rows: list[Any] = labels.tolist()
        return rows
    return convert_rows(labels, name)


def _classification(rows: list[Any], task: Task | None, name: str, where: Where, table: bool) -> ConvertedLabels:
    """One label per row. task: None where the user named none, so that numbers may be those of a regression."""
    names, label_type = _names(rows, where)
    if table or label_type in ("int", "float"):
        numbers = {label: number_of(label) for label in dict.fromkeys(names)}
        texts = [label for label, number in numbers.items() if number is None]
        if task is None and names and all(map(_NOT_FINITE.fullmatch, texts)):
            if texts:
                raise InputError(f"{where(names.index(texts[0]))} is {quote(texts[0])}: neither a class nor a number")
            _refuse_regression(names, numbers, name, where)
        if label_type == "str" and not texts and len(set(numbers.values())) < len(numbers):
            names = _equal_numbers(names, numbers, name)
    order = _classes_of(names, label_type, name)
    return ConvertedLabels(label_rows(names, order), target_of(order, "classification", label_type))


def _refuse_regression(names: Sequence[str], numbers: Mapping[str, Decimal | None], name: str, where: Where) -> None:
    """Raise InputError for numbers that look like those of a regression: one is not whole, or most rows have a number
    of their own. As classes they would be learned, and no class would have enough rows.
    """
    fractions = [label for label, number in numbers.items() if number is not None and number != int(number)]
    distinct = len(set(numbers.values()))
    if fractions:
        reason = f"{where(names.index(fractions[0]))} is {printable(fractions[0], 30)}"
    elif distinct > _MANY and 2 * distinct > len(names):
        reason = f"{name} has {distinct:,} different numbers in {len(names):,} rows"
    else:
        return
    raise InputError(f"{reason}: {_REGRESSION}, or 'classification' if each number is a class")


def _classes_of(names: list[str], label_type: LabelType, name: str) -> tuple[str, ...]:
    """The classes, with a DataWarning for names that may be a mistake."""
    order = class_order(names)
    if label_type == "str":
        for problem in suspect_classes(order, Counter(names), name):
            warn(problem)
    return order


def _equal_numbers(names: list[str], numbers: Mapping[str, Decimal | None], name: str) -> list[str]:
    """Texts of numbers, equal ones in one form, 1 for 1 and 1.0, with a DataWarning."""
    form = {label: _plain(number) for label, number in numbers.items() if number is not None}
    first, second = next(
        (first, second) for first, second in combinations(sorted(form), 2) if form[first] == form[second]
    )
    warn(f"{name}: {quote(first)} and {quote(second)} are equal numbers, and one class {quote(form[first])}")
    return [form[label] for label in names]


def _plain(number: Decimal) -> str:
    """A number without an exponent and without zeros at its end; 0 for -0."""
    if not number:
        return "0"
    text = f"{number:f}"
    if "." in text:
        return text.rstrip("0").rstrip(".")
    return text


def convert_sample_weight(sample_weight: Any) -> NDArray[np.float64]:
    """The weights of n rows as numbers (n,). Raises InputError for what is no number."""
    weights: NDArray[np.float64] = convert_labels(sample_weight, "regression", name="sample_weight").labels[:, 0]
    return weights


def convert_groups(groups: Any) -> NDArray[np.int64]:
    """The groups of n rows, texts or numbers, as numbers (n,) from 0. Raises InputError for a missing one."""
    names, _ = _names(convert_rows(groups, "groups"), "groups: row {}".format)
    return label_rows(names, class_order(names)).astype(np.int64)


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels, sorted as numbers if all are numbers, else by code point.

    >>> class_order(["10", "9", "10"]), class_order(["b", "10", "9"])
    (('9', '10'), ('10', '9', 'b'))
    """
    names = set(labels)
    if all(re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", name) for name in names):
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    return tuple(sorted(names))


def label_rows(labels: Sequence[str], classes: tuple[str, ...]) -> NDArray[np.intp]:
    """The index in `classes` of each label: (n,)."""
    place = {name: row for row, name in enumerate(classes)}
    return np.array([place[label] for label in labels], dtype=np.intp)


def _multilabel(
    rows: list[Any], task: Task | None, classes: Sequence[str] | None, name: str, where: Where
) -> ConvertedLabels:
    """Several labels per row: columns of 0 and 1, or lists of labels."""
    widths = {len(row) for row in rows}
    binary = all(_is_binary(entry) for row in rows for entry in row)
    if len(widths) == 1 and max(widths) > 1 and binary and all(isinstance(row, list) for row in rows):
        if task is None:
            raise InputError(_ambiguous_columns(rows, name))
        return _label_columns(np.array(rows).astype(np.intp), classes, name)
    if classes is not None and widths == {len(classes)} and len(classes) > 1:
        _check_label_columns(rows, classes, where)
    return _label_lists(rows, task, name, where)


def _ambiguous_columns(rows: list[Any], name: str) -> str:
    """The message for columns of 0 and 1 without a task: each row may have one class or several."""
    kind = "labels of 0 and 1"
    if all(sum(row) == 1 for row in rows):
        kind = "one-hot labels"
    return (
        f"{name}: {kind} of shape ({len(rows)}, {len(rows[0])}): pass the class of each row, for one-hot labels "
        "labels.argmax(axis=1), or task='multilabel' if a row may have several classes"
    )


def _label_columns(columns: NDArray[np.intp], classes: Sequence[str] | None, name: str) -> ConvertedLabels:
    """From columns (n, K) of 0 and 1, one per label; without names of the labels these are 0, 1, ... K - 1."""
    _, width = columns.shape
    if classes is None:
        names = label_names(width)
    else:
        names = tuple(classes)
    if len(names) != width:
        raise InputError(f"{name}: {width} columns but {len(names)} classes")
    label_type: LabelType = "str" if classes else "int"
    return ConvertedLabels(columns, target_of(names, "multilabel", label_type))


def _check_label_columns(rows: list[Any], classes: Sequence[str], where: Where) -> None:
    """Raise InputError for a row of columns with another value than 0 and 1, unless it holds names of these columns."""
    for number, row in enumerate(rows):
        for column, entry in zip(classes, row, strict=True):
            is_name = isinstance(entry, str) and entry in classes
            if not _is_binary(entry) and not is_name:
                raise InputError(f"{where(number)}: {quote(column)} must be 0 or 1, not {described(entry)}")


def _label_lists(rows: list[Any], task: Task | None, name: str, where: Where) -> ConvertedLabels:
    """From a list of labels per row."""
    flat = [(number, entry) for number, row in enumerate(rows) for entry in row]
    if not flat:
        raise InputError(f"{name}: no row has a label")
    if task is None and all(isinstance(entry, float | np.floating) for _, entry in flat):
        raise InputError(f"{name}: several numbers per row: {_REGRESSION}")
    names, label_type = _names([entry for _, entry in flat], lambda place: where(flat[place][0]))
    order = _classes_of(names, label_type, name)
    columns = np.zeros((len(rows), len(order)), dtype=np.intp)
    columns[[number for number, _ in flat], label_rows(names, order)] = 1
    return ConvertedLabels(columns, target_of(order, "multilabel", label_type))


def _tagging(rows: list[Any], classes: Sequence[str] | None, name: str, where: Where) -> ConvertedLabels:
    for number, row in enumerate(rows):
        if not isinstance(row, list):
            raise InputError(f"{where(number)} is {described(row)}, not a list of labels, one per step")
        if not row:
            raise InputError(f"{where(number)} is an empty list: it needs one label per step")
    places = [f"{where(number)}, step {step}" for number, row in enumerate(rows) for step in range(1, len(row) + 1)]
    names, label_type = _names([label for row in rows for label in row], places.__getitem__)
    if classes is None:
        _refuse_measurements(names, places)
        order = _classes_of(names, label_type, name)
    else:
        order = tuple(classes)
    if unknown := set(names) - set(order):
        raise InputError(f"{places[names.index(min(unknown))]}: there is no class {quote(min(unknown))}")
    lengths = np.array([len(row) for row in rows], dtype=np.intp)
    return ConvertedLabels(Ragged(label_rows(names, order), lengths), target_of(order, "tagging", label_type))


def _refuse_measurements(names: Sequence[str], places: Sequence[str]) -> None:
    """Raise InputError for labels of steps that are measured numbers: many different ones, with decimals or most of
    them once. They would be as many classes, which no validation set has. Few numbers may be the names of classes.
    """
    numbers = {label: number_of(label) for label in dict.fromkeys(names)}
    if len(numbers) <= _MANY or None in numbers.values():
        return
    has_decimals = any(number is not None and number != number.to_integral_value() for number in numbers.values())
    if has_decimals or 2 * len(numbers) > len(names):
        raise InputError(
            f"{places[0]} is {printable(names[0], 30)}, and the labels of {len(names):,} steps are {len(numbers):,} "
            "different numbers: task='tagging' (--task tagging) predicts a class per step, and no task a number per "
            "step; make a few classes of them, for example with numpy.digitize, or give one number per row with "
            "task='regression'"
        )


def _is_binary(entry: Any) -> bool:
    return isinstance(entry, bool | int | float | np.number | np.bool_) and entry in (0, 1)


def _regression(rows: list[Any], names: Sequence[str] | None, name: str, where: Where) -> ConvertedLabels:
    width = len(rows[0]) if rows else 1
    for number, row in enumerate(rows):
        if len(row) != width:
            raise InputError(f"{where(number)} has {len(row)} numbers, but {_short(where(0))} has {width}")
        for value in row:
            if is_missing(value):
                raise InputError(f"{where(number)} is missing ({missing_name(value)})")
            real = isinstance(value, int | float | np.number) and not isinstance(value, bool | np.complexfloating)
            if not real or not is_finite(value):
                raise InputError(f"{where(number)} is {described(value)}; regression needs finite numbers")
    if names is None:
        names = number_names(width)
    if len(names) != width:
        raise InputError(f"{name}: {width} numbers per row but {len(names)} names")
    numbers = np.array(rows, dtype=np.float64).reshape(len(rows), width)
    return ConvertedLabels(numbers, target_of(names, "regression", "float"))


def _names(rows: list[Any], where: Where) -> tuple[list[str], LabelType]:
    """The name of each label and their common type."""
    first: dict[LabelType, int] = {}  # the first row of each type
    for number, row in enumerate(rows):
        first.setdefault(_type_of(row, number, where), number)
    if set(first) == {"int", "float"}:
        first = {"float": 0}
    if len(first) > 1:
        earlier, later, *_ = first.values()
        raise InputError(
            f"{where(later)} is {described(rows[later])}, but {_short(where(earlier))} is {described(rows[earlier])}"
        )
    label_type: LabelType = next(iter(first), "str")
    return [_NAMES[label_type](row) for row in rows], label_type


def _type_of(label: Any, number: int, where: Where) -> LabelType:
    """The type of the label of a row. Raises InputError with its place for a missing one and for other types."""
    if isinstance(label, str):
        if not label.strip():
            raise InputError(f"{where(number)} has no label (an empty text)")
        return "str"
    if is_missing(label):
        raise InputError(f"{where(number)} has no label ({missing_name(label)})")
    if isinstance(label, bool | np.bool_):
        return "bool"
    if isinstance(label, int | np.integer):
        return "int"
    if isinstance(label, float | np.floating):
        if np.isfinite(label):
            return "float"
        raise InputError(f"{where(number)} is {described(label)}")
    raise InputError(f"{where(number)} is {described(label)}; labels are texts, numbers or True and False")


def _short(place: str) -> str:
    """The place of a second row: without the name of the labels."""
    return place.removeprefix("labels: ")


def _entries(row: Any, where: str) -> Any:
    """The labels of one row of a nested container: a list, or a tuple for a set, whose order means nothing."""
    if isinstance(row, np.ndarray):
        return row.tolist() if row.ndim else [row.item()]
    if isinstance(row, Set):
        return tuple(row)
    if isinstance(row, list | tuple):
        return list(row)
    if isinstance(row, Mapping) or not is_missing(row):
        raise InputError(f"{where} is {described(row)}, but other rows are lists of labels")
    raise InputError(f"{where} has no label ({missing_name(row)})")
