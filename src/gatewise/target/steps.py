"""`StepTarget`: a prediction for each step of an input, such as the tags of words.

With transitions (`gatewise.target.crf`) the classes of the steps of an input depend on one another: the probabilities
of a step are its marginals, and the labels are those of the most probable sequence. Thresholds decide by marginals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted
from gatewise.losses import log_probabilities
from gatewise.ragged import Ragged, flat
from gatewise.target.base import Column, Logits, Rivals, RowTarget, TargetOf, Tensor, check_logits, check_rows
from gatewise.target.classification import ClassificationTarget
from gatewise.target.crf import Transitions, log_marginals, viterbi
from gatewise.target.scheme_transitions import (
    Scheme,
    is_label_of,
    reaches_every_length,
    scheme_transitions,
)
from gatewise.target.score import TargetScore
from gatewise.types import Array, Task

if TYPE_CHECKING:
    from gatewise.metrics import AnyEvaluation

_LEAST_LOG = -700.0  # of a marginal, so that a label that cannot be has a finite logit


@dataclass(frozen=True, repr=False)
class StepTarget(TargetOf[Ragged]):
    """of: the class of the target of one step. Logits, labels and probabilities of n inputs are `Ragged`; those of
    single steps, arrays (N, ...), are treated as rows of that target, without transitions.
    """

    of: type[RowTarget] = ClassificationTarget
    transitions: Transitions | None = field(default=None, compare=False)
    """Scores of neighbouring labels; None where the steps are independent. The ensemble sets them, from its members."""
    scheme: Scheme | None = field(default=None, compare=False)
    """The label scheme of the training data, None where they follow none. The transitions that it forbids are -inf
    (`gatewise.target.scheme_transitions`).
    """

    labels_task: ClassVar[Task] = "tagging"
    per_step: ClassVar[bool] = True
    row_noun: ClassVar[str] = "step"
    edit_verb: ClassVar[str] = "replaced"  # its place must stay: the prediction of a step goes with the step
    tokenizations: ClassVar[tuple[str, ...]] = ("spaces", "word-features")  # of the words that have labels
    label_separator: ClassVar[str] = " "  # as the words of the text have them
    row_score_is_share: ClassVar[bool] = False  # the mean over the steps of an input

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.each  # which checks the names and the thresholds
        if self.scheme is not None and not reaches_every_length(scheme_transitions(self.scheme, self.classes)):
            raise InputError(f"scheme: no class of {self.scheme} stands alone, so that some lengths have no labels")
        if self.transitions is not None and len(self.transitions) != len(self.classes):
            raise InputError(f"transitions of {len(self.transitions)} labels, and there are {len(self.classes)}")

    def __repr__(self) -> str:
        scheme = "" if self.scheme is None else f" in {self.scheme}"
        return super().__repr__() + scheme  # the fingerprint of a model hashes it

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

    def with_transitions(self, transitions: Transitions | None) -> Self:
        """With those that the label scheme forbids at -inf."""
        if transitions is not None and self.scheme is not None:
            transitions = transitions + scheme_transitions(self.scheme, self.classes)
        return replace(self, transitions=transitions)

    def with_scheme_of(self, labels: Ragged) -> Self:
        """None where they follow no scheme, and where the scheme has no labels for some number of steps, as BIOES
        without O and S has none for one step.
        """
        from gatewise.target.label_schemes import scheme_of  # a prediction does without the metrics

        if self.of is not ClassificationTarget:
            return self
        names = np.array(self.classes, dtype=object)
        scheme = scheme_of(names[row].tolist() for row in labels)
        # A class that these labels do not have may be one of another scheme.
        if scheme is None or not all(is_label_of(scheme, name) for name in self.classes):
            return replace(self, scheme=None)
        if not reaches_every_length(scheme_transitions(scheme, self.classes)):
            return replace(self, scheme=None)
        return replace(self, scheme=scheme)

    # Labels that depend on one another

    def emissions(self, logits: Ragged) -> Ragged:
        """The score of each class at each step (N, K) float64. One logit is that of class 1 against class 0."""
        values = logits.values.astype(np.float64)
        if values.shape[1] == 1:
            values = np.concatenate([np.zeros_like(values), values], axis=1)
        return logits.with_values(values)

    def marginal_logits(self, logits: Logits) -> Any:
        """Logits whose probabilities, step by step, are the marginals: without transitions the logits themselves."""
        if self.transitions is None or not isinstance(logits, Ragged):
            return logits
        check_logits(logits)
        log_p = np.maximum(log_marginals(self.emissions(logits), self.transitions), _LEAST_LOG)
        if logits.values.shape[1] == 1:
            log_p = log_p[:, 1:] - log_p[:, :1]
        return logits.with_values(log_p)

    def decided(self, logits: Logits) -> Array:
        """The class (N,) of each step: of the most probable sequence, or by thresholds that of the marginals."""
        if self.transitions is None or self.thresholds or not isinstance(logits, Ragged):
            return self.each.predicted(flat(self.marginal_logits(logits)))
        check_logits(logits)
        return viterbi(self.emissions(logits), self.transitions)

    def score_of(self, logits: Array, predicted: Array) -> TargetScore:
        # With transitions the predicted class is not always that of the largest logit.
        if self.transitions is None or self.outputs == 1:
            return self.each.score(logits)
        return self.each.score(logits, int(predicted))

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
        return self._by_step(self.each.values, self.marginal_logits(logits))

    def probabilities(self, logits: Logits) -> Any:
        return self._by_step(self.each.probabilities, self.marginal_logits(logits))

    def decision(self, logits: Logits) -> Any:
        return self._by_step(self.each.decision, self.marginal_logits(logits))

    def labels(self, logits: Logits) -> Any:
        """A list per input, with the label of each step in its own type; numbers, or tuples of several."""
        if self.transitions is None or not isinstance(logits, Ragged):
            return [row.tolist() for row in self._by_step(self.each.labels, logits)]
        labels = logits.with_values(self.each.class_labels[self.decided(logits)])
        return [row.tolist() for row in labels]

    def columns(self, logits: Ragged, *, every: bool, names: bool) -> dict[str, Column]:
        """Each value is a list, one entry per step."""
        of_steps = self._columns_of_steps(logits, every=every, names=names)
        ends = np.cumsum(logits.lengths).tolist()
        starts = [0, *ends[:-1]]
        return {
            name: Column([column.values[a:b] for a, b in zip(starts, ends, strict=False)], column.kind, lists=True)
            for name, column in of_steps.items()
        }

    def _columns_of_steps(self, logits: Ragged, *, every: bool, names: bool) -> dict[str, Column]:
        """The columns of all steps."""
        each = self.each
        marginals = flat(self.marginal_logits(logits))
        columns = each.columns(marginals, every=every, names=names)
        if self.transitions is None:
            return columns
        predicted = self.decided(logits)
        columns["label"] = columns["label"]._replace(values=each.named(predicted, own=not names))
        if "probability" in columns:
            probabilities = each.probabilities(marginals)
            of_label = probabilities[np.arange(len(predicted)), predicted]
            columns["probability"] = columns["probability"]._replace(values=of_label.tolist())
        return columns

    def answers(self, logits: Logits) -> list[dict[str, Any]]:
        each = self.each
        if not isinstance(logits, Ragged):  # single steps, of streams
            return each.answers(logits)
        answers: list[dict[str, Any]] = []
        values = self.values(logits)
        labels: Any = [None] * len(logits)
        if each.has_probabilities:
            labels = logits.with_values(self.decided(logits))
        for of_input, predicted in zip(values, labels, strict=True):
            columns = dict(zip(self.classes, of_input.T.tolist(), strict=True))
            if predicted is None:
                answers.append({"values": columns})
            else:
                answers.append({"labels": each.named(predicted), "probabilities": columns})
        return answers

    def tensors(self, logits: Logits) -> dict[str, Tensor]:
        """None: the steps of several inputs have no one shape."""
        return {}

    def sentence(self, inputs: str, step_noun: str, most: int) -> str:
        sentence = self.each.sentence(f"each {step_noun} of {inputs}", step_noun, most)
        if self.scheme is None or self.transitions is None or self.thresholds:
            return sentence
        return f"{sentence} The labels follow {self.scheme}, and no prediction breaks it."

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
        of_steps = self._evaluate_steps(logits, truth, data)
        if not isinstance(of_steps, Evaluation):
            return of_steps
        predicted = self.decided(logits)
        return TaggingEvaluation.of_steps(of_steps, predicted, truth.values, truth.lengths.tolist())

    def _evaluate_steps(self, logits: Ragged, truth: Ragged, data: str) -> AnyEvaluation:
        """The evaluation of all steps."""
        if self.transitions is None:
            return self.each.evaluate(logits.values, truth.values, data)
        from gatewise.metrics import Evaluation

        log_p = log_probabilities(flat(self.marginal_logits(logits)))
        return Evaluation.of(log_p, truth.values, self.classes, data, self.decided(logits))

    def _by_step(self, of_rows: Callable[[Array], Any], logits: Logits) -> Any:
        """What a function of rows (N, ...) gives, by input where the logits are."""
        if not isinstance(logits, Ragged):
            return of_rows(logits)
        check_logits(logits)
        return logits.with_values(of_rows(logits.values))
