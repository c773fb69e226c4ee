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

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, quote
from gatewise.ragged import Ragged, flat
from gatewise.target.classes import Classes
from gatewise.target.row import RowPrediction
from gatewise.types import Array, LabelType, Task

if TYPE_CHECKING:
    from gatewise.metrics import AnyEvaluation
    from gatewise.target.crf import Transitions
    from gatewise.target.scheme_transitions import Scheme
    from gatewise.target.score import TargetScore

Logits = Array | Ragged
"""(n, outputs), or per step Ragged with values (N, outputs)."""

Values = TypeVar("Values", bound=Logits)
"""What logits, labels and probabilities of n inputs are: an array with a row per input, or `Ragged`."""

EXPLANATION = ("tokens", "attributions", "attribution_target")
"""The columns of an explanation: what the network reads, the score of each, and what positive scores favour."""


class Column(NamedTuple):
    """Values (n,), None for a row without a prediction, and their type. lists: each value is a list of that type."""

    values: list[Any]
    kind: LabelType
    lists: bool = False


class Rivals(NamedTuple):
    """The rows that a rare class is compared with: how many, and which, in words."""

    rows: int
    name: str


class Tensor(NamedTuple):
    """A tensor of the Open Inference Protocol: its type, its shape and its values, flat."""

    datatype: str
    shape: list[int]
    data: list[Any]


class TargetOf(Classes, Generic[Values]):
    """What is predicted of n inputs; see `Classes` for the fields."""

    row_noun: ClassVar[str] = "row"
    """What one prediction is for."""
    per_step: ClassVar[bool] = False
    """Whether each step of an input has a prediction."""
    scheme: Scheme | None = None
    """The label scheme of the classes of steps."""
    edit_verb: ClassVar[str] = "deleted"
    """What the measure of faithfulness does with a step of an input."""
    labels_task: ClassVar[Task]
    """The task as which its labels are read: "classification", "multilabel", "regression" or "tagging"."""
    tokenizations: ClassVar[tuple[str, ...]] = ()
    """Those of texts whose tokens have the labels; empty: any."""
    label_separator: ClassVar[str] = "; "
    """Between several labels of an input, where they are one text."""
    strata_noun: ClassVar[str] = ""
    """What a split is stratified by, unless it is the class."""
    row_score_name: ClassVar[str] = "accuracy"
    """What an evaluation shows of each input, or of its steps."""
    row_score_is_share: ClassVar[bool] = True
    """Whether a prediction is right or wrong, so that its score is 0 or 1 and a mean of scores is a share."""

    def __repr__(self) -> str:
        # The fingerprint of a model hashes it.
        each = self.each
        return (
            f"Target(classes={self.classes!r}, task={each.task!r}, label_type={self.label_type!r}, "
            f"thresholds={self.thresholds!r})"
        )

    @property
    @abstractmethod
    def each(self) -> RowTarget:
        """The target of one row of logits: of one step for predictions per step, else this one."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Logits of the network."""

    # The labels of data, as `Labelled` holds them

    @abstractmethod
    def check_labels(self, labels: Values, n: int) -> None:
        """Raise InputError unless these are valid labels of n inputs."""

    def with_transitions(self, transitions: Transitions | None) -> Self:
        """This target with the scores of neighbouring labels, which those with a class per step take into account."""
        return self

    def with_scheme_of(self, labels: Values) -> Self:
        """This target with the label scheme that the labels follow, for those with a class per step."""
        return self

    def decided(self, logits: Values) -> Array:
        """The prediction of each row, or step (N, ...), see `RowTarget.predicted`."""
        return self.each.predicted(flat(logits))

    def score_of(self, logits: Array, predicted: Array) -> TargetScore:
        """The score of a prediction, of logits (outputs,): see `RowTarget.score`."""
        return self.each.score(logits)

    def marginal_logits(self, logits: Values) -> Values:
        """Logits of which each row alone has its probabilities: these logits, unless transitions connect the rows."""
        return logits

    def fingerprint_parts(self) -> list[bytes]:
        """What tells data of this task from others, for `Labelled.fingerprint`."""
        return [self.task.encode()]

    def named_as(self, other: Target) -> Target:
        """The target with the names of `other`, where its columns have default names and are as many."""
        return self

    def check_data(self, other: Target) -> None:
        """Raise InputError unless `other`, the target of a data set, has labels for a model of this one."""
        if other.task != self.task:
            raise InputError(f"the model was trained for {self.task}, and the labels of the data are for {other.task}")

    @abstractmethod
    def labels_among(self, labels: Values, classes: Sequence[str], owner: str) -> Values:
        """The labels with `classes` in place of its own: those of `owner`, for the message. Raises InputError for a
        class that is not among them, and for another number of numbers.
        """

    def balanced_weights(self, labels: Values) -> Array:
        """Weights of the classes (K,), or of a row with a label against a row without it, in inverse proportion to
        their rows. Raises InputError for numbers.
        """
        raise InputError("class_weight is for classes: a regression has none; use sample_weight")

    def loss_weight(self, sample_weight: Array, labels: Values, class_weights: Array) -> Array:
        """The sample_weight of each row (n,) times the weight of its class, or (n, K) times that of each label."""
        return sample_weight

    @abstractmethod
    def strata(self, labels: Values) -> list[tuple[int, ...]]:
        """What a split keeps in proportion: the strata of each row, such as its class."""

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

    # What fits the task

    @classmethod
    def check_columns(cls) -> None:
        """Raise InputError where further columns of a row cannot be read."""

    @classmethod
    def check_pooling(cls, pooling: str) -> None:
        """Raise InputError for a network without pooling, which has a prediction for each step."""
        if pooling == "none":
            raise InputError(f"{cls.task} needs another pooling than 'none', which is for tagging")

    def refuse_steps(self, message: str) -> None:
        """Raise InputError with the message where each step has a prediction."""

    # What a user gets

    @abstractmethod
    def probabilities(self, logits: Values) -> Values:
        """Probabilities (n, K) float64 from logits (n, outputs). Raises InputError for regression, and as
        `check_logits`.
        """

    def values(self, logits: Values) -> Values:
        """What is shown as a number per class (n, K): probabilities, or the predicted numbers."""
        return self.probabilities(logits)

    @abstractmethod
    def decision(self, logits: Values) -> Values:
        """Scores of classes and labels from logits (n, outputs), shifted by the thresholds: for two classes (n,), at
        least 0 where classes[1] is predicted; for "multilabel" (n, K), at least 0 where the label is predicted; for
        more classes (n, K), the largest for the predicted one. Raises InputError for regression.
        """

    @abstractmethod
    def labels(self, logits: Values) -> Any:
        """What `Model.predict` returns for logits (n, outputs): labels in their own type."""

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
    def answers(self, logits: Values) -> list[dict[str, Any]]:
        """The predictions of logits, as the HTTP API answers: `label` or `labels` with `probabilities`, `value`, or
        `values` by name; per step `labels` and lists of `probabilities`, or lists of `values`.
        """

    @abstractmethod
    def tensors(self, logits: Values) -> dict[str, Tensor]:
        """The predictions of logits (n, outputs) as tensors by name; none per step, which has no one shape."""

    @abstractmethod
    def sentence(self, inputs: str, step_noun: str, most: int) -> str:
        """What a model predicts from inputs, such as "texts", in one or two sentences, for the card; of many classes
        the first `most`.
        """

    # Explanation and evaluation

    def explained_step(self, labels: Callable[[], Sequence[str]]) -> int | None:
        """The step whose prediction is explained by default; None where an input has one prediction. labels: of the
        steps, in words.
        """
        return None

    @property
    def is_measured(self) -> bool:
        """Whether the faithfulness of attributions is measured."""
        return True

    @abstractmethod
    def evaluate(self, logits: Values, truth: Values, data: str) -> AnyEvaluation:
        """The evaluation of logits against labels, as `Labelled` holds them. data: the data set in one line. Raises
        InputError without a label, for logits that are not finite, and for another number of labels than steps.
        """


class RowTarget(RowPrediction, TargetOf[Array]):
    """A target with one prediction per input: each input is one row of logits."""

    @property
    def each(self) -> RowTarget:
        return self

    def optional_probabilities(self, logits: Array) -> Array | None:
        """`probabilities`, or None where there are none."""
        return self.probabilities(logits) if self.has_probabilities else None


Target: TypeAlias = TargetOf[Any]
"""The target of any task."""


def check_logits(logits: Logits) -> None:
    """Raise InputError, naming the first input, unless all logits (n, outputs) are finite. Finite weights can overflow:
    a softmax of an infinite logit is NaN, which is no prediction.
    """
    finite = np.isfinite(flat(logits))
    if finite.all():
        return
    row = int(np.flatnonzero(~finite.all(axis=1))[0])
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
