"""Data sets: `Labelled` for training and evaluation, `Unlabelled` texts, `Splits`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import repeat
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.data.frames import (
    check_index,
    described,
    find_column,
    frame_columns,
    frame_names,
    is_frame,
    texts_of,
)
from gatewise.data.input_kind import InputKind, input_kind_of
from gatewise.data.inputs import convert_inputs, convert_series, convert_texts, describe_series
from gatewise.data.labels import ConvertedLabels, convert_groups, convert_labels, convert_sample_weight
from gatewise.data.row_columns import joined_rows, of_column, split_rows, without_columns
from gatewise.data.schema import RowSchema, check_names
from gatewise.data.suspects import check_step_names, leaks, swapped, tagging_hint
from gatewise.data.times import seconds_of
from gatewise.errors import InputError, counted, quote, warn
from gatewise.ragged import Ragged
from gatewise.target import Target, join_words_of_rows, labels_task, words_of
from gatewise.target.names import check_array
from gatewise.types import NO_COLUMNS, Array, ColumnNames, InputNouns, Task

_DEFAULT: Any = None  # see the class
_MAX_TARGETS = 20  # labels or numbers of a row for which the inputs are checked


@dataclass(frozen=True, eq=False)
class Labelled:
    """n inputs, all texts, all series or all arrays by name, with labels.

    >>> data = gw.data.Labelled.of(["a good film", "a bad film", "so good"], ["+", "-", "+"])
    >>> len(data), data.kind, data.target.classes
    (3, 'text', ('+', '-'))

    inputs: n str, or n arrays (length, channels) float32, NaN where a value is missing, or n dicts of arrays, of a
    network with several inputs. target: what the labels are. labels: indices into its classes (n,) int64; for task
    "multilabel" 0 or 1 for each class (n, K) int64; for "regression" numbers (n, M) float64; with a class per step
    ("tagging") `Ragged` with values (N,) int64, where the steps of a text are its words, separated by spaces. groups
    (n,) int64: rows of one group stay in one part of every split; the default is `input_keys`, so that duplicates stay
    together. source: a description in one line. sample_weight (n,) float64: the weight of each row in the loss; the
    default is 1. time (n,) float64: when each row was observed, for splits in order of time; the default is empty.
    columns: of the table that the rows come from. row_columns: the numeric and categorical ones of each row (n,) by
    name, as numbers and names of categories; empty where there are none. Raises InputError.
    """

    inputs: list[Any]
    labels: Array | Ragged
    target: Target
    groups: NDArray[np.int64] = _DEFAULT
    source: str = ""
    sample_weight: NDArray[np.float64] = _DEFAULT
    time: NDArray[np.float64] = _DEFAULT
    columns: ColumnNames = NO_COLUMNS
    row_columns: list[dict[str, float | str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.inputs)
        if len(self.row_columns) not in (0, n):
            raise InputError(f"row_columns must be those of {counted(n, 'row')}, not of {len(self.row_columns):,}")
        if self.groups is None:
            object.__setattr__(self, "groups", self.input_keys)
        if self.sample_weight is None:
            object.__setattr__(self, "sample_weight", np.ones(n))
        if self.time is None:
            object.__setattr__(self, "time", np.zeros(0))
        self.target.check_labels(self.labels, n)
        check_array("groups", self.groups, (n,), np.int64)
        check_array("sample_weight", self.sample_weight, (n,), np.float64)
        check_array("time", self.time, (n,) if self.time.size else (0,), np.float64)
        allowed = np.isfinite(self.sample_weight) & (self.sample_weight >= 0)
        if not allowed.all() or (n and not self.sample_weight.any()):
            raise InputError("sample_weight must be finite, not negative, and above zero for at least one row")
        if isinstance(self.labels, Ragged):
            for row, (item, labels) in enumerate(zip(self.inputs, self.labels, strict=True)):
                if problem := steps_problem(item, labels):
                    raise InputError(f"labels: row {row} has {problem}")
        if n and isinstance(self.inputs[0], Mapping):
            return  # the preprocessor of the model has checked them
        if not all(isinstance(text, str) for text in self.inputs):
            _check_series(self.inputs)

    @classmethod
    def of(
        cls,
        inputs: Any,
        labels: Any,
        source: str = "the data given",
        *,
        task: Task | None = None,
        classes: Sequence[str] | None = None,
        groups: Any = None,
        sample_weight: Any = None,
        times: Any = None,
        layout: str | None = None,
        columns: ColumnNames = NO_COLUMNS,
    ) -> Labelled:
        """From n texts or series and n labels, as a user passes them.

        inputs, layout: see `convert_inputs`. labels, task, classes: see `convert_labels`. groups: a name or number per
        row. sample_weight: a number per row. times: a number, date or ISO text per row. columns: the names of the
        columns, if these are columns of a table or the inputs have some (`with_columns`). Raises InputError as these
        functions, and for different numbers of rows.
        """
        schema = RowSchema.of(columns)
        inputs, row_columns = split_rows(inputs, schema, refuse_unread=True)
        is_column = getattr(inputs, "ndim", 0) == 1 and inputs.dtype == object
        if labels_task(task) == "tagging" and (is_column or isinstance(inputs, list | tuple)):
            try:
                inputs = join_words_of_rows(inputs)
            except InputError as error:
                raise InputError(f"inputs: {error}") from None
        check_index(inputs, {"labels": labels, "groups": groups, "sample_weight": sample_weight, "times": times})
        try:
            rows = convert_inputs(inputs, layout=layout)
        except InputError as error:
            hint = swapped(inputs, labels)
            if task is None:
                hint = hint or tagging_hint(inputs, labels)
            raise InputError(f"{error}{hint}") from None
        steps = step_names(inputs, rows, labels)
        converted_labels = convert_labels(labels, task, classes)
        if sample_weight is not None:
            sample_weight = convert_sample_weight(sample_weight)
        if schema:
            converted_labels.target.check_columns()
        if rows and not isinstance(rows[0], str):
            source = f"{source}: {len(rows):,} series, {describe_series(rows)}"
        name_of_times = "times" if columns.time is None else f"column {quote(columns.time)}"
        return labelled_of(
            rows,
            row_columns,
            converted_labels,
            source,
            columns=columns,
            groups=groups,
            sample_weight=sample_weight,
            times=times,
            where=lambda row: f"{name_of_times}: row {row}",
            steps=steps,
        )

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        text: str | Sequence[str] = "text",
        label: str | Sequence[str] = "label",
        numeric: str | Sequence[str] = (),
        categorical: str | Sequence[str] = (),
        task: Task | None = None,
        weight: str | None = None,
        group: str | None = None,
        time: str | None = None,
        schema: RowSchema | None = None,
    ) -> Labelled:
        """From the columns of a data frame: pandas, polars, PyArrow, DuckDB, or datasets.Dataset with its class names.

        text: one or more columns, joined by a newline; () for series, one per row, whose steps are all columns that are
        not named. label: one column, or several for task "regression" and "multilabel". numeric, categorical: further
        columns that the model reads. weight, group, time: columns of `sample_weight`, `groups` and `time`. schema: that
        of a model with these numeric and categorical columns. Raises InputError for a column that is missing or named
        twice, and as `of`.
        """
        if not is_frame(frame):
            raise InputError(f"a data frame is needed, not {described(frame)}")
        columns = frame_columns(frame)

        def column(name: str | None) -> Any:
            return None if name is None else columns[find_column(name, list(columns))]

        names = ColumnNames(
            several(text), several(label), time=time, numeric=several(numeric), categorical=several(categorical)
        )
        if not names.label:
            raise InputError("label names no column")
        _check_named_once(names, list(columns))
        inputs: Any
        if names.text:
            inputs = texts_of({name: column(name) for name in names.text})
        else:
            of_rows = [name for name in (weight, group, time) if name is not None]
            inputs = convert_series(
                without_columns(frame, (*names.label, *of_rows, *names.numeric, *names.categorical))
            )
        schema = schema or RowSchema.of(names)
        if schema:
            _, row_columns = split_rows(frame, schema)
            inputs = joined_rows(inputs, row_columns)
        if len(names.label) == 1:
            labels = column(names.label[0])
        else:
            label_columns = [column(name) for name in names.label]
            labels = list(map(list, zip(*label_columns, strict=True)))
        # The columns are named as the labels of a row, or as its numbers. Classes have the names in the one column.
        has_named_columns = len(names.label) > 1 or labels_task(task) == "regression"
        return cls.of(
            inputs,
            labels,
            f"{counted(len(inputs), 'row')} of a data frame, by {', '.join(map(quote, names.label))}",
            task=task,
            classes=names.label if has_named_columns else None,
            groups=column(group),
            sample_weight=column(weight),
            times=column(time),
            columns=names,
        )

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def task(self) -> Task:
        """The task of the target."""
        return self.target.task

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the target, or the names of its numbers."""
        return self.target.classes

    def with_names_of(self, other: Target) -> Labelled:
        """The data with the names of another target for columns of labels or numbers that came without names."""
        return replace(self, target=self.target.named_as(other))

    @property
    def input_kind(self) -> InputKind:
        """Texts, series or arrays; texts if there are no rows."""
        return input_kind_of(self.inputs)

    @property
    def kind(self) -> Literal["text", "series", "arrays"]:
        """The name of `input_kind`."""
        return self.input_kind.name

    @property
    def nouns(self) -> InputNouns:
        """What the inputs are, in words."""
        return self.input_kind.nouns

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """A hash (n,) of the content of each row, its text or series and its numeric and categorical columns. Case,
        spaces and <br /> of a text do not count.
        """
        return np.array([content_key(row, columns) for row, columns in self._inputs_and_columns()], dtype=np.int64)

    @cached_property
    def input_keys(self) -> NDArray[np.int64]:
        """A hash (n,) of the text or series of each row. Rows of one text stay together, whatever their columns are."""
        if not self.row_columns:
            return self.keys
        return np.array([content_key(row) for row in self.inputs], dtype=np.int64)

    @property
    def rows(self) -> list[Any]:
        """What a model predicts from: the inputs, with their columns where there are some (`Row`)."""
        return joined_rows(self.inputs, self.row_columns)

    def _inputs_and_columns(self) -> Iterator[tuple[Any, dict[str, float | str] | None]]:
        """Each input with its columns, None where there are none."""
        return zip(self.inputs, self.row_columns or repeat(None), strict=False)

    @property
    def present_rows(self) -> NDArray[np.intp]:
        """The numbers of the rows with a weight above 0. A row of weight 0 counts as absent."""
        return np.flatnonzero(self.sample_weight)

    @property
    def present(self) -> Labelled:
        """The data without the rows of weight 0."""
        rows = self.present_rows
        if len(rows) == len(self):
            return self
        return self.take(rows)

    def take(self, rows: NDArray[Any] | Sequence[int]) -> Labelled:
        """The rows with these numbers, in order, or where a mask (n,) is true. Raises InputError for other rows."""
        numbers = np.asarray(rows)
        if numbers.dtype == np.bool_ and numbers.shape == (len(self),):
            numbers = np.flatnonzero(numbers)
        if not numbers.size:  # an empty list is an array of floats
            numbers = numbers.astype(np.int64)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not np.isin(numbers, np.arange(len(self))).all():
            raise InputError(f"rows must be a list of row numbers, from 0 to {len(self) - 1}")
        inputs: Any = [self.inputs[row] for row in numbers.tolist()]
        return replace(
            self,
            inputs=inputs,
            labels=self.labels[numbers],
            groups=self.groups[numbers],
            sample_weight=self.sample_weight[numbers],
            time=self.time[numbers] if self.time.size else self.time,
            row_columns=[self.row_columns[row] for row in numbers.tolist()] if self.row_columns else [],
        )

    def labels_among(self, classes: Sequence[str], owner: str = "the model") -> Any:
        """The labels as indices into the `classes` of a model, (n,) or columns of (n, K). For regression the numbers,
        in the order of `classes` where the data has the same names, else in its own. A class 1.0 of the data is the
        class 1 of a model. owner: whose classes they are, for the message. Raises InputError for a class that is not
        among them, and for another number of numbers.
        """
        return self.target.labels_among(self.labels, classes, owner)

    def fingerprint(self) -> str:
        """SHA-256 of kind, classes, inputs and labels, in this order.

        Each part is preceded by its length, so that different data sets have different bytes.
        """
        parts = [self.kind.encode(), len(self.classes).to_bytes(8, "little")]
        parts += [name.encode("utf-8", "surrogatepass") for name in self.classes]
        parts += self.target.fingerprint_parts()
        dtype = "<f8" if self.labels.dtype.kind == "f" else "<i8"
        for (row, columns), label in zip(self._inputs_and_columns(), self.labels, strict=True):
            parts.append(label.astype(dtype).tobytes())
            parts += _content(row, columns)
        if (self.sample_weight != 1).any():
            parts.append(self.sample_weight.astype("<f8").tobytes())
        return _digest(parts)


def _check_named_once(names: ColumnNames, columns: Sequence[str]) -> None:
    """Raise InputError for a column of a data frame that is missing, or named for two uses, in any spelling."""

    def written(some: Sequence[str]) -> tuple[str, ...]:
        return tuple(find_column(name, columns) for name in some)

    schema = RowSchema.named(written(names.numeric), written(names.categorical))
    check_names(schema, {"text": written(names.text), "label": written(names.label)})


def labelled_of(
    inputs: list[Any],
    row_columns: list[dict[str, float | str]],
    labels: ConvertedLabels,
    source: str,
    *,
    columns: ColumnNames,
    groups: Any = None,
    sample_weight: Any = None,
    times: Any = None,
    where: Callable[[int], str] = str,
    steps: Sequence[str] = (),
) -> Labelled:
    """From groups, sample_weight and times as they were given, each None or of n rows. where: the place of a time, for
    messages. steps: names of the steps of series. A DataWarning for each place of the inputs that tells the label.
    """
    arrays: dict[str, Any] = {"labels": labels.labels}
    if groups is not None:
        arrays["groups"] = convert_groups(groups)
    if sample_weight is not None:
        arrays["sample_weight"] = np.asarray(sample_weight)
    if times is not None:
        arrays["time"] = seconds_of(times, where)
    for name, array in arrays.items():
        if len(array) != len(inputs):
            raise InputError(f"there are {len(inputs):,} inputs but {len(array):,} {name}")
    data = Labelled(inputs, target=labels.target, source=source, columns=columns, row_columns=row_columns, **arrays)
    _warn_of_leaks(data, steps)
    return data


def _warn_of_leaks(data: Labelled, steps: Sequence[str]) -> None:
    """A DataWarning for each place of the inputs that tells the label. steps: names of the steps of series."""
    if data.kind == "arrays":  # a network with several inputs is not trained here
        return
    if isinstance(data.labels, Ragged):  # each step has a label: no place of the input tells all of them
        return
    schema = RowSchema.of(data.columns)
    label_columns = data.labels.T if data.labels.ndim > 1 else data.labels[None]  # (labels or numbers of a row, n)
    for label_column in label_columns[:_MAX_TARGETS]:
        problems = leaks(data.inputs, label_column, steps)
        for name in schema.names:
            problems += leaks(of_column(data.row_columns, name, schema), label_column, (name,))
        for problem in problems:
            warn(problem)


def _check_series(rows: list[Any]) -> None:
    """Raise InputError unless these are series (length, channels) float32 of equally many channels."""
    if not isinstance(rows[0], np.ndarray):
        raise InputError("inputs must be all texts or all arrays")
    channels = rows[0].shape[-1:]
    for number, row in enumerate(rows):
        fits = isinstance(row, np.ndarray) and row.ndim == 2 and row.shape[1:] == channels
        if not fits or row.dtype != np.float32:
            raise InputError(f"inputs: row {number} must be an array (length, {(channels or (1,))[0]}) float32")


def step_names(inputs: Any, rows: Sequence[Any], labels: Any) -> tuple[str, ...]:
    """The names of the columns of a data frame of series; () for other inputs, of which `rows` were made. Errors as
    `check_step_names`.
    """
    are_series = len(rows) > 0 and not isinstance(rows[0], str)
    if not are_series or not is_frame(inputs):
        return ()
    names = tuple(map(str, frame_names(inputs)))
    check_step_names(names, getattr(labels, "name", None))
    return names


def steps_problem(item: Any, labels: Any) -> str:
    """What is wrong with the number of labels of the steps of an input; "" if nothing is."""
    if isinstance(item, Mapping):
        return ""  # the model says which of the arrays has the steps
    if isinstance(item, str):
        steps = len(words_of(item))
        noun = "word"
    else:
        steps = len(item)
        noun = "step"
    if len(labels) == steps:
        return ""
    return f"{counted(len(labels), 'label')} for {counted(steps, noun)}"


def several(names: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several. Raises InputError for anything else."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        names = (names,)
    names = tuple(names)
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"a column is named by a text, not by {described(name)}")
    return names


def _digest(parts: Sequence[bytes]) -> str:
    """SHA-256 of the parts, each preceded by its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _content(row: Any, columns: Mapping[str, Any] | None) -> list[bytes]:
    """The content of a text, series or row of arrays and of its numeric and categorical columns."""
    if isinstance(row, str):
        content = [row.encode("utf-8", "surrogatepass")]
    elif isinstance(row, Mapping):
        content = []
        for name, array in sorted(row.items()):
            of_input = np.ascontiguousarray(array)
            content += [name.encode(), repr((of_input.shape, of_input.dtype.str)).encode(), of_input.tobytes()]
    else:
        content = [repr(row.shape).encode(), np.ascontiguousarray(row, dtype="<f4").tobytes()]
    if columns is not None:
        content.append(repr(sorted(columns.items())).encode("utf-8", "surrogatepass"))
    return content


def content_key(row: Any, columns: Mapping[str, Any] | None = None) -> int:
    """A hash of a text or series, and of columns. Case, spaces and <br /> of a text do not count."""
    if isinstance(row, str):
        row = " ".join(row.replace("<br />", " ").casefold().split())
    digest = hashlib.blake2b(b"\0".join(_content(row, columns)), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """n texts. source: where they come from, one line."""

    texts: list[str]
    source: str

    def __len__(self) -> int:
        return len(self.texts)

    def fingerprint(self) -> str:
        """SHA-256 of the texts, each preceded by its length."""
        return _digest([text.encode("utf-8", "surrogatepass") for text in self.texts])

    def without(self, data: Labelled) -> Unlabelled:
        """The texts that are not among the rows of `data`. Raises InputError if none is left."""
        labelled = set(data.input_keys.tolist())
        kept = [text for text in self.texts if content_key(text) not in labelled]
        if not kept:
            raise InputError("every unlabelled text is also in the labelled data: there is nothing more to learn from")
        if len(kept) == len(self.texts):
            return self
        return Unlabelled(kept, f"{self.source}; {len(kept):,} of them not among the labelled texts")

    @classmethod
    def of(cls, texts: Any, source: str = "the texts given") -> Unlabelled:
        """From texts in any container (`convert_texts`). Raises InputError as this function, and for an empty text."""
        rows = convert_texts(texts, name="texts")
        for number, text in enumerate(rows):
            if not text.strip():
                raise InputError(f"texts: row {number} is empty")
        return cls(rows, source)


@dataclass(frozen=True, eq=False)
class Splits:
    """Training data and test data. note: one line about the kind of test data."""

    train: Labelled
    test: Labelled | None
    note: str
