"""`StepTarget`: a prediction for each step of an input, such as the tags of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted
from gatewise.ragged import Ragged, flat
from gatewise.target.base import Column, Logits, Rivals, RowTarget, TargetOf, Tensor, check_logits, check_rows
from gatewise.target.classification import ClassificationTarget
from gatewise.types import Array, Task

if TYPE_CHECKING:
    from gatewise.metrics import AnyEvaluation


@dataclass(frozen=True, repr=False)
class StepTarget(TargetOf[Ragged]):
    """of: the class of the target of one step. Logits, labels and probabilities of n inputs are `Ragged`; those of
    single steps, arrays (N, ...), are treated as rows of that target.
    """

    of: type[RowTarget] = ClassificationTarget

    labels_task: ClassVar[Task] = "tagging"
    per_step: ClassVar[bool] = True
    row_noun: ClassVar[str] = "step"
    edit_verb: ClassVar[str] = "replaced"  # its place must stay: the prediction of a step goes with the step
    tokenization: ClassVar[str | None] = "spaces"  # the words that have labels
    label_separator: ClassVar[str] = " "  # as the words of the text have them
    row_score_is_share: ClassVar[bool] = False  # the mean over the steps of an input

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.each  # which checks the names and the thresholds

    @cached_property
    def each(self) -> RowTarget:
        """The target of one step."""
        return self.of(self.classes, self.label_type, self.thresholds)

    @property
    def outputs(self) -> int:
        return self.each.outputs

    @property
    def task(self) -> Task:  # type: ignore[override]
        """A class per step is called tagging."""
        if self.of is ClassificationTarget:
            return "tagging"
        return self.of.task

    @property
    def row_score_name(self) -> str:  # type: ignore[override]
        """Of classes the accuracy over all steps."""
        if self.of is ClassificationTarget:
            return "step accuracy"
        return self.of.row_score_name

    # The labels of data

    def check_labels(self, labels: Ragged, n: int) -> None:
        if not isinstance(labels, Ragged) or len(labels) != n:
            raise InputError(f"labels must be Ragged, with the steps of {n} inputs")
        self.each.check_labels(labels.values, len(labels.values))

    def labels_among(self, labels: Ragged, classes: Sequence[str], owner: str) -> Ragged:
        return labels.with_values(self.each.labels_among(labels.values, classes, owner))

    def balanced_weights(self, labels: Ragged) -> Array:
        return self.each.balanced_weights(flat(labels))

    def loss_weight(self, sample_weight: Array, labels: Ragged, class_weights: Array) -> Array:
        """Of each step (N,), for weights of the steps (N,)."""
        return self.each.loss_weight(sample_weight, flat(labels), class_weights)

    def strata(self, labels: Ragged) -> list[tuple[int, ...]]:
        """The classes of its steps."""
        return [tuple(np.unique(row).tolist()) for row in labels]

    def class_counts(self, labels: Ragged) -> NDArray[np.int64] | None:
        return self.each.class_counts(flat(labels))

    def rivals(self, counts: NDArray[np.int64], n: int) -> Rivals | None:
        """None: most steps are in no entity, and a rare class is no finding."""
        return None

    def has_class(self, labels: Ragged, k: int) -> NDArray[np.bool_]:
        """Which inputs have a step of the class."""
        return np.array([self.each.has_class(row, k).any() for row in labels], dtype=bool)

    def label_text(self, label: Array) -> str:
        return " ".join(self.each.label_text(step) for step in label)

    # What fits the task

    @classmethod
    def check_columns(cls) -> None:
        raise InputError("numeric and categorical columns are for one label per row, not for one per step")

    @classmethod
    def check_pooling(cls, pooling: str) -> None:
        if pooling != "none":
            raise InputError(f"tagging needs pooling='none', not {pooling!r}: each step has a prediction")

    def refuse_steps(self, message: str) -> None:
        raise InputError(message)

    # What a user gets

    def values(self, logits: Logits) -> Any:
        return self._by_step(self.each.values, logits)

    def probabilities(self, logits: Logits) -> Any:
        return self._by_step(self.each.probabilities, logits)

    def decision(self, logits: Logits) -> Any:
        return self._by_step(self.each.decision, logits)

    def labels(self, logits: Logits) -> Any:
        """A list per input, with the label of each step in its own type; numbers, or tuples of several."""
        return [row.tolist() for row in self._by_step(self.each.labels, logits)]

    def columns(self, logits: Ragged, *, every: bool, names: bool) -> dict[str, Column]:
        """Each value is a list, one entry per step."""
        of_steps = self.each.columns(logits.values, every=every, names=names)
        ends = np.cumsum(logits.lengths).tolist()
        starts = [0, *ends[:-1]]
        return {
            name: Column([column.values[a:b] for a, b in zip(starts, ends, strict=False)], column.kind, lists=True)
            for name, column in of_steps.items()
        }

    def answers(self, values: Logits) -> list[dict[str, Any]]:
        each = self.each
        if not isinstance(values, Ragged):  # single steps, of streams
            return each.answers(values)
        answers = []
        for of_input in values:
            columns = dict(zip(self.classes, of_input.T.tolist(), strict=True))
            answer: dict[str, Any] = {"values": columns}
            if each.has_probabilities:
                answer = {"labels": each.named(each.decide(of_input)), "probabilities": columns}
            answers.append(answer)
        return answers

    def tensors(self, values: Logits) -> dict[str, Tensor]:
        """None: the steps of several inputs have no one shape."""
        return {}

    def sentence(self, inputs: str, step_noun: str, most: int) -> str:
        return self.each.sentence(f"each {step_noun} of {inputs}", step_noun, most)

    # Explanation and evaluation

    def explained_step(self, labels: Callable[[], Sequence[str]]) -> int | None:
        """The first step whose class is not "O", which is that of no entity."""
        return next((step for step, label in enumerate(labels()) if label != "O"), 0)

    @property
    def is_measured(self) -> bool:
        """A number per step has no prediction for no step to compare with."""
        return self.each.has_probabilities

    def evaluate(self, logits: Ragged, truth: Ragged, data: str) -> AnyEvaluation:
        from gatewise.metrics import Evaluation, TaggingEvaluation  # a prediction does without

        check_rows(truth)
        check_logits(logits)
        for row, (labels, steps) in enumerate(zip(truth.lengths.tolist(), logits.lengths.tolist(), strict=True)):
            if labels != steps:
                raise InputError(f"row {row}: {counted(labels, 'label')} for {counted(steps, 'step')}")
        of_steps = self.each.evaluate(logits.values, truth.values, data)
        if not isinstance(of_steps, Evaluation):
            return of_steps
        predicted = self.each.predicted(logits.values)
        return TaggingEvaluation.of_steps(of_steps, predicted, truth.values, truth.lengths.tolist())

    def _by_step(self, of_rows: Callable[[Array], Any], logits: Logits) -> Any:
        """What a function of rows (N, ...) gives, by input where the logits are."""
        if not isinstance(logits, Ragged):
            return of_rows(logits)
        check_logits(logits)
        return logits.with_values(of_rows(logits.values))
