"""`SeriesRows`, what a file of series holds: the series, and their labels if it has any."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.labelled import Labelled
from gatewise.data.labels import REGRESSION, class_order, label_rows, looks_continuous, merge_equal_numbers, number_of
from gatewise.data.series import Series, describe_series
from gatewise.errors import DataError, counted, quote
from gatewise.types import LabelType, Task

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, eq=False)
class SeriesRows:
    """n series of one file.

    inputs: n arrays (steps, channels) float32, NaN where a value is missing. labels: n class names; numbers (n,)
    float64 for regression; or None. classes: the class names that the file lists; None: those that occur. ids: a name
    for each series, from an id column. path: the file, for messages. name: the name of the label. label_type: of the
    classes. label_by_name: whether `label` could name a column of the file that holds the labels.
    """

    path: str
    inputs: list[Series]
    labels: list[str] | NDArray[np.float64] | None
    classes: tuple[str, ...] | None = None
    ids: list[str] | None = None
    name: str = "value"
    label_type: LabelType = "str"
    label_by_name: bool = False

    @property
    def source(self) -> str:
        """The series in one line."""
        return f"{len(self.inputs):,} series of {quote(self.path.rsplit('/', 1)[-1])}, {describe_series(self.inputs)}"

    def labelled(self, task: Task | None = None) -> Labelled:
        """The series with their labels. task: None for what the file says: numbers where it says so, else classes.

        Raises DataError if the file has no labels, for a label that is not a number with task="regression", and for
        numbers that look like regression without a task.
        """
        labels, where = self.labels, quote(self.path, 200)
        if labels is None:
            hint = "; name their column with label (--label), if there is one" if self.label_by_name else ""
            raise DataError(f"{where}: the series have no labels{hint}")
        if task == "multilabel" or (task == "classification" and isinstance(labels, np.ndarray)):
            raise DataError(f"{where}: the labels are not for task {task}")
        if task == "regression" and not isinstance(labels, np.ndarray):
            labels = self._numbers(labels)
        rows: Any = self.inputs
        if isinstance(labels, np.ndarray):
            target = labels[:, None]  # (n, 1)
            return Labelled(rows, target, (self.name,), source=self.source, task="regression", label_type="float")
        if task is None and self.classes is None and None not in map(number_of, labels):
            found = looks_continuous([float(label) for label in labels])
            if found:
                which = "the labels are" if found[0] < 0 else "a label"
                raise DataError(f"{where}: {which} {found[1]}: {REGRESSION}")
        if self.classes is None:
            labels = merge_equal_numbers(labels, f"{where}: {quote(self.name)}")
        classes = self.classes or class_order(labels)
        source = f"{self.source}, {counted(len(classes), 'class', 'classes')}"
        return Labelled(rows, label_rows(labels, classes), classes, source=source, label_type=self.label_type)

    def _numbers(self, labels: list[str]) -> NDArray[np.float64]:
        for number, label in enumerate(labels):
            if number_of(label) is None:
                raise DataError(
                    f"{quote(self.path, 200)}: series {number + 1} has the label {quote(label, 40)}, not a number"
                )
        return np.array([float(label) for label in labels])


def class_names(labels: list[str]) -> list[str]:
    """The names; as whole numbers if all are numbers like 1.0 or 1.0000000e+00, as older UCR files write classes.

    >>> class_names(["1.0", "-1.0000000e+00"]), class_names(["1.0", "x"])
    (['1', '-1'], ['1.0', 'x'])
    """
    numbers = [number_of(label) if _WHOLE.fullmatch(label) else None for label in labels]
    whole = [int(number) for number in numbers if number is not None and number == int(number)]
    return list(map(str, whole)) if len(whole) == len(labels) else labels
