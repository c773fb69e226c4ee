"""`MultilabelTarget`: any number of K labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted
from gatewise.losses import BINARY_CROSS_ENTROPY, Loss, sigmoid
from gatewise.target.base import Column, Rivals, RowTarget, Target, Tensor, check_logits, check_rows, float_tensor
from gatewise.target.classification import class_columns, labelled_records
from gatewise.target.names import check_array, class_places
from gatewise.target.row import Chosen
from gatewise.target.score import MeasuredValue, TargetScore
from gatewise.target.thresholds import Threshold, best_threshold, check_f1
from gatewise.types import Array, Task

if TYPE_CHECKING:
    from gatewise.metrics import Bin, MultilabelEvaluation


def label_names(count: int) -> tuple[str, ...]:
    """The names of so many columns of labels that have no names."""
    return tuple(str(k) for k in range(count))


class MultilabelTarget(RowTarget):
    """For each of K labels whether it is there, by a logit of its own."""

    task: ClassVar[Task] = "multilabel"
    labels_task: ClassVar[Task] = "multilabel"
    loss: ClassVar[Loss] = BINARY_CROSS_ENTROPY
    chooses_by_cost: ClassVar[bool] = False
    strata_noun: ClassVar[str] = "label"
    row_score_name: ClassVar[str] = "subset accuracy"

    @property
    def threshold_count(self) -> int:
        return len(self.classes)

    def named_as(self, other: Target) -> Target:
        unnamed = self.label_type == "int" and self.classes == label_names(len(self.classes))
        if unnamed and isinstance(other, MultilabelTarget) and len(other.classes) == len(self.classes):
            return replace(self, classes=other.classes, label_type=other.label_type)
        return self

    def encode(self, labels: Array) -> Array:
        return labels.astype(np.float64)

    def correct(self, logits: Array, labels: Array) -> NDArray[np.bool_] | None:
        """Whether all labels of a row are."""
        return np.asarray(((logits > 0) == (labels > 0)).all(axis=1))

    def check_labels(self, labels: Array, n: int) -> None:
        check_array("labels", labels, (n, len(self.classes)), np.intp)
        if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= 1:
            raise InputError("labels must be between 0 and 1")

    def labels_among(self, labels: Array, classes: Sequence[str], owner: str) -> Array:
        converted = np.zeros((len(labels), len(classes)), dtype=labels.dtype)
        for place, column in zip(class_places(self.classes, classes, owner), labels.T, strict=True):
            converted[:, place] |= column  # two labels may be one of the model
        return converted

    def balanced_weights(self, labels: Array) -> Array:
        """(n - n_k) / n_k."""
        rows = labels.sum(axis=0)
        return np.asarray((len(labels) - rows) / np.maximum(rows, 1)).clip(min=1 / len(labels))

    def loss_weight(self, sample_weight: Array, labels: Array, class_weights: Array) -> Array:
        return np.asarray(sample_weight[:, None] * np.where(labels == 1, class_weights, 1.0))

    def check_threshold(self, threshold: Threshold) -> None:
        if isinstance(threshold, str):
            check_f1(threshold)
        else:
            replace(self, thresholds=self.given_thresholds(threshold))

    @property
    def given_count(self) -> int:
        return len(self.classes)

    def f1_thresholds(self, p: Array, labels: Array, weight: Array, trained: Array, ratio: Array | None) -> Chosen:
        """By the F1 of each label."""
        each = tuple(best_threshold(p[:, k], labels[:, k], weight) for k in range(len(self.classes)))
        return Chosen(each, f"thresholds for F1: {min(each):.3f} to {max(each):.3f}")

    def strata(self, labels: Array) -> list[tuple[int, ...]]:
        """Its labels; K without any."""
        return [tuple(np.flatnonzero(row).tolist()) or (len(self.classes),) for row in labels]

    def class_counts(self, labels: Array) -> NDArray[np.int64] | None:
        return np.asarray(labels.sum(axis=0))

    def rivals(self, counts: NDArray[np.int64], n: int) -> Rivals | None:
        return Rivals(n - int(counts.min()), "without it")

    def has_class(self, labels: Array, k: int) -> NDArray[np.bool_]:
        return np.asarray(labels[:, k] == 1)

    def label_text(self, label: Array) -> str:
        return self.text(label)

    def predicted(self, logits: Array) -> Array:
        return self.decide(self.probabilities(logits))

    def probabilities(self, logits: Array) -> Array:
        check_logits(logits)
        return sigmoid(logits.astype(np.float64))

    def decide(self, probabilities: Array) -> Array:
        return (probabilities >= np.array(self.thresholds or 0.5)).astype(np.intp)

    def decision(self, logits: Array) -> Array:
        thresholds = np.clip(np.array(self.thresholds or 0.5), 1e-300, 1 - 2**-53)
        return np.asarray(logits.astype(np.float64) - np.log(thresholds / (1 - thresholds)))

    def labels(self, logits: Array) -> Array:
        """(n,) object, tuples of labels in their own type."""
        predicted = self.predicted(logits)
        rows = np.empty(len(predicted), dtype=object)
        rows[:] = list(map(tuple, self.named(predicted, own=True)))
        return rows

    def named(self, decided: Array, own: bool = False) -> list[Any]:
        classes: Sequence[Any] = self._own_labels.tolist() if own else self.classes
        return [[name for name, yes in zip(classes, row, strict=True) if yes] for row in decided.tolist()]

    def columns(self, logits: Array, *, every: bool, names: bool) -> dict[str, Column]:
        probabilities = self.probabilities(logits)
        decided = self.decide(probabilities)
        label = Column(self.named(decided, own=not names), "str" if names else self.label_type, lists=True)
        if every:
            return {"label": label, **class_columns(self, probabilities)}
        top = [row[yes > 0].tolist() for row, yes in zip(probabilities, decided, strict=True)]
        return {"label": label, "probability": Column(top, "float", lists=True)}

    def record(self, predicted: Array, probabilities: Array | None) -> dict[str, Any]:
        assert probabilities is not None
        by_label = dict(zip(self.classes, probabilities.tolist(), strict=True))
        return {"prediction": self.named(predicted[None])[0], "probabilities": by_label}

    def answers(self, logits: Array) -> list[dict[str, Any]]:
        return self.records(logits)

    def tensors(self, logits: Array) -> dict[str, Tensor]:
        probabilities = self.probabilities(logits)
        decided = self.decide(probabilities).astype(bool)
        labels = Tensor("BOOL", list(probabilities.shape), decided.ravel().tolist())
        return {"labels": labels, "probabilities": float_tensor(probabilities)}

    def records(self, logits: Array) -> list[dict[str, Any]]:
        return labelled_records(self, "labels", self.probabilities(logits))

    def text(self, predicted: Array) -> str:
        return ", ".join(self.named(np.asarray(predicted)[None])[0]) or "no label"

    def sentence(self, inputs: str, step_noun: str, most: int) -> str:
        found = f"This model assigns any number of {self.count_text} to {inputs}: {self._listed(most)}."
        if not self.thresholds:
            return found
        pairs = zip(self.classes[:most], self.thresholds, strict=False)
        return found + f" Least probabilities: {', '.join(f'{name} from {value:.3g}' for name, value in pairs)}."

    @property
    def count_text(self) -> str:
        return counted(len(self.classes), "label")

    @property
    def description(self) -> str:
        return "multi-label classification"

    def score(self, logits: Array, target: int | None = None, against: int | None = None) -> TargetScore:
        if against is not None:
            raise no_comparison(self)
        if target is None:
            target = int(logits.argmax())
        return TargetScore(np.eye(self.outputs)[target], target, None, f"logit of {self.classes[target]}", "")

    def favours(self, predicted: Array, score: TargetScore) -> bool:
        return bool(predicted[score.target])

    def measured_value(self, logits: Array, of_nothing: Callable[[], Array]) -> MeasuredValue:
        """The probability of the most probable label."""
        ones = np.ones(len(logits), dtype=np.intp)
        return MeasuredValue(logits.argmax(axis=1), ones, ones)

    def label_list(self, predicted: Array) -> list[str] | None:
        labels: list[str] = self.named(predicted[None])[0]
        return labels

    def row_scores(self, predicted: Array, truth: Array) -> Array:
        return np.asarray((predicted == truth).all(axis=1), dtype=np.float64)

    def mistakes(self, logits: Array, predicted: Array, truth: Array) -> tuple[NDArray[np.bool_], Array]:
        """By the probability of the most confident wrong decision of a row."""
        p = self.probabilities(logits)
        wrong = predicted != truth  # (n, K)
        confidence = np.where(predicted == 1, p, 1 - p)
        return wrong.any(axis=1), np.where(wrong, confidence, -1.0).max(axis=1, initial=-1.0)

    def reliability(self, logits: Array, truth: Array) -> tuple[float, tuple[Bin, ...]]:
        from gatewise.metrics import decision_probabilities, reliability  # a prediction does without

        return reliability(decision_probabilities(logits), truth.ravel())

    def evaluate(self, logits: Array, truth: Array, data: str) -> MultilabelEvaluation:
        from gatewise.metrics import MultilabelEvaluation  # a prediction does without

        check_rows(truth)
        return MultilabelEvaluation.of(logits, self.predicted(logits), truth, self.classes, data)


def no_comparison(target: RowTarget) -> InputError:
    """The error for a class to compare with where there is no one class."""
    return InputError(f"a contribution against a class is for classification; the model's task is {target.task}")
