"""`Labelled`, a data set of inputs with labels. Every reader returns one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.data.columns import find_column
from gatewise.data.frames import frame_columns, is_frame
from gatewise.data.inputs import convert_inputs, described
from gatewise.data.labels import convert_groups, convert_labels, number_of
from gatewise.data.series import describe_series
from gatewise.data.times import seconds_of
from gatewise.errors import InputError, counted, quote
from gatewise.target import Target
from gatewise.types import LabelType, Task

_BY_CONTENT = np.zeros(0, dtype=np.int64)
_ONES = np.ones(0)
_NO_TIME = np.zeros(0)


@dataclass(frozen=True, eq=False)
class Labelled:
    """n inputs, all texts or all series, with labels.

    inputs: n str, or n arrays (length, channels) float32, NaN where a value is missing. labels: indices into `classes`
    (n,) int64; for task "multilabel" 0 or 1 for each class (n, K) int64; for "regression" numbers (n, M) float64, which
    `classes` names. groups (n,) int64: rows of one group stay in one part of every split; the default is `keys`, so
    that duplicates stay together. source: a description in one line. label_type: the type of the user's labels.
    sample_weight (n,) float64: the weight of each row in the loss; the default is 1. time (n,) float64: when each row
    was observed, for splits in order of time; the default is empty. Raises InputError.
    """

    inputs: list[str] | list[NDArray[np.float32]]
    labels: NDArray[Any]
    classes: tuple[str, ...]
    groups: NDArray[np.int64] = field(default_factory=lambda: _BY_CONTENT)
    source: str = ""
    task: Task = "classification"
    label_type: LabelType = "str"
    sample_weight: NDArray[np.float64] = field(default_factory=lambda: _ONES)
    time: NDArray[np.float64] = field(default_factory=lambda: _NO_TIME)

    def __post_init__(self) -> None:
        n, k = len(self.inputs), len(self.target.classes)
        if self.groups is _BY_CONTENT:
            object.__setattr__(self, "groups", self.keys)
        if self.sample_weight is _ONES:
            object.__setattr__(self, "sample_weight", np.ones(n))
        shape = (n,) if self.task == "classification" else (n, k)
        dtype = np.float64 if self.task == "regression" else np.int64
        for name, column, dims, kind in (
            ("labels", self.labels, shape, dtype),
            ("groups", self.groups, (n,), np.int64),
            ("sample_weight", self.sample_weight, (n,), np.float64),
            ("time", self.time, (n,) if self.time.size else (0,), np.float64),
        ):
            if column.dtype != kind or column.shape != dims:
                raise InputError(f"{name} must be {dims} {kind.__name__}, got {column.shape} {column.dtype}")
        weights = self.sample_weight
        if not (np.isfinite(weights).all() and (weights >= 0).all()) or (n and not weights.any()):
            raise InputError("sample_weight must be finite and at least 0, and above 0 for one row")
        if self.task == "regression" and not np.isfinite(self.labels).all():
            raise InputError(f"labels: row {int(np.argwhere(~np.isfinite(self.labels))[0, 0])} is not a finite number")
        top = 1 if self.task == "multilabel" else k - 1
        if self.task != "regression" and n and not 0 <= int(self.labels.min()) <= int(self.labels.max()) <= top:
            raise InputError(f"labels must be between 0 and {top}")
        if self.kind == "series":
            _check_series(self.inputs)
        elif not all(isinstance(text, str) for text in self.inputs):
            raise InputError("inputs must be all texts or all arrays")

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
        layout: str | None = None,
    ) -> Labelled:
        """From n texts or series and n labels, as a user passes them.

        inputs, layout: see `convert_inputs`. labels, task, classes: see `convert_labels`. groups: a name or number per
        row. sample_weight: a number per row. Raises InputError as these functions, and for different numbers of rows.
        """
        rows = convert_inputs(inputs, layout=layout)
        found = convert_labels(labels, task, classes)
        n = len(rows)
        if n != len(found.labels):
            raise InputError(f"there are {n:,} inputs but {len(found.labels):,} labels")
        more: dict[str, Any] = {}
        if groups is not None:
            more["groups"] = convert_groups(groups)
        if sample_weight is not None:
            more["sample_weight"] = convert_labels(sample_weight, "regression", name="sample_weight").labels[:, 0]
        for name, column in more.items():
            if len(column) != n:
                raise InputError(f"there are {n:,} inputs but {len(column):,} {name}")
        if rows and not isinstance(rows[0], str):
            source = f"{source}: {n:,} series, {describe_series(rows)}"
        return cls(
            rows, found.labels, found.classes, source=source, task=found.task, label_type=found.label_type, **more
        )

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        text: str | Sequence[str] = "text",
        label: str | Sequence[str] = "label",
        task: Task | None = None,
        weight: str | None = None,
        group: str | None = None,
        time: str | None = None,
    ) -> Labelled:
        """From the columns of a data frame: pandas, polars, PyArrow, or datasets.Dataset with its class names.

        text: one or more columns, joined by a newline. label: one column, or several for task "regression" and
        "multilabel". weight, group, time: columns of `sample_weight`, `groups` and `time`. Raises InputError for a
        column that is missing, and as `of`.
        """
        if not is_frame(frame):
            raise InputError(f"a data frame is needed, not {described(frame)}")
        columns = frame_columns(frame)

        def column(name: str) -> list[Any]:
            return columns[find_column(name, list(columns))]

        texts, labels = ((names,) if isinstance(names, str) else tuple(names) for names in (text, label))
        if not texts or not labels:
            raise InputError(f"{'label' if texts else 'text'} names no column")
        parts = [convert_inputs(column(name), "text", name=f"column {quote(name)}") for name in texts]
        several = len(labels) > 1
        found = cls.of(
            ["\n".join(row) for row in zip(*parts, strict=True)],
            list(map(list, zip(*map(column, labels), strict=True))) if several else column(labels[0]),
            f"{counted(len(parts[0]), 'row')} of a data frame, by {', '.join(map(quote, labels))}",
            task=task,
            classes=labels if several or task == "regression" else None,
            groups=None if group is None else column(group),
            sample_weight=None if weight is None else column(weight),
        )
        if time is None:
            return found
        return replace(found, time=seconds_of(column(time), lambda row: f"column {quote(time)}: row {row}"))

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def target(self) -> Target:
        """What the labels are."""
        return Target(self.classes, self.task, self.label_type)

    @property
    def kind(self) -> Literal["text", "series"]:
        """'text' or 'series'; 'text' if there are no rows."""
        return "series" if len(self.inputs) and isinstance(self.inputs[0], np.ndarray) else "text"

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """A hash (n,) of the content of each row. Case, spaces and <br /> of a text do not count."""
        return np.array([content_key(row) for row in self.inputs], dtype=np.int64)

    def take(self, rows: NDArray[Any] | Sequence[int]) -> Labelled:
        """The rows with these numbers, in order, or where a mask (n,) is true. Raises InputError for other rows."""
        which = np.asarray(rows)
        if which.dtype == np.bool_ and which.shape == (len(self),):
            which = np.flatnonzero(which)
        if which.size == 0:
            which = which.astype(np.int64)
        if which.ndim != 1 or which.dtype.kind not in "iu":
            raise InputError("rows must be a list of row numbers")
        if which.size and not 0 <= int(which.min()) <= int(which.max()) < len(self):
            raise InputError(f"rows must be between 0 and {len(self) - 1}")
        inputs: Any = [self.inputs[row] for row in which.tolist()]
        return replace(
            self,
            inputs=inputs,
            labels=self.labels[which],
            groups=self.groups[which],
            sample_weight=self.sample_weight[which],
            time=self.time[which] if self.time.size else self.time,
        )

    def labels_among(self, classes: Sequence[str], owner: str = "the model") -> NDArray[Any]:
        """The labels as indices into the `classes` of a model, (n,) or columns of (n, K). For regression the numbers,
        in the order of `classes` where the data has the same names, else in its own. A class 1.0 of the data is the
        class 1 of a model. owner: of the classes, for the message. Raises InputError for a class that it lacks, and for
        another number of numbers.
        """
        if self.task == "regression":
            if len(classes) != len(self.classes):
                raise InputError(f"the model predicts {len(classes)} numbers, the data has {len(self.classes)}")
            if set(classes) != set(self.classes):
                return self.labels
            return np.asarray(self.labels[:, [self.classes.index(name) for name in classes]])
        place = np.array([_place(name, classes, owner) for name in self.classes], dtype=np.int64)
        if self.task == "classification":
            return np.asarray(place[self.labels])
        out = np.zeros((len(self), len(classes)), dtype=self.labels.dtype)
        for column, labels in zip(place.tolist(), self.labels.T, strict=True):
            out[:, column] |= labels  # two classes may be one of the model
        return out

    def fingerprint(self) -> str:
        """SHA-256 of kind, classes, inputs and labels, in this order.

        Each part is preceded by its length, so that different data sets have different bytes.
        """
        digest = hashlib.sha256()

        def add(part: bytes) -> None:
            digest.update(len(part).to_bytes(8, "little") + part)

        add(self.kind.encode())
        add(len(self.classes).to_bytes(8, "little"))
        for name in self.classes:
            add(name.encode("utf-8", "surrogatepass"))
        if self.task != "classification":
            add(self.task.encode())
        for row, label in zip(self.inputs, self.labels, strict=True):
            add(label.astype("<f8" if self.task == "regression" else "<i8").tobytes())
            for part in _parts(row):
                add(part)
        if (self.sample_weight != 1).any():
            add(self.sample_weight.astype("<f8").tobytes())
        return digest.hexdigest()


def _place(name: str, classes: Sequence[str], owner: str) -> int:
    """The index of the class of that name, else of the only one that is the same number."""
    if name in classes:
        return classes.index(name)
    number = number_of(name)
    equal = [place for place, one in enumerate(classes) if number is not None and number_of(one) == number]
    if len(equal) != 1:
        raise InputError(f"{owner} has no class {quote(name)}; its classes are {', '.join(map(quote, classes))}")
    return equal[0]


def _parts(row: Any) -> list[bytes]:
    if isinstance(row, str):
        return [row.encode("utf-8", "surrogatepass")]
    return [repr(row.shape).encode(), np.ascontiguousarray(row, dtype="<f4").tobytes()]


def content_key(row: Any) -> int:
    """A hash of the content of a text or series. Case, spaces and <br /> of a text do not count."""
    if isinstance(row, str):
        row = " ".join(row.replace("<br />", " ").casefold().split())
    return int.from_bytes(hashlib.blake2b(b"\0".join(_parts(row)), digest_size=8).digest(), "little", signed=True)


def _check_series(inputs: Sequence[Any]) -> None:
    channels = inputs[0].shape[-1:]
    for number, row in enumerate(inputs):
        if not isinstance(row, np.ndarray) or row.ndim != 2 or row.dtype != np.float32 or row.shape[1:] != channels:
            raise InputError(
                f"inputs: row {number} must be an array (length, {channels[0] if channels else 1}) float32"
            )
