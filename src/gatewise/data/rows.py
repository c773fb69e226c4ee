"""`Rows` of tables and files, by what their columns mean; from them the data set that a model is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gatewise.data.inputs import describe_series, rounded
from gatewise.data.row_columns import joined_rows, split_rows
from gatewise.data.schema import RowSchema
from gatewise.data.times import Time, comparable, instant, show_time
from gatewise.errors import DataError, InputError, counted, quote
from gatewise.target import labels_task
from gatewise.types import NO_COLUMNS, ColumnNames, LabelType, Task

if TYPE_CHECKING:
    from gatewise.data.labelled import Labelled
    from gatewise.data.labels import ConvertedLabels
    from gatewise.target import Target

_MAX_CLASSES = 1_000


@dataclass(frozen=True, eq=False)
class Rows:
    """n rows of tables or files, by what their columns mean.

    inputs: n texts, or n series (steps, channels) float32 or float64, NaN where a value is missing. names: of
    the columns of the table. labels: n labels; None where there are none. task: what the columns say. classes: those
    that the file lists; None: those that occur. ids: a name for each series. paths, places, notes: the files, the file
    and line of each row, and what else `source` says. label_by_name: whether a column of labels could be named. steps:
    the names of the steps of series, where they are columns. columns: the numeric and categorical columns of each row
    by name; empty where there are none.
    """

    inputs: list[Any]
    names: ColumnNames = NO_COLUMNS
    labels: list[Any] | None = None
    task: Task | None = None
    label_type: LabelType | None = None
    classes: tuple[str, ...] | None = None
    sample_weight: list[float] | None = None
    groups: list[Any] | None = None
    ids: list[str] | None = None
    times: list[Time] | None = None
    places: list[tuple[str, int]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    label_by_name: bool = False
    steps: tuple[str, ...] = ()
    columns: list[dict[str, float | str]] = field(default_factory=list)

    @property
    def rows(self) -> list[Any]:
        """What a model predicts from: the inputs, with their columns where there are some (`Row`)."""
        return joined_rows(self.inputs, self.columns)

    def take(self, rows: Sequence[int]) -> Rows:
        """The rows with these numbers."""
        taken: dict[str, Any] = {}
        for name in _BY_ROW:
            values = getattr(self, name)
            if values:
                taken[name] = [values[row] for row in rows]
        return replace(self, **taken)

    @classmethod
    def together(cls, batches: Sequence[Rows]) -> Rows:
        """The rows of several batches."""
        joined: dict[str, Any] = {}
        for name in _BY_ROW:
            values = [getattr(batch, name) for batch in batches]
            known = [values_of_batch for values_of_batch in values if values_of_batch is not None]
            joined[name] = list(chain.from_iterable(known)) if known else None
        notes = dict.fromkeys(note for batch in batches for note in batch.notes)
        return replace(batches[0], **joined, notes=list(notes))

    def fail(self, row: int, message: str) -> NoReturn:
        """Raise DataError with the place of a row."""
        raise DataError(f"{self.where(row)}: {message}")

    def where(self, row: int) -> str:
        """File and line of a row."""
        return "{}:{}".format(*self.places[row]) if self.places else f"{self.file}: row {row}"

    @property
    def file(self) -> str:
        """The files, for messages."""
        return ", ".join("stdin" if path == "-" else quote(path, 200) for path in self.paths[:3])

    @property
    def source(self) -> str:
        """The rows in one line."""
        files = ", ".join("stdin" if path == "-" else quote(Path(path).name) for path in self.paths[:3])
        files += f" and {counted(len(self.paths) - 3, 'more file')}" if len(self.paths) > 3 else ""
        if self.inputs and isinstance(self.inputs[0], str):
            return f"{counted(len(self.inputs), 'row')} of {files}"
        return f"{len(self.inputs):,} series of {files}, {describe_series(self.inputs)}"

    def labelled(self, task: Task | None = None, one_class: bool = False) -> Labelled:
        """The rows with their labels. task: None for what the file says, else classes. one_class: all rows may have one
        class, as in data on which a model is evaluated.

        Raises DataError if there are no labels, for labels that do not fit the task, and for numbers that look like
        regression without a task; without `one_class` for fewer than two classes.
        """
        from gatewise.data.labelled import labelled_of  # a prediction does without labels

        name = ", ".join(quote(column) for column in self.names.label)
        of_texts = self.names.text != ()
        if of_texts and not self.inputs:
            raise DataError(f"{self.file}: no row in {name}; a classifier needs two classes or more")
        if self.labels is None:
            hint = "; name their column with label (--label), if there is one" if self.label_by_name else ""
            raise DataError(f"{self.file}: the series have no labels{hint}")
        try:
            inputs = self.inputs if of_texts else rounded(self.inputs)
            converted = self._converted(task or self.task, f"{self.file}: {name}" if name else self.file)
            inputs, columns = split_rows(joined_rows(inputs, self.columns), RowSchema.of(self.names))
        except InputError as error:
            raise DataError(str(error)) from None
        source = self.source
        count = converted.target.each.count_text
        if count:
            source += f", {count}"
        if of_texts:
            self._check_classes(converted.target, name, one_class)
            source += f" by {name}" if count else f", {name}"
        return labelled_of(
            inputs,
            columns,
            converted,
            "; ".join([source, *self.notes]),
            columns=self.names,
            groups=self.groups,
            sample_weight=self.sample_weight,
            times=self.times,
            where=self.where,
            steps=self.steps,
        )

    def _check_classes(self, target: Target, name: str, one_class: bool) -> None:
        """Raise DataError for texts of one class, and for so many classes that the column is another one."""
        k = len(target.classes)
        if not one_class:
            try:
                target.each.check_classes()
            except InputError:
                only = quote(target.classes[0])
                raise DataError(f"{self.file}: only {only} in {name}; a classifier needs two classes or more") from None
        if target.each.column_classes is None and k > _MAX_CLASSES:
            raise DataError(f"{self.file}: {name} has {k:,} different labels; is it the right column?")

    def _converted(self, task: Task | None, name: str) -> ConvertedLabels:
        """The labels for a task; None: classes. Raises InputError with file and line for labels that do not fit it."""
        from gatewise.data.labels import ConvertedLabels, convert_labels, label_rows
        from gatewise.target import target_of

        read_as = labels_task(task)
        if task is not None and read_as != task:
            return self._converted(read_as, name).for_task(task)
        labels: list[Any] = self.labels or []
        if task == "tagging":
            self._check_steps(labels)
            return self._typed(convert_labels(labels, task, self.classes, name, self.where))
        nested = any(isinstance(label, list) for label in labels)
        # Files of series have one label per series, and say themselves whether it is a number.
        of_series = not self.names.text
        if of_series and (task == "multilabel" or (task == "classification" and self.task == "regression")):
            raise InputError(f"{name}: the labels are not for task {task}")
        if task == "multilabel" and len(self.names.label) == 1 and not nested:
            raise InputError(f"{name} has one label per row: multilabel needs a label separator, or several columns")
        columns = self.names.label if len(self.names.label) > 1 else None
        if task == "regression":
            columns = self.names.label or ("value",)
            if not nested:
                labels = self._numbers(labels)
        elif self.classes is not None:
            return ConvertedLabels(label_rows(labels, self.classes), target_of(self.classes))
        label = quote(self.names.label[0]) if self.names.label else "the label"
        where = lambda row: f"{self.where(row)}: {label}"  # noqa: E731
        return self._typed(convert_labels(labels, task, columns, name, where, table=True))

    def _check_steps(self, labels: list[Any]) -> None:
        """Raise InputError for a row without one label for each step."""
        from gatewise.data.labelled import steps_problem

        for row, (item, of_steps) in enumerate(zip(self.inputs, labels, strict=True)):
            if not isinstance(of_steps, list):
                raise InputError(f"{self.where(row)}: the label is {quote(of_steps, 40)}, not one for each step")
            if problem := steps_problem(item, of_steps):
                raise InputError(f"{self.where(row)}: {problem}")

    def _numbers(self, labels: list[Any]) -> list[float]:
        """Labels of a regression. Raises InputError for a text that is not a number."""
        from gatewise.target.names import number_of

        for row, label in enumerate(labels):
            if number_of(str(label)) is None:
                raise InputError(f"{self.where(row)}: the label {quote(label, 40)} is not a number")
        return list(map(float, labels))

    def _typed(self, labels: ConvertedLabels) -> ConvertedLabels:
        """The labels with the type that the file states, where it states one."""
        if self.label_type is None:
            return labels
        return labels._replace(target=replace(labels.target, label_type=self.label_type))

    def series(self) -> Rows:
        """The series whose steps these rows are, in the order of their times. Raises DataError with the line for two
        rows of one time and series, times of different kinds, and a label that changes.
        """
        assert self.times is not None
        moments = self._moments(self.times)
        by_series: dict[str, list[int]] = {}  # the rows of each series
        for row in range(len(self.times)):
            by_series.setdefault("" if self.ids is None else self.ids[row], []).append(row)
        per_step = labels_task(self.task) == "tagging"
        inputs: list[Any] = []
        labels: list[Any] = []
        for name, rows in by_series.items():
            ordered = sorted(rows, key=moments.__getitem__)
            self._check_times(name, ordered, moments)
            inputs.append(np.array([self.inputs[row] for row in ordered], dtype=np.float64))
            if self.labels is not None:
                labels.append([self.labels[row] for row in ordered])
                if not per_step:
                    self._check_label(name, rows, self.labels)
            if self.columns:
                self._check_constant(name, ordered)
        of_series = self.take([rows[0] for rows in by_series.values()])
        if per_step and self.labels is not None:
            of_series = replace(of_series, labels=labels)
        return replace(of_series, inputs=inputs, times=None)

    def _moments(self, times: list[Time]) -> list[Any]:
        """Times that can be compared. Raises DataError with the line for one of another kind."""
        moments = []
        for row, time in enumerate(times):
            if not comparable(time, times[0]):
                shown = f"{show_time(time)} and {show_time(times[0])}"
                self.fail(row, f"{quote(self.names.time)}: {shown} are not of one kind")
            try:
                moments.append(instant(time))
            except InputError as error:
                self.fail(row, str(error))
        return moments

    def _check_times(self, name: str, ordered: list[int], moments: list[Any]) -> None:
        """Raise DataError for two steps of a series at one time."""
        assert self.times is not None
        for before, after in pairwise(ordered):
            if moments[before] == moments[after]:
                whose = f" of series {quote(name)}" if self.ids is not None else ""
                shown = quote(show_time(self.times[before]))
                self.fail(max(before, after), f"two rows{whose} have the time {shown}")

    def _check_label(self, name: str, rows: list[int], labels: list[Any]) -> None:
        """Raise DataError for a label that changes from step to step of a series."""
        first = rows[0]
        for row in rows:
            if labels[row] != labels[first]:
                what = f"the label of series {quote(name)} is {quote(labels[row])}"
                self.fail(row, f"{what}, but {quote(labels[first])} in {self.where(first)}")

    def _check_constant(self, name: str, rows: list[int]) -> None:
        """Raise DataError for a column that changes from step to step of a series."""
        first_row = rows[0]
        for row in rows:
            for column, value in self.columns[row].items():
                first = self.columns[first_row][column]
                if value != first and (value == value or first == first):  # NaN is equal to NaN
                    what = f"the column {quote(column)} of series {quote(name)} is {quote(value)}"
                    self.fail(row, f"{what}, but {quote(first)} in {self.where(first_row)}")

    def with_known_labels(self) -> Rows:
        """Without labels where no row has one. Raises DataError for a row without a label among others. "", "?" and NaN
        are no labels.
        """
        flat = [
            (row, label) for row, of_row in enumerate(self.labels or ()) for label in np.atleast_1d(of_row).tolist()
        ]
        missing = [row for row, label in flat if str(label).lower() in ("", "?", "nan")]
        if len(missing) == len(flat):
            return replace(self, labels=None)
        if missing:
            name = quote(self.names.label[0]) if self.names.label else "the label"
            self.fail(missing[0], f"{name} is empty")
        return self


_BY_ROW = ("inputs", "columns", "labels", "sample_weight", "groups", "ids", "times", "places")
