"""What a user passes as labels, as an array with the classes, the task and the type of the labels."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import described, frame_columns, is_finite, is_frame, is_missing, missing_name
from gatewise.data.inputs import convert_rows
from gatewise.data.suspects import suspect_classes
from gatewise.errors import InputError, printable, quote, warn
from gatewise.ragged import Ragged
from gatewise.target import Target, target_of
from gatewise.target.names import number_of
from gatewise.types import Array, LabelType, Task

_REGRESSION = "this looks like regression: pass task='regression' (--task regression)"
_NOT_FINITE = re.compile(r"[+-]?(nan|inf(inity)?)", re.I)
_MANY = 20  # distinct numbers; more, if they are more than half of the rows, are no classes


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
    if task not in (None, *get_args(Task)):
        *most, last = map(repr, get_args(Task))
        raise InputError(f"task must be {', '.join(most)} or {last}, not {quote(task)}")
    if is_frame(labels):
        columns = frame_columns(labels)
        if len(columns) > 1:
            classes = tuple(columns) if classes is None else classes
            labels = [list(row) for row in zip(*columns.values(), strict=True)]
    where = where or (lambda row: f"{name}: row {row}")
    rows = convert_rows(labels, name) if not isinstance(labels, np.ndarray) or labels.ndim < 2 else labels.tolist()
    nested = any(isinstance(row, list | tuple | Set | np.ndarray) for row in rows)
    if nested:
        rows = [_entries(row, where(number)) for number, row in enumerate(rows)]
        single = not table and all(isinstance(row, list) and len(row) == 1 for row in rows)
        if single and task not in ("multilabel", "tagging"):
            rows, nested = [row[0] for row in rows], False  # (n, 1)
    if task == "tagging":
        return _tagging(rows, classes, name, where)
    if task == "regression":
        return _regression(rows if nested else [[row] for row in rows], classes, name, where)
    if nested:
        return _multilabel(rows, task, classes, name, where)
    if task == "multilabel":
        raise InputError(f"{name}: multilabel needs a list of labels per row, or an array (n, K) of 0 and 1")
    names, label_type = _names(rows, where)
    if table or label_type in ("int", "float"):
        numbers = {label: number_of(label) for label in dict.fromkeys(names)}
        odd = [label for label, number in numbers.items() if number is None]
        if task is None and names and all(map(_NOT_FINITE.fullmatch, odd)):
            if odd:
                raise InputError(f"{where(names.index(odd[0]))} is {quote(odd[0])}: neither a class nor a number")
            distinct, reason = len(set(numbers.values())), ""
            if broken := [label for label, number in numbers.items() if number != int(number or 0)]:
                reason = f"{where(names.index(broken[0]))} is {printable(broken[0], 30)}"
            elif distinct > _MANY and 2 * distinct > len(names):
                reason = f"{name} has {distinct:,} different numbers in {len(names):,} rows"
            if reason:
                raise InputError(f"{reason}: {_REGRESSION}, or 'classification' if each number is a class")
        if label_type == "str" and not odd and len(set(numbers.values())) < len(numbers):
            names = _equal_numbers(names, numbers, name)
    order = _classes_of(names, label_type, name)
    return ConvertedLabels(label_rows(names, order), target_of(order, "classification", label_type))


def _classes_of(names: list[str], label_type: LabelType, name: str) -> tuple[str, ...]:
    """The classes, with a DataWarning for names that may be a mistake."""
    order = class_order(names)
    for problem in suspect_classes(order, Counter(names), name) if label_type == "str" else ():
        warn(problem)
    return order


def _equal_numbers(names: list[str], numbers: dict[str, Any], name: str) -> list[str]:
    """Texts of numbers, equal ones in one form, 1 for 1 and 1.0, with a DataWarning."""
    form = {}
    for label, number in numbers.items():
        text = f"{number:f}"
        form[label] = (text.rstrip("0").rstrip(".") if "." in text else text) if number else "0"  # not -0
    a, b = next((a, b) for a in sorted(form) for b in sorted(form) if a < b and form[a] == form[b])
    text = f"{name}: {quote(a)} and {quote(b)} are equal numbers, and one class {quote(form[a])}"
    warn(text)
    return [form[label] for label in names]


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
    widths = {len(row) for row in rows}
    binary = all(_is_binary(entry) for row in rows for entry in row)
    if len(widths) == 1 and max(widths) > 1 and binary and all(isinstance(row, list) for row in rows):
        (width,) = widths
        if task is None:
            what = "one-hot labels" if all(sum(row) == 1 for row in rows) else "labels of 0 and 1"
            raise InputError(
                f"{name}: {what} of shape ({len(rows)}, {width}): pass the class of each row, for one-hot labels "
                "labels.argmax(axis=1), or task='multilabel' if a row may have several classes"
            )
        names = tuple(classes) if classes is not None else tuple(str(k) for k in range(width))
        if len(names) != width:
            raise InputError(f"{name}: {width} columns but {len(names)} classes")
        label_type: LabelType = "str" if classes else "int"
        return ConvertedLabels(np.array(rows).astype(np.intp), target_of(names, "multilabel", label_type))
    if classes is not None and widths == {len(classes)} and len(classes) > 1:  # columns, unless it is their names
        for number, row in enumerate(rows):
            for column, entry in zip(classes, row, strict=True):
                if not _is_binary(entry) and not (isinstance(entry, str) and entry in classes):
                    raise InputError(f"{where(number)}: {quote(column)} must be 0 or 1, not {described(entry)}")
    flat = [(number, entry) for number, row in enumerate(rows) for entry in row]
    if not flat:
        raise InputError(f"{name}: no row has a label")
    if task is None and all(isinstance(entry, float | np.floating) for _, entry in flat):
        raise InputError(f"{name}: several numbers per row: {_REGRESSION}")
    names_of_labels, type_of_labels = _names([entry for _, entry in flat], lambda place: where(flat[place][0]))
    order = _classes_of(names_of_labels, type_of_labels, name)
    out = np.zeros((len(rows), len(order)), dtype=np.intp)
    out[[number for number, _ in flat], label_rows(names_of_labels, order)] = 1
    return ConvertedLabels(out, target_of(order, "multilabel", type_of_labels))


def _tagging(rows: list[Any], classes: Sequence[str] | None, name: str, where: Where) -> ConvertedLabels:
    for number, row in enumerate(rows):
        if not isinstance(row, list) or not row:
            raise InputError(f"{where(number)} is {described(row)}, not a list of labels, one per step")
    places = [f"{where(number)}, step {step}" for number, row in enumerate(rows) for step in range(1, len(row) + 1)]
    names, label_type = _names([label for row in rows for label in row], places.__getitem__)
    if classes is None:
        _refuse_measurements(names, places)
    order = _classes_of(names, label_type, name) if classes is None else tuple(classes)
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
        names = ["value"] if width == 1 else [f"value {k + 1}" for k in range(width)]
    if len(names) != width:
        raise InputError(f"{name}: {width} numbers per row but {len(names)} names")
    numbers = np.array(rows, dtype=np.float64).reshape(len(rows), width)
    return ConvertedLabels(numbers, target_of(names, "regression", "float"))


def _names(rows: list[Any], where: Where) -> tuple[list[str], LabelType]:
    """The name of each label and their common type."""
    types: dict[LabelType, int] = {}
    for number, row in enumerate(rows):
        if isinstance(row, str):
            if not row.strip():
                raise InputError(f"{where(number)} has no label (an empty text)")
            types.setdefault("str", number)
        elif is_missing(row):
            raise InputError(f"{where(number)} has no label ({missing_name(row)})")
        elif isinstance(row, bool | np.bool_):
            types.setdefault("bool", number)
        elif isinstance(row, int | np.integer):
            types.setdefault("int", number)
        elif isinstance(row, float | np.floating) and np.isfinite(row):
            types.setdefault("float", number)
        else:
            what = "" if isinstance(row, float | np.floating) else "; labels are texts, numbers or True and False"
            raise InputError(f"{where(number)} is {described(row)}{what}")
    if set(types) == {"int", "float"}:
        types = {"float": 0}
    if len(types) > 1:
        a, b, *_ = types.values()
        raise InputError(f"{where(b)} is {described(rows[b])}, but {_short(where(a))} is {described(rows[a])}")
    label_type: LabelType = next(iter(types), "str")
    if label_type == "str":
        return [str(row).strip() for row in rows], label_type
    if label_type == "float":
        return [str(float(row) + 0.0) for row in rows], label_type  # -0.0 is the class 0.0
    kind = int if label_type == "int" else bool
    return [str(kind(row)) for row in rows], label_type


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
