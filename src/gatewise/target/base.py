"""`Target`: what a model predicts. Each task has a class of its own; this one has what they share.

task            class                  outputs                        probabilities        labels
classification  ClassificationTarget   1 for two classes, else K      softmax (n, K)       (n,), the predicted class
multilabel      MultilabelTarget       K, one logit per label         sigmoid (n, K)       (n,) tuples of labels
regression      RegressionTarget       M, the numbers themselves      none                 (n,) float64 or (n, M)
per step        StepTarget             as one of these, per step      as these, per step   lists, one entry per step

A target owns the loss, the decision, the columns of an output, the JSON, the evaluation and the words for these.
Nothing else asks for the task.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted, quote
from gatewise.losses import Loss
from gatewise.ragged import Ragged, flat
from gatewise.target.score import MeasuredValue, TargetScore
from gatewise.target.thresholds import Threshold
from gatewise.types import Array, LabelType, Task

if TYPE_CHECKING:
    from gatewise.metrics import AnyEvaluation, Bin

Logits = Array | Ragged
"""(n, outputs), or per step Ragged with values (N, outputs)."""

Values = TypeVar("Values", bound=Logits)
"""What logits, labels and probabilities of n inputs are: an array with a row per input, or `Ragged`."""

EXPLANATION = ("tokens", "attributions", "attribution_target")
"""The columns of an explanation: what the network reads, the score of each, and what positive scores favour."""

_CONVERT: dict[LabelType, Callable[[str], Any]] = {"str": str, "int": int, "float": float, "bool": "True".__eq__}


class Column(NamedTuple):
    """Values (n,), None for a row without a prediction, and their type. lists: each value is a list of that type."""

    values: list[Any]
    kind: LabelType
    lists: bool = False


class Chosen(NamedTuple):
    """Thresholds, and a line about them."""

    thresholds: tuple[float, ...]
    line: str


class Rivals(NamedTuple):
    """The rows that a rare class is compared with: how many, and which, in words."""

    rows: int
    name: str


class Tensor(NamedTuple):
    """A tensor of the Open Inference Protocol: its type, its shape and its values, flat."""

    datatype: str
    shape: list[int]
    data: list[Any]


@dataclass(frozen=True, repr=False)
class TargetOf(ABC, Generic[Values]):
    """What is predicted.

    classes: the names of the K classes or labels, or for regression of the M numbers. label_type: the type of the
    user's labels, whose string form the names are. thresholds: the least probability at which a label is predicted,
    one per class for "multilabel", one for classes[1] of two classes; empty: 0.5. With more classes one per class: the
    predicted class has the largest ratio of probability to threshold. Raises InputError for other values.
    """

    classes: tuple[str, ...]
    label_type: LabelType = "str"
    thresholds: tuple[float, ...] = ()

    task: ClassVar[Task]
    """Its name."""
    loss: ClassVar[Loss]
    """Of logits (n, outputs) against what `encode` makes of labels."""
    score_noun: ClassVar[str] = "logit"
    """What an explanation divides among the steps."""
    row_noun: ClassVar[str] = "row"
    """What one prediction is for."""
    has_probabilities: ClassVar[bool] = True
    per_step: ClassVar[bool] = False
    """Whether each step of an input has a prediction."""
    edit_verb: ClassVar[str] = "deleted"
    """What the measure of faithfulness does with a step of an input."""
    tokenization: ClassVar[str | None] = None
    """That of texts which the labels need; None: any."""
    label_separator: ClassVar[str] = "; "
    """Between several labels of an input, where they are one text."""

    def __post_init__(self) -> None:
        if self.label_type not in get_args(LabelType):
            raise InputError(
                f"label_type must be one of {', '.join(get_args(LabelType))}, not {quote(self.label_type)}"
            )
        names = self.classes
        if len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
            raise InputError(f"classes must be distinct names, none empty; got {quote(names)}")
        self._check_names()
        if self.thresholds and len(self.thresholds) != self.threshold_count:
            raise InputError(
                f"there must be {self.threshold_count} thresholds for {self.task} with {len(names)} classes"
            )
        if not all(math.isfinite(threshold) and 0 <= threshold <= 1 for threshold in self.thresholds):
            raise InputError("a threshold must be from 0 to 1")

    def __repr__(self) -> str:
        # The fingerprint of a model hashes it.
        each = self.each
        return (
            f"Target(classes={self.classes!r}, task={each.task!r}, label_type={self.label_type!r}, "
            f"thresholds={self.thresholds!r})"
        )

    @property
    def each(self) -> Target:
        """The target of one row of logits: of one step for predictions per step, else this one."""
        return self

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

    # The labels of data, as `Labelled` holds them

    @abstractmethod
    def check_labels(self, labels: Values, n: int) -> None:
        """Raise InputError unless these are valid labels of n inputs."""

    def fingerprint_parts(self) -> list[bytes]:
        """What tells data of this task from others, for `Labelled.fingerprint`."""
        return [self.task.encode()]

    def check_data(self, other: Target) -> None:
        """Raise InputError unless `other`, the target of a data set, has labels for a model of this one."""
        if other.task != self.task:
            raise InputError(f"the model was trained for {self.task}, and the labels of the data are for {other.task}")

    @classmethod
    def check_columns(cls) -> None:
        """Raise InputError where further columns of a row cannot be read."""

    @classmethod
    def check_pooling(cls, pooling: str) -> None:
        """Raise InputError for a network without pooling, which has a prediction for each step."""
        if pooling == "none":
            raise InputError(f"pooling='none' is for tagging, a prediction for each step; {cls.task} needs another one")

    def refuse_steps(self, message: str) -> None:
        """Raise InputError with the message where each step has a prediction."""

    @abstractmethod
    def labels_among(self, labels: Values, classes: Sequence[str], owner: str) -> Values:
        """The labels with `classes` in place of its own: those of `owner`, for the message. Raises InputError for a
        class that is not among them, and for another number of numbers.
        """

    def logit_shift(self, class_weights: Array) -> Array:
        """What weights of the classes (K,) in the loss add to the logits (outputs,)."""
        return np.asarray(np.log(class_weights))

    def balanced_weights(self, labels: Values) -> Array:
        """Weights of the classes (K,), or of a row with a label against a row without it, in inverse proportion to
        their rows. Raises InputError for numbers.
        """
        raise InputError("class_weight is for classes: a regression has none; use sample_weight")

    def row_weights(self, weights: Array, labels: Values, class_weights: Array) -> Array:
        """The weight of each row (n,), or of each label of a row (n, K), times that of its class."""
        return weights

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

    chooses_by_cost: ClassVar[bool] = True
    """Whether thresholds are chosen by default only where classes have weights."""

    def f1_thresholds(self, p: Array, labels: Array, weight: Array, trained: Array, ratio: Array | None) -> Chosen:
        """The thresholds of the best F1 on rows that were held out, from probabilities (n, K), labels and weights (n,).
        trained: class counts (K,) of the training rows; ratio: weights of the classes (K,), None for balanced ones.
        """
        raise InputError("a threshold is for classes: a regression has none")

    @abstractmethod
    def strata(self, labels: Values) -> list[tuple[int, ...]]:
        """What a split keeps in proportion: the strata of each row, such as its class."""

    strata_noun: ClassVar[str] = ""
    """What a split is stratified by, unless it is the class."""

    def class_counts(self, labels: Values) -> NDArray[np.int64] | None:
        """How many rows, or steps, have each class or label (K,); None for numbers."""
        return None

    def rivals(self, counts: NDArray[np.int64], n: int) -> Rivals | None:
        """What the rarest class is compared with, of class counts (K,) of n rows; None where a rare class is usual."""
        return Rivals(int(counts.max()), f"of {quote(self.classes[int(counts.argmax())], 40)}")

    def has_class(self, labels: Values, k: int) -> NDArray[np.bool_]:
        """Which rows have class or label k (n,); all rows have a number."""
        return np.ones(len(labels), dtype=bool)

    def number_summary(self, labels: Values) -> dict[str, dict[str, float]]:
        """Smallest, mean and largest value of each number, by name; empty for classes."""
        return {}

    @abstractmethod
    def label_text(self, label: Array) -> str:
        """The label of one row in words."""

    @property
    def column_classes(self) -> tuple[str, ...] | None:
        """The names of the columns that labels may come in; None where each row has one name."""
        return self.classes

    least_classes: ClassVar[int] = 0
    """Of a model. Data of fewer can be evaluated."""

    def check_classes(self) -> None:
        """Raise InputError for fewer classes than `least_classes`."""
        if len(self.classes) < self.least_classes:
            what = f"one class, {quote(self.classes[0])}" if self.classes else "none"
            raise InputError(f"a classifier needs at least two classes; got {what}")

    # What a user gets

    @abstractmethod
    def predicted(self, logits: Array) -> Array:
        """From logits (n, outputs): class indices (n,) int64, 0 or 1 (n, K) int64, or numbers (n, M) float64. Errors as
        `check_logits`.
        """

    @abstractmethod
    def probabilities(self, logits: Values) -> Values:
        """Probabilities (n, K) float64 from logits (n, outputs). Raises InputError for regression, and as
        `check_logits`.
        """

    @abstractmethod
    def decide(self, probabilities: Array) -> Array:
        """The decision for probabilities (n, K): class indices (n,) int64, or 0 or 1 (n, K) int64."""

    @abstractmethod
    def decision(self, logits: Values) -> Values:
        """Scores of classes and labels from logits (n, outputs), shifted by the thresholds: for two classes (n,), at
        least 0 where classes[1] is predicted; for "multilabel" (n, K), at least 0 where the label is predicted; for
        more classes (n, K), the largest for the predicted one. Raises InputError for regression.
        """

    @abstractmethod
    def labels(self, logits: Values) -> Any:
        """What `Model.predict` returns for logits (n, outputs): labels in their own type."""

    def undecided(self, probabilities: Array) -> NDArray[np.bool_]:
        """Whether the probabilities (n, K) of two classes are within 0.05 of the threshold: (n,). Others never are."""
        return np.zeros(len(probabilities), dtype=bool)

    def optional_probabilities(self, logits: Array) -> Array | None:
        """`probabilities`, or None where there are none."""
        return self.each.probabilities(logits) if self.has_probabilities else None

    def values(self, logits: Values) -> Values:
        """What is shown as a number per class (n, K): probabilities, or the predicted numbers."""
        return self.probabilities(logits)

    @property
    def class_labels(self) -> Array:
        """The classes (K,) in the labels' own type, an array of str, int64 (of larger numbers uint64, else object),
        float64 or bool; the names of numbers.
        """
        if self.label_type != "int" or not self.classes:
            return np.array(self._converted())
        numbers = self._converted()
        kinds = [(np.int64, -(2**63), 2**63), (np.uint64, 0, 2**64), (object, -math.inf, math.inf)]
        return np.array(numbers, next(kind for kind, low, end in kinds if low <= min(numbers) and max(numbers) < end))

    def named(self, decided: Array, own: bool = False) -> list[Any]:
        """What `decide` returns by name: a class (n), or for "multilabel" the list of the labels (n). own: labels in
        their own type, not their names.
        """
        classes: Sequence[Any] = self.class_labels.tolist() if own else self.classes
        return [classes[k] for k in decided.tolist()]

    def unknown_names(self, names: Iterable[str]) -> list[str]:
        """The names that no class has, sorted; none for numbers."""
        return sorted(set(names) - set(self.classes))

    def index(self, label: Any) -> int:
        """The index of a class, label or number, given as a label or by its name. Raises InputError for another one."""
        name = str(label.item() if isinstance(label, np.generic) else label)
        if name not in self.classes:
            known = ", ".join(map(quote, self.classes[:20])) + (", ..." if len(self.classes) > 20 else "")
            raise InputError(f"there is no class {quote(name)}; the classes are {known}")
        return self.classes.index(name)

    # Tables and JSON

    @abstractmethod
    def columns(self, logits: Values, *, every: bool, names: bool) -> dict[str, Column]:
        """The columns of logits (n, outputs) by name: label and probability; prediction for a regression.

        every: in place of probability, that of the label, a column per class, probability_NAME. names: labels are the
        names of the classes, not values of the labels' own type. The labels of a multi-label row are a list. A
        regression of several numbers has a column prediction_NAME for each. Per step each value is a list.
        """

    def column_names(self, every: bool) -> list[str]:
        """The names of `columns`."""
        return list(self.each.columns(np.zeros((0, self.outputs)), every=every, names=True))

    @abstractmethod
    def record(self, predicted: Array, probabilities: Array | None) -> dict[str, Any]:
        """One prediction as plain data, for JSON. classification: `prediction`, a class, and `probabilities` by class.
        multilabel: a list of labels, and the probabilities. regression: one number, or the numbers by name.
        """

    @abstractmethod
    def answers(self, values: Values) -> list[dict[str, Any]]:
        """The predictions of `values`, as the HTTP API answers: `label` or `labels` with `probabilities`, `value`, or
        `values` by name; per step `labels` and lists of `probabilities`, or lists of `values`.
        """

    @abstractmethod
    def tensors(self, values: Values) -> dict[str, Tensor]:
        """The predictions of `values` (n, K) as tensors by name; none per step, which has no one shape."""

    @abstractmethod
    def records(self, logits: Array) -> list[dict[str, Any]]:
        """One object per row of logits (n, outputs), for JSON lines: label (multi-label: labels) and probabilities; for
        numbers the prediction by name.
        """

    # Words

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

    @abstractmethod
    def sentence(self, inputs: str, step_noun: str, most: int) -> str:
        """What a model predicts from inputs, such as "texts", in one or two sentences, for the card; of many classes
        the first `most`.
        """

    @property
    def description(self) -> str:
        """The task in words, for titles."""
        return self.task

    @property
    def count_text(self) -> str:
        """How many classes or labels there are, in words; "" for numbers."""
        return counted(len(self.classes), "class", "classes")

    @property
    def classes_noun(self) -> str:
        """What `classes` are."""
        return "classes"

    # Explanation and evaluation

    def explained_step(self, labels: Callable[[], Sequence[str]]) -> int | None:
        """The step whose prediction is explained by default; None where an input has one prediction. labels: of the
        steps, in words.
        """
        return None

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

    @property
    def is_measured(self) -> bool:
        """Whether the faithfulness of attributions is measured."""
        return True

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

    def label_list(self, predicted: Array) -> list[str] | None:
        """The labels of a multi-label prediction."""
        return None

    def number_list(self, predicted: Array) -> list[float] | None:
        """The numbers of a prediction of numbers."""
        return None

    # What an evaluation shows of its rows

    row_score_name: ClassVar[str] = "accuracy"
    row_score_is_share: ClassVar[bool] = True
    """Whether a prediction is right or wrong, so that its score is 0 or 1 and a mean of scores is a share."""
    mistakes_title: ClassVar[str] = "Most confident mistakes"

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

    @abstractmethod
    def evaluate(self, logits: Values, truth: Values, data: str) -> AnyEvaluation:
        """The evaluation of logits against labels, as `Labelled` holds them. data: the data set in one line. Raises
        InputError without a label, for logits that are not finite, and for another number of labels than steps.
        """

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


Target: TypeAlias = TargetOf[Any]
"""The target of any task."""


def check_logits(logits: Logits) -> None:
    """Raise InputError, naming the first input, unless all logits (n, outputs) are finite. Finite weights can overflow:
    a softmax of an infinite logit is NaN, which is no prediction.
    """
    finite = np.isfinite(flat(logits)).all(axis=1)
    if finite.all():
        return
    row = int(np.flatnonzero(~finite)[0])
    if isinstance(logits, Ragged):
        row = logits.place(row)[0]
    raise InputError(f"row {row}: the model overflows: a logit is not finite")


def check_rows(truth: Logits) -> None:
    """Raise InputError without a label."""
    if not len(truth):
        raise InputError("cannot evaluate: the data set is empty")


def float_tensor(values: Array) -> Tensor:
    """The values (n, K) as a tensor."""
    return Tensor("FP64", list(values.shape), values.ravel().tolist())
