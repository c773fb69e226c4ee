"""`RowPrediction`: what one row of logits predicts, of one input or of one step of a tagger.

It has the loss, the decision and its thresholds, and the words and records for one prediction.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted, quote
from gatewise.losses import Loss
from gatewise.target.classes import Classes
from gatewise.target.score import MeasuredValue, TargetScore
from gatewise.target.thresholds import Threshold
from gatewise.types import Array, LabelType

if TYPE_CHECKING:
    from gatewise.metrics import Bin

_CONVERT: dict[LabelType, Callable[[str], Any]] = {"str": str, "int": int, "float": float, "bool": "True".__eq__}


class Chosen(NamedTuple):
    """Thresholds, and a line about them."""

    thresholds: tuple[float, ...]
    line: str


class RowPrediction(Classes):
    """What one row of logits predicts. Raises InputError for classes or thresholds that do not fit the task."""

    loss: ClassVar[Loss]
    """Of logits (n, outputs) against what `encode` makes of labels."""
    score_noun: ClassVar[str] = "logit"
    """What an explanation divides among the steps."""
    has_probabilities: ClassVar[bool] = True
    chooses_by_cost: ClassVar[bool] = True
    """Whether thresholds are chosen by default only where classes have weights."""
    least_classes: ClassVar[int] = 0
    """Of a model. Data of fewer can be evaluated."""
    mistakes_title: ClassVar[str] = "Most confident mistakes"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_names()
        if self.thresholds and len(self.thresholds) != self.threshold_count:
            raise InputError(
                f"there must be {self.threshold_count} thresholds for {self.task} with {len(self.classes)} classes"
            )
        if not all(math.isfinite(threshold) and 0 <= threshold <= 1 for threshold in self.thresholds):
            raise InputError("a threshold must be from 0 to 1")

    # What a network computes and learns

    @property
    def outputs(self) -> int:
        """Logits of the network."""
        return len(self.classes)

    @property
    def threshold_count(self) -> int:
        """How many thresholds it has, where it has some."""
        return 0

    @abstractmethod
    def encode(self, labels: Array) -> Array:
        """What the logits are compared with, y (n, outputs) float64, from labels as in `Labelled`."""

    def correct(self, logits: Array, labels: Array) -> NDArray[np.bool_] | None:
        """Whether each row is predicted correctly at thresholds of 1/2, (n,); None for numbers."""
        return None

    def logit_shift(self, class_weights: Array) -> Array:
        """What weights of the classes (K,) in the loss add to the logits (outputs,)."""
        return np.asarray(np.log(class_weights))

    # Thresholds

    def check_threshold(self, threshold: Threshold) -> None:
        """Raise InputError unless `threshold` is "f1", a probability, or for several labels one for each."""
        raise InputError("a threshold is for classes: a regression has none")

    def given_thresholds(self, threshold: Threshold) -> tuple[float, ...]:
        """One threshold, or one per label, as `thresholds`."""
        count = self.given_count
        try:
            values = np.atleast_1d(np.asarray(threshold, dtype=np.float64))
        except (TypeError, ValueError):
            shown = quote(str(threshold))
            raise InputError(f"threshold must be 'f1', a probability or one per label, not {shown}") from None
        if values.size == 1:
            values = np.full(count, values.flat[0])
        return tuple(values.tolist())

    @property
    def given_count(self) -> int:
        """How many thresholds a user gives."""
        return 1

    def cost_thresholds(self, class_weights: Array) -> tuple[float, ...] | None:
        """The thresholds with which the predicted class has the largest weight times probability, for weights (K,);
        None where a weight is no cost of an error.
        """
        return None

    def f1_thresholds(self, p: Array, labels: Array, weight: Array, trained: Array, ratio: Array | None) -> Chosen:
        """The thresholds of the best F1 on rows that were held out, from probabilities (n, K), labels and weights (n,).
        trained: class counts (K,) of the training rows; ratio: weights of the classes (K,), None for balanced ones.
        """
        raise InputError("a threshold is for classes: a regression has none")

    # Classes

    @property
    def column_classes(self) -> tuple[str, ...] | None:
        """The names of the columns that labels may come in; None where each row has one name."""
        return self.classes

    def check_classes(self) -> None:
        """Raise InputError for fewer classes than `least_classes`."""
        if len(self.classes) < self.least_classes:
            what = f"one class, {quote(self.classes[0])}" if self.classes else "none"
            raise InputError(f"a classifier needs at least two classes; got {what}")

    @property
    def class_labels(self) -> Array:
        """The classes (K,) in the labels' own type, an array of str, int64 (of larger numbers uint64, else object),
        float64 or bool; the names of numbers.
        """
        return self._own_labels.copy()

    @cached_property
    def _own_labels(self) -> Array:
        """As `class_labels`."""
        if self.label_type != "int" or not self.classes:
            return np.array(self._converted())
        numbers = self._converted()
        kinds = [(np.int64, -(2**63), 2**63), (np.uint64, 0, 2**64), (object, -math.inf, math.inf)]
        return np.array(numbers, next(kind for kind, low, end in kinds if low <= min(numbers) and max(numbers) < end))

    def named(self, decided: Array, own: bool = False) -> list[Any]:
        """What `decide` returns by name: a class (n), or for "multilabel" the list of the labels (n). own: labels in
        their own type, not their names.
        """
        classes: Sequence[Any] = self._own_labels.tolist() if own else self.classes
        return [classes[k] for k in decided.tolist()]

    def unknown_names(self, names: Iterable[str]) -> list[str]:
        """The names that no class has, sorted; none for numbers."""
        return sorted(set(names) - set(self.classes))

    @property
    def count_text(self) -> str:
        """How many classes or labels there are, in words; "" for numbers."""
        return counted(len(self.classes), "class", "classes")

    @property
    def classes_noun(self) -> str:
        """What `classes` are."""
        return "classes"

    # The decision

    @abstractmethod
    def predicted(self, logits: Array) -> Array:
        """From logits (n, outputs): class indices (n,) int64, 0 or 1 (n, K) int64, or numbers (n, M) float64. Errors as
        `check_logits`.
        """

    @abstractmethod
    def decide(self, probabilities: Array) -> Array:
        """The decision for probabilities (n, K): class indices (n,) int64, or 0 or 1 (n, K) int64."""

    def undecided(self, probabilities: Array) -> NDArray[np.bool_]:
        """Whether the probabilities (n, K) of two classes are within 0.05 of the threshold: (n,). Others never are."""
        return np.zeros(len(probabilities), dtype=bool)

    # One prediction as data and in words

    @abstractmethod
    def record(self, predicted: Array, probabilities: Array | None) -> dict[str, Any]:
        """One prediction as plain data, for JSON. classification: `prediction`, a class, and `probabilities` by class.
        multilabel: a list of labels, and the probabilities. regression: one number, or the numbers by name.
        """

    @abstractmethod
    def records(self, logits: Array) -> list[dict[str, Any]]:
        """One object per row of logits (n, outputs), for JSON lines: label (multi-label: labels) and probabilities; for
        numbers the prediction by name.
        """

    @abstractmethod
    def text(self, predicted: Array) -> str:
        """One prediction in words, from one row of `predicted`: the class, the labels, or the numbers."""

    def decision_text(self, predicted: Array, probabilities: Array | None) -> str:
        """As `text`, but "undecided" where the probabilities (K,) are close to the threshold."""
        if probabilities is not None and self.undecided(probabilities[None])[0]:
            return "undecided"
        return self.text(predicted)

    def score_text(self, value: float) -> str:
        """A score with its sign: logits with three decimals, numbers with four significant digits."""
        return f"{value:+.3f}"

    def sum_text(self, value: float) -> str:
        """As `score_text`, and a logit that would be shown as 0 as a power of ten."""
        return f"{value:+.0e}" if 0 < abs(value) < 5e-4 else self.score_text(value)

    def value_text(self, value: float) -> str:
        """A probability, or a predicted number, as it is printed."""
        return f"{value:.4f}"

    def stored(self, value: float) -> float:
        """A probability, or a predicted number, as it is written to a table."""
        return round(value, 6)

    def label_list(self, predicted: Array) -> list[str] | None:
        """The labels of a multi-label prediction."""
        return None

    def number_list(self, predicted: Array) -> list[float] | None:
        """The numbers of a prediction of numbers."""
        return None

    # Explanation

    @abstractmethod
    def score(self, logits: Array, target: int | None = None, against: int | None = None) -> TargetScore:
        """The score for logits (outputs,) that an explanation divides among the steps.

        target: the class, label or number; None for the predicted class (of two classes, classes[1]), the most probable
        label, or the first number. against: a class that is subtracted in place of the mean; if it is the predicted
        class, the target is by default the most probable of the others. Raises InputError for equal classes, and for
        `against` where the task is not classification.
        """

    @abstractmethod
    def favours(self, predicted: Array, score: TargetScore) -> bool:
        """Whether positive scores favour what is predicted."""

    def measured_value(self, logits: Array, of_nothing: Callable[[], Array]) -> MeasuredValue:
        """What deletions change, for logits (n, outputs). of_nothing: the logits (1, outputs) of an empty sequence."""
        column = np.asarray(self.predicted(logits))
        ones = np.ones(len(column), dtype=np.intp)
        return MeasuredValue(column, ones, ones)

    def side_names(self, score: TargetScore, shorten: Callable[[str], str]) -> tuple[str, str]:
        """What positive and negative scores favour, in words. shorten: a name of a class for a table."""
        target = shorten(self.classes[score.target])
        return f"for {target}", f"against {target}"

    def probability_text(self, p: Array, predicted: Array, shorten: Callable[[str], str]) -> str:
        """The probabilities (K,) of the most probable classes, three of more than two, in words."""
        top = [f"{shorten(self.classes[k])} {p[k]:.4f}" for k in np.argsort(-p, kind="stable")[:3]]
        return f"probabilities: {', '.join(top)}"

    @property
    def fall_text(self) -> str:
        """What comprehensiveness measures, in words."""
        return "probability of the prediction falls"

    @property
    def drop_text(self) -> str:
        """As `fall_text`, in the words of the card."""
        return "the drop of the predicted class's probability when the"

    def fall_number(self, value: float) -> str:
        """A comprehensiveness or sufficiency as it is printed."""
        return f"{value:.2f}"

    # What an evaluation shows of its rows

    @abstractmethod
    def row_scores(self, predicted: Array, truth: Array) -> Array:
        """The score of each row (n,), whose mean is shown by length of the input."""

    @abstractmethod
    def mistakes(self, logits: Array, predicted: Array, truth: Array) -> tuple[NDArray[np.bool_], Array]:
        """Which rows are predicted wrongly (n,), and how badly (n,): the probability of what is predicted, or the error
        of a number. The largest are shown first.
        """

    def reliability(self, logits: Array, truth: Array) -> tuple[float, tuple[Bin, ...]]:
        """The expected calibration error of logits (n, outputs), and its bins, see `Evaluation`. Raises InputError for
        numbers.
        """
        raise InputError("a regression model has no probabilities")

    def _check_names(self) -> None:
        """Raise InputError for names that are not of the label type."""
        if self.label_type != "str":
            self._converted()

    def _converted(self) -> list[Any]:
        """The classes in the labels' own type."""
        try:
            if self.label_type == "bool" and not set(self.classes) <= {"False", "True"}:
                raise ValueError
            return [_CONVERT[self.label_type](name) for name in self.classes]
        except ValueError:
            raise InputError(f"classes {quote(self.classes)} are not of type {self.label_type}") from None

    def _listed(self, most: int) -> str:
        """The names of the classes, the first `most` of many."""
        names = ", ".join(self.classes[:most])
        more = len(self.classes) - most
        return names + (f" and {more:,} more" if more > 0 else "")
