"""`Target`: what a model predicts, from its logits to labels of the user's own type.

task            outputs                          probabilities        labels
classification  1 for two classes, else K        softmax (n, K)       (n,), the most probable class
multilabel      K, one logit per label           sigmoid (n, K)       (n,) tuples of labels
regression      M, the numbers themselves        none                 (n,) float64, (n, M) for several numbers
tagging         as classification, per step      (N, K), by step      (n,) lists of labels, one per step

Predictions per step are those of a classification whose rows are the steps (N,) of all inputs, one input after the
other. By input they are an object array (n,) of one array (T, ...) each (`by_input`, `by_row`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, quote
from gatewise.types import Array, LabelType, Task

EXPLANATION = ("tokens", "attributions", "attribution_target")
"""The columns of an explanation: what the network reads, the score of each, and what positive scores favour."""

SPACED_WORD = re.compile(r"[^ \t\r\n\f\v]+")
_DOUBT = 0.05 + 1e-9  # of a probability, from the threshold: closer ones decide nothing
_CONVERT: dict[LabelType, Callable[[str], Any]] = {"str": str, "int": int, "float": float, "bool": "True".__eq__}


@dataclass(frozen=True)
class Target:
    """What is predicted.

    classes: the names of the K classes, or for regression of the M numbers. label_type: the type of the user's labels,
    whose string form the names are. thresholds: the least probability at which a label is predicted, one per class for
    "multilabel", one for classes[1] of two classes; empty: 0.5. With more classes one per class: the predicted class
    has the largest ratio of probability to threshold. per_step: whether each step has a prediction; the task "tagging"
    is a classification per step, and stored as such. Raises InputError for other values.
    """

    classes: tuple[str, ...]
    task: Task = "classification"
    label_type: LabelType = "str"
    thresholds: tuple[float, ...] = ()
    per_step: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        if self.task == "tagging":
            object.__setattr__(self, "task", "classification")
            object.__setattr__(self, "per_step", True)
        if self.task not in get_args(Task):
            raise InputError(f"task must be one of {', '.join(get_args(Task))}, not {quote(self.task)}")
        if self.label_type not in get_args(LabelType):
            raise InputError(
                f"label_type must be one of {', '.join(get_args(LabelType))}, not {quote(self.label_type)}"
            )
        names = self.classes
        if len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
            raise InputError(f"classes must be distinct names, none empty; got {quote(names)}")
        if self.task != "regression" and self.label_type in ("int", "float", "bool"):
            self._convert(names)
        allowed = {"multilabel": len(names), "classification": 1 if len(names) == 2 else len(names)}.get(self.task, 0)
        if self.thresholds and len(self.thresholds) != allowed:
            raise InputError(f"there must be {allowed} thresholds for {self.task} with {len(names)} classes")
        if not all(math.isfinite(one) and 0 <= one <= 1 for one in self.thresholds):
            raise InputError("a threshold must be from 0 to 1")

    @property
    def named_task(self) -> Task:
        """The task as a user names it: "tagging" for a class per step."""
        return "tagging" if self.per_step and self.task == "classification" else self.task

    @property
    def outputs(self) -> int:
        """Logits of the network: 1 for two classes, the logit of classes[1]; else one per class, label or number."""
        return 1 if self.task == "classification" and len(self.classes) == 2 else len(self.classes)

    def probabilities(self, logits: Array) -> Array:
        """Probabilities (n, K) float64 from logits (n, outputs). Raises InputError for regression, and as
        `check_logits`.
        """
        if self.task == "regression":
            raise InputError("a regression model has no probabilities")
        check_logits(logits)
        logits = by_row(logits)
        if self.task == "multilabel":
            return np.asarray(0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64))))  # a sigmoid without overflow
        return np.asarray(np.exp(log_probabilities(logits)))

    def predicted(self, logits: Array) -> Array:
        """From logits (n, outputs): class indices (n,) int64, 0 or 1 (n, K) int64, or numbers (n, M) float64. Errors as
        `check_logits`.
        """
        if self.task != "regression":
            return self.decide(self.probabilities(logits))
        check_logits(logits)
        return by_row(logits).astype(np.float64)

    def decide(self, probabilities: Array) -> Array:
        """The decision for probabilities (n, K): class indices (n,) int64, or for "multilabel" 0 or 1 (n, K) int64."""
        if self.task == "multilabel":
            return (probabilities >= np.array(self.thresholds or 0.5)).astype(np.intp)
        if len(self.thresholds) == 1:
            return (probabilities[:, 1] >= self.thresholds[0]).astype(np.intp)
        if self.thresholds:
            probabilities = probabilities / np.maximum(self.thresholds, 1e-300)
        return np.asarray(probabilities.argmax(axis=1))

    def undecided(self, probabilities: Array) -> NDArray[np.bool_]:
        """Whether the probabilities (n, K) of two classes are within 0.05 of the threshold: (n,). Others never are."""
        if self.task != "classification" or len(self.classes) != 2:
            return np.zeros(len(probabilities), dtype=bool)
        return np.asarray(np.abs(probabilities[:, 1] - (self.thresholds or (0.5,))[0]) <= _DOUBT)

    def decision(self, logits: Array) -> Array:
        """Scores of classes and labels from logits (n, outputs), shifted by the thresholds: for two classes (n,), at
        least 0 where classes[1] is predicted; for "multilabel" (n, K), at least 0 where the label is predicted; for
        more classes (n, K), the largest for the predicted one. Raises InputError for regression.
        """
        if self.task == "regression":
            raise InputError("a regression model has no decision function")
        logits = by_row(logits)
        if self.task == "classification" and self.outputs > 1:
            return np.asarray(logits.astype(np.float64) - np.log(np.maximum(self.thresholds or 1.0, 1e-300)))
        thresholds = np.clip(np.array(self.thresholds or 0.5), 1e-300, 1 - 2**-53)
        scores = logits.astype(np.float64) - np.log(thresholds / (1 - thresholds))
        return np.asarray(scores[:, 0] if self.task == "classification" else scores)

    @property
    def class_labels(self) -> Array:
        """The classes (K,) in the labels' own type: an array of str, int64 (of larger numbers uint64, else object),
        float64 or bool. For regression names.
        """
        if self.task == "regression" or self.label_type != "int" or not self.classes:
            return np.array(self.classes if self.task == "regression" else self._convert(self.classes))
        numbers = self._convert(self.classes)
        kinds = [(np.int64, -(2**63), 2**63), (np.uint64, 0, 2**64), (object, -math.inf, math.inf)]
        return np.array(numbers, next(kind for kind, low, end in kinds if low <= min(numbers) and max(numbers) < end))

    def labels(self, logits: Array) -> Array:
        """What `Model.predict` returns for logits (n, outputs): (n,) in the labels' own type; for "multilabel" (n,)
        object, tuples of labels; for regression (n,) float64, or (n, M) for several numbers. For logits by input (n,)
        object, lists of these, one per step.
        """
        if logits.dtype == object:
            found = by_input(self.labels(by_row(logits)), logits)
            for n, one in enumerate(found):
                found[n] = one.tolist()
            return found
        found = self.predicted(logits)
        if self.task == "regression":
            return np.asarray(found[:, 0] if found.shape[1] == 1 else found)
        if self.task == "classification":
            return np.asarray(self.class_labels[found])
        out = np.empty(len(found), dtype=object)
        out[:] = list(map(tuple, self.named(found, own=True)))
        return out

    def named(self, decided: Array, own: bool = False) -> list[Any]:
        """What `decide` returns by name: a class (n), or for "multilabel" the list of the labels (n). own: labels in
        their own type, not their names.
        """
        classes: Sequence[Any] = self.class_labels.tolist() if own else self.classes
        if self.task != "multilabel":
            return [classes[k] for k in decided.tolist()]
        return [[name for name, yes in zip(classes, row, strict=True) if yes] for row in decided.tolist()]

    def index(self, label: Any) -> int:
        """The index of a class, label or number, given as a label or by its name. Raises InputError for another one."""
        name = str(label.item() if isinstance(label, np.generic) else label)
        if name not in self.classes:
            known = ", ".join(map(quote, self.classes[:20])) + (", ..." if len(self.classes) > 20 else "")
            raise InputError(f"there is no class {quote(name)}; the classes are {known}")
        return self.classes.index(name)

    def _convert(self, names: Sequence[str]) -> list[Any]:
        try:
            if self.label_type == "bool" and not set(names) <= {"False", "True"}:
                raise ValueError
            return [_CONVERT[self.label_type](name) for name in names]
        except ValueError:
            raise InputError(f"classes {quote(names)} are not of type {self.label_type}") from None


class Column(NamedTuple):
    """Values (n,), None for a row without a prediction, and their type. lists: each value is a list of that type."""

    values: list[Any]
    kind: LabelType
    lists: bool = False


def prediction_columns(target: Target, logits: Array, *, every: bool, names: bool) -> dict[str, Column]:
    """The columns of logits (n, outputs) by name: label and probability; prediction for a regression.

    every: in place of probability, that of the label, a column per class, probability_NAME. names: labels are the names
    of the classes, not values of the labels' own type. The labels of a multi-label row are a list. A regression of
    several numbers has a column prediction_NAME for each. Of logits by input each value is a list, one per step.
    """
    if logits.dtype == object:
        found = prediction_columns(target, by_row(logits), every=every, names=names)
        by_step = {name: by_input(np.array(one.values), logits) for name, one in found.items()}
        return {name: Column([row.tolist() for row in rows], found[name].kind, True) for name, rows in by_step.items()}
    if target.task == "regression":
        columns = ["prediction"] if len(target.classes) == 1 else [f"prediction_{name}" for name in target.classes]
        numbers = target.predicted(logits)
        return {name: Column(numbers[:, k].tolist(), "float") for k, name in enumerate(columns)}
    probabilities = target.probabilities(logits)
    decided, lists = target.decide(probabilities), target.task == "multilabel"
    label = Column(target.named(decided, own=not names), "str" if names else target.label_type, lists)
    if every:
        each = {f"probability_{name}": probabilities[:, k].tolist() for k, name in enumerate(target.classes)}
        return {"label": label, **{name: Column(values, "float") for name, values in each.items()}}
    if lists:
        top = [row[yes > 0].tolist() for row, yes in zip(probabilities, decided, strict=True)]
    else:
        top = probabilities[np.arange(len(decided)), decided].tolist()
    return {"label": label, "probability": Column(top, "float", lists)}


def column_names(target: Target, every: bool) -> list[str]:
    """The names of `prediction_columns`."""
    return list(prediction_columns(target, np.zeros((0, target.outputs)), every=every, names=True))


def words_of(text: str) -> list[str]:
    """The words of a text whose words are separated by spaces: each is a step. A no-break space is part of a word.

    >>> words_of("Anna lives  in Paris .")
    ['Anna', 'lives', 'in', 'Paris', '.']
    """
    return SPACED_WORD.findall(text)


def join_words(words: Any) -> Any:
    """A list or array of words as the text of which `words_of` finds them; anything else as it is. A space in a word
    becomes a no-break space. Raises InputError for an empty word.
    """
    found = words.tolist() if isinstance(words, np.ndarray) and words.dtype.kind in "OU" else words
    if not isinstance(found, list | tuple) or not found or not all(isinstance(word, str) for word in found):
        return words
    if blank := [n for n, word in enumerate(found, start=1) if not word.strip()]:
        raise InputError(f"word {blank[0]} is empty")
    return " ".join(re.sub(r"\s+", "\u00a0", word.strip()) for word in found)


def by_row(values: Array) -> Array:
    """The rows (N, ...) of values by input (n,); other arrays as they are."""
    return np.concatenate(list(values)) if values.dtype == object and len(values) else values


def by_input(rows: Array, like: Sequence[Any] | Array) -> Array:
    """Values by input: an object array (n,) of the rows (N, ...) of each, as many as `like` (n,) has of it; the rows
    themselves where `like` is not by input.
    """
    if isinstance(like, np.ndarray) and like.dtype != object:
        return rows
    out, start = np.empty(len(like), dtype=object), 0
    for n, one in enumerate(like):
        out[n], start = rows[start : start + len(one)], start + len(one)
    return out


def row_counts(labels: NDArray[Any]) -> Array:
    """How many rows of logits each of the labels (n, ...) is for: its steps, or 1."""
    return np.array(list(map(len, labels))) if labels.dtype == object else np.ones(len(labels), dtype=np.intp)


def check_logits(logits: Array) -> None:
    """Raise InputError, naming the first input, unless all logits (n, outputs) are finite. Finite weights can overflow:
    a softmax of an infinite logit is NaN, which is no prediction.
    """
    finite = [np.isfinite(one).all() for one in logits] if logits.dtype == object else np.isfinite(logits).all(axis=1)
    bad = np.flatnonzero(~np.asarray(finite, dtype=bool))
    if len(bad):
        raise InputError(f"row {bad[0]}: the model overflows: a logit is not finite")


def losses_of(z: Array, y: Array, task: Task) -> tuple[Array, Array]:
    """Losses of logits z (n, outputs) against targets y (n, outputs) in float64, and their gradients (n, outputs).

    classification: cross-entropy of the softmax (n, 1), with one output binary cross-entropy; multilabel: binary
    cross-entropy of each label (n, outputs); regression: squared error of each number (n, outputs).
    """
    if task == "regression":
        return np.square(z - y), 2 * (z - y)
    if task == "multilabel" or z.shape[1] == 1:
        return np.logaddexp(0, z) - y * z, 0.5 * (1 + np.tanh(0.5 * z)) - y
    log_p = log_probabilities(z)
    return -(y * log_p).sum(axis=1, keepdims=True), np.exp(log_p) * y.sum(axis=1, keepdims=True) - y


def log_probabilities(logits: Array) -> Array:
    """log p (n, K) float64 from logits (n, outputs). A single logit is that of class 1 against class 0."""
    z = logits.astype(np.float64)
    if z.shape[1] == 1:
        z = np.concatenate([np.zeros_like(z), z], axis=1)
    z = z - z.max(axis=1, keepdims=True)
    log_p: Array = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return log_p
