"""`StepTarget`: a prediction for each step of an input, such as the tags of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted
from gatewise.losses import Loss
from gatewise.ragged import Ragged, flat
from gatewise.target.base import Chosen, Column, Logits, Rivals, Target, TargetOf, Tensor, check_logits, check_rows
from gatewise.target.classification import ClassificationTarget
from gatewise.target.score import MeasuredValue, TargetScore
from gatewise.target.thresholds import Threshold
from gatewise.types import Array, Task

if TYPE_CHECKING:
    from gatewise.metrics import AnyEvaluation, Bin


@dataclass(frozen=True, repr=False)
class StepTarget(TargetOf[Ragged]):
    """of: the class of the target of one step. Logits, labels and probabilities of n inputs are `Ragged`; those of
    single steps, arrays (N, ...), are treated as rows of that target.
    """

    of: type[Target] = ClassificationTarget

    per_step: ClassVar[bool] = True
    row_noun: ClassVar[str] = "step"
    edit_verb: ClassVar[str] = "replaced"  # its place must stay: the prediction of a step goes with the step
    tokenization: ClassVar[str | None] = "spaces"  # the words that have labels
    label_separator: ClassVar[str] = " "  # as the words of the text have them

    @property
    def each(self) -> Target:
        return self.of(self.classes, self.label_type, self.thresholds)

    @property
    def task(self) -> Task:  # type: ignore[override]
        """A class per step is called tagging."""
        return "tagging" if self.of is ClassificationTarget else self.of.task

    @property
    def score_noun(self) -> str:  # type: ignore[override]
        return self.of.score_noun

    @property
    def has_probabilities(self) -> bool:  # type: ignore[override]
        return self.of.has_probabilities

    @property
    def outputs(self) -> int:
        return self.each.outputs

    @property
    def threshold_count(self) -> int:
        return self.of(self.classes).threshold_count

    @property
    def loss(self) -> Loss:  # type: ignore[override]
        return self.of.loss

    def encode(self, labels: Array) -> Array:
        return self.each.encode(labels)

    def correct(self, logits: Array, labels: Array) -> NDArray[np.bool_] | None:
        return self.each.correct(logits, labels)

    def check_labels(self, labels: Ragged, n: int) -> None:
        if not isinstance(labels, Ragged) or len(labels) != n:
            raise InputError(f"labels must be Ragged, with the steps of {n} inputs")
        self.each.check_labels(labels.values, len(labels.values))

    @classmethod
    def check_columns(cls) -> None:
        raise InputError("numeric and categorical columns are for one label per row, not for one per step")

    @classmethod
    def check_pooling(cls, pooling: str) -> None:
        if pooling != "none":
            raise InputError(f"tagging, a prediction for each step, needs pooling='none', not {pooling!r}")

    def refuse_steps(self, message: str) -> None:
        raise InputError(message)

    def rivals(self, counts: NDArray[np.int64], n: int) -> Rivals | None:
        """None: most steps are in no entity, and a rare class is no finding."""
        return None

    def labels_among(self, labels: Ragged, classes: Sequence[str], owner: str) -> Ragged:
        return labels.with_values(self.each.labels_among(labels.values, classes, owner))

    def logit_shift(self, class_weights: Array) -> Array:
        return self.each.logit_shift(class_weights)

    def balanced_weights(self, labels: Ragged) -> Array:
        return self.each.balanced_weights(flat(labels))

    def row_weights(self, weights: Array, labels: Ragged, class_weights: Array) -> Array:
        """Of each step (N,), for weights of the steps (N,)."""
        return self.each.row_weights(weights, flat(labels), class_weights)

    def check_threshold(self, threshold: Threshold) -> None:
        self.each.check_threshold(threshold)

    @property
    def chooses_by_cost(self) -> bool:  # type: ignore[override]
        return self.of.chooses_by_cost

    @property
    def given_count(self) -> int:
        return self.each.given_count

    def cost_thresholds(self, class_weights: Array) -> tuple[float, ...] | None:
        return self.each.cost_thresholds(class_weights)

    def f1_thresholds(self, p: Array, labels: Array, weight: Array, trained: Array, ratio: Array | None) -> Chosen:
        return self.each.f1_thresholds(p, labels, weight, trained, ratio)

    def strata(self, labels: Ragged) -> list[tuple[int, ...]]:
        """The classes of its steps."""
        return [tuple(np.unique(row).tolist()) for row in labels]

    def class_counts(self, labels: Ragged) -> NDArray[np.int64] | None:
        return self.each.class_counts(flat(labels))

    def has_class(self, labels: Ragged, k: int) -> NDArray[np.bool_]:
        """Which inputs have a step of the class."""
        return np.array([self.each.has_class(row, k).any() for row in labels], dtype=bool)

    def label_text(self, label: Array) -> str:
        return " ".join(self.each.label_text(step) for step in label)

    @property
    def column_classes(self) -> tuple[str, ...] | None:
        return self.each.column_classes

    def check_classes(self) -> None:
        self.each.check_classes()

    def predicted(self, logits: Array) -> Array:
        return self.each.predicted(logits)

    def values(self, logits: Logits) -> Any:
        return self._by_step(self.each.values, logits)

    def probabilities(self, logits: Logits) -> Any:
        return self._by_step(self.each.probabilities, logits)

    def decide(self, probabilities: Array) -> Array:
        return self.each.decide(probabilities)

    def decision(self, logits: Logits) -> Any:
        return self._by_step(self.each.decision, logits)

    def labels(self, logits: Logits) -> Any:
        """A list per input, with the label of each step in its own type; numbers, or tuples of several."""
        return [row.tolist() for row in self._by_step(self.each.labels, logits)]

    def undecided(self, probabilities: Array) -> NDArray[np.bool_]:
        return self.each.undecided(probabilities)

    @property
    def class_labels(self) -> Array:
        return self.each.class_labels

    def named(self, decided: Array, own: bool = False) -> list[Any]:
        return self.each.named(decided, own)

    def columns(self, logits: Ragged, *, every: bool, names: bool) -> dict[str, Column]:
        """Each value is a list, one entry per step."""
        of_steps = self.each.columns(logits.values, every=every, names=names)
        ends = np.cumsum(logits.lengths).tolist()
        starts = [0, *ends[:-1]]
        return {
            name: Column([column.values[a:b] for a, b in zip(starts, ends, strict=False)], column.kind, lists=True)
            for name, column in of_steps.items()
        }

    def record(self, predicted: Array, probabilities: Array | None) -> dict[str, Any]:
        return self.each.record(predicted, probabilities)

    def answers(self, values: Logits) -> list[dict[str, Any]]:
        if not isinstance(values, Ragged):  # single steps, of streams
            return self.each.answers(values)
        answers = []
        for of_input in values:
            columns = dict(zip(self.classes, of_input.T.tolist(), strict=True))
            answer: dict[str, Any] = {"values": columns}
            if self.has_probabilities:
                answer = {"labels": self.named(self.decide(of_input)), "probabilities": columns}
            answers.append(answer)
        return answers

    def tensors(self, values: Logits) -> dict[str, Tensor]:
        return {}

    def records(self, logits: Array) -> list[dict[str, Any]]:
        return self.each.records(logits)

    def text(self, predicted: Array) -> str:
        return self.each.text(predicted)

    def score_text(self, value: float) -> str:
        return self.each.score_text(value)

    def sum_text(self, value: float) -> str:
        return self.each.sum_text(value)

    def value_text(self, value: float) -> str:
        return self.each.value_text(value)

    def stored(self, value: float) -> float:
        return self.each.stored(value)

    def sentence(self, inputs: str, step_noun: str, most: int) -> str:
        return self.each.sentence(f"each {step_noun} of {inputs}", step_noun, most)

    @property
    def count_text(self) -> str:
        return self.each.count_text

    @property
    def classes_noun(self) -> str:
        return self.each.classes_noun

    def explained_step(self, labels: Callable[[], Sequence[str]]) -> int | None:
        """The first step whose class is not "O", which is that of no entity."""
        return next((step for step, label in enumerate(labels()) if label != "O"), 0)

    def score(self, logits: Array, target: int | None = None, against: int | None = None) -> TargetScore:
        return self.each.score(logits, target, against)

    def favours(self, predicted: Array, score: TargetScore) -> bool:
        return self.each.favours(predicted, score)

    def measured_value(self, logits: Array, of_nothing: Callable[[], Array]) -> MeasuredValue:
        return self.each.measured_value(logits, of_nothing)

    @property
    def is_measured(self) -> bool:
        """A number per step has no prediction for no step to compare with."""
        return self.has_probabilities

    def side_names(self, score: TargetScore, shorten: Callable[[str], str]) -> tuple[str, str]:
        return self.each.side_names(score, shorten)

    def probability_text(self, p: Array, predicted: Array, shorten: Callable[[str], str]) -> str:
        return self.each.probability_text(p, predicted, shorten)

    @property
    def fall_text(self) -> str:
        return self.each.fall_text

    @property
    def drop_text(self) -> str:
        return self.each.drop_text

    def fall_number(self, value: float) -> str:
        return self.each.fall_number(value)

    def label_list(self, predicted: Array) -> list[str] | None:
        return self.each.label_list(predicted)

    def number_list(self, predicted: Array) -> list[float] | None:
        return self.each.number_list(predicted)

    @property
    def row_score_name(self) -> str:  # type: ignore[override]
        """Of classes the accuracy over all steps."""
        return "step accuracy" if self.of is ClassificationTarget else self.of.row_score_name

    @property
    def mistakes_title(self) -> str:  # type: ignore[override]
        return self.of.mistakes_title

    row_score_is_share: ClassVar[bool] = False  # the mean over the steps of an input

    def row_scores(self, predicted: Array, truth: Array) -> Array:
        return self.each.row_scores(predicted, truth)

    def mistakes(self, logits: Array, predicted: Array, truth: Array) -> tuple[NDArray[np.bool_], Array]:
        return self.each.mistakes(logits, predicted, truth)

    def reliability(self, logits: Array, truth: Array) -> tuple[float, tuple[Bin, ...]]:
        return self.each.reliability(logits, truth)

    def evaluate(self, logits: Ragged, truth: Ragged, data: str) -> AnyEvaluation:
        from gatewise.metrics import Evaluation, TaggingEvaluation  # a prediction does without

        check_rows(truth)
        check_logits(logits)
        for row, (labels, steps) in enumerate(zip(truth.lengths.tolist(), logits.lengths.tolist(), strict=True)):
            if labels != steps:
                raise InputError(f"row {row}: {counted(labels, 'label')} for {counted(steps, 'step')}")
        found = self.each.evaluate(logits.values, truth.values, data)
        if not isinstance(found, Evaluation):
            return found
        return TaggingEvaluation.of_steps(found, self.predicted(logits.values), truth.values, truth.lengths.tolist())

    def _check_names(self) -> None:
        """The target of a step checks them."""
        _ = self.of(self.classes, self.label_type)

    def _by_step(self, of_rows: Any, logits: Logits) -> Any:
        """What a function of rows (N, ...) gives, by input where the logits are."""
        if isinstance(logits, Ragged):
            check_logits(logits)
            return logits.with_values(of_rows(logits.values))
        return of_rows(logits)
