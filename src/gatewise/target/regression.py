"""`RegressionTarget`: M numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, number_text
from gatewise.losses import SQUARED_ERROR, Loss
from gatewise.target.base import Column, RowTarget, Target, Tensor, check_logits, check_rows, float_tensor
from gatewise.target.multilabel import no_comparison
from gatewise.target.names import check_array
from gatewise.target.score import MeasuredValue, TargetScore
from gatewise.types import Array, Task

if TYPE_CHECKING:
    from gatewise.metrics import RegressionEvaluation

_QUANTILES = 10  # strata of a number, where there are at least ten rows for each


def number_names(count: int) -> tuple[str, ...]:
    """The names of so many numbers of a row that have no names."""
    if count == 1:
        return ("value",)
    return tuple(f"value {k + 1}" for k in range(count))


class RegressionTarget(RowTarget):
    """M numbers per row, which the network outputs in their own unit; `classes` are their names."""

    task: ClassVar[Task] = "regression"
    labels_task: ClassVar[Task] = "regression"
    loss: ClassVar[Loss] = SQUARED_ERROR
    score_noun: ClassVar[str] = "prediction"
    has_probabilities: ClassVar[bool] = False
    strata_noun: ClassVar[str] = "number"
    row_score_name: ClassVar[str] = "mean absolute error"
    row_score_is_share: ClassVar[bool] = False
    mistakes_title: ClassVar[str] = "Largest errors"

    def named_as(self, other: Target) -> Target:
        unnamed = self.classes == number_names(self.outputs)
        if unnamed and isinstance(other, RegressionTarget) and other.outputs == self.outputs:
            return replace(self, classes=other.classes)
        return self

    def encode(self, labels: Array) -> Array:
        return labels.astype(np.float64)

    def check_labels(self, labels: Array, n: int) -> None:
        check_array("labels", labels, (n, len(self.classes)), np.float64)
        if not np.isfinite(labels).all():
            row = int(np.argwhere(~np.isfinite(labels))[0, 0])
            raise InputError(f"labels: row {row} is not a finite number")

    def labels_among(self, labels: Array, classes: Sequence[str], owner: str) -> Array:
        """The numbers in the order of `classes` where the data has the same names, else in its own."""
        if len(classes) != len(self.classes):
            raise InputError(f"{owner} predicts {len(classes)} numbers, the data has {len(self.classes)}")
        if set(classes) != set(self.classes):
            return labels
        return labels[:, [self.classes.index(name) for name in classes]]

    def unknown_names(self, names: Iterable[str]) -> list[str]:
        return []

    def strata(self, labels: Array) -> list[tuple[int, ...]]:
        """The quantile of its number, or of the mean of its standardised numbers."""
        spread = labels.std(axis=0)
        score = ((labels - labels.mean(axis=0)) / np.where(spread > 0, spread, 1)).mean(axis=1)
        quantiles = min(_QUANTILES, max(1, len(labels) // _QUANTILES))
        edges = score
        if len(labels):
            edges = np.quantile(score, np.arange(1, quantiles) / quantiles)
        return [(place,) for place in np.searchsorted(edges, score).tolist()]

    def number_summary(self, labels: Array) -> dict[str, dict[str, float]]:
        return {
            name: {"min": float(column.min()), "mean": float(column.mean()), "max": float(column.max())}
            for name, column in zip(self.classes, labels.T, strict=True)
        }

    def label_text(self, label: Array) -> str:
        return ", ".join(f"{value:.4g}" for value in label.tolist())

    def predicted(self, logits: Array) -> Array:
        check_logits(logits)
        return logits.astype(np.float64)

    def values(self, logits: Array) -> Array:
        return self.predicted(logits)

    def probabilities(self, logits: Array) -> Array:
        raise InputError("a regression model has no probabilities")

    def decide(self, probabilities: Array) -> Array:
        raise InputError("a regression model has no probabilities")

    def decision(self, logits: Array) -> Array:
        raise InputError("a regression model has no decision function")

    def labels(self, logits: Array) -> Array:
        """(n,) float64, or (n, M) for several numbers."""
        numbers = self.predicted(logits)
        return numbers[:, 0] if numbers.shape[1] == 1 else numbers

    @property
    def class_labels(self) -> Array:
        return np.array(self.classes)

    def columns(self, logits: Array, *, every: bool, names: bool) -> dict[str, Column]:
        numbers = self.predicted(logits)
        columns = ["prediction"]
        if len(self.classes) > 1:
            columns = [f"prediction_{name}" for name in self.classes]
        return {name: Column(numbers[:, k].tolist(), "float") for k, name in enumerate(columns)}

    def record(self, predicted: Array, probabilities: Array | None) -> dict[str, Any]:
        numbers = predicted.tolist()
        return {"prediction": numbers[0] if len(numbers) == 1 else dict(zip(self.classes, numbers, strict=True))}

    def answers(self, logits: Array) -> list[dict[str, Any]]:
        numbers = self.predicted(logits)
        if len(self.classes) == 1:
            return [{"value": number} for number in numbers[:, 0].tolist()]
        return [{"values": dict(zip(self.classes, row, strict=True))} for row in numbers.tolist()]

    def tensors(self, logits: Array) -> dict[str, Tensor]:
        return {"value": float_tensor(self.predicted(logits))}

    def records(self, logits: Array) -> list[dict[str, Any]]:
        rows = self.predicted(logits).tolist()
        return [{"prediction": dict(zip(self.classes, row, strict=True))} for row in rows]

    def text(self, predicted: Array) -> str:
        numbers = [number_text(value) for value in predicted.tolist()]
        if len(numbers) == 1:
            return numbers[0]
        return ", ".join(f"{name} {number}" for name, number in zip(self.classes, numbers, strict=True))

    def score_text(self, value: float) -> str:
        return f"{value:+,.0f}" if abs(value) >= 10_000 else f"{value:+.4g}"

    def sum_text(self, value: float) -> str:
        return self.score_text(value)

    def value_text(self, value: float) -> str:
        return f"{value:.6g}"

    def stored(self, value: float) -> float:
        return float(f"{value:.7g}")

    def sentence(self, inputs: str, step_noun: str, most: int) -> str:
        count = len(self.classes)
        what = "a number" if count == 1 else f"{count} numbers"
        return f"This model predicts {what} from {inputs}: {self._listed(most)}."

    @property
    def count_text(self) -> str:
        return ""

    @property
    def classes_noun(self) -> str:
        return "numbers"

    def score(self, logits: Array, target: int | None = None, against: int | None = None) -> TargetScore:
        if against is not None:
            raise no_comparison(self)
        target = target or 0
        name = "prediction" if self.outputs == 1 else f"prediction of {self.classes[target]}"
        return TargetScore(np.eye(self.outputs)[target], target, None, name, "")

    def favours(self, predicted: Array, score: TargetScore) -> bool:
        return True

    def measured_value(self, logits: Array, of_nothing: Callable[[], Array]) -> MeasuredValue:
        """How far the first number is from the prediction for no step."""
        base = float(of_nothing()[0, 0])
        sign = np.where(logits[:, 0] < base, -1, 1)
        return MeasuredValue(np.zeros(len(logits), dtype=np.intp), sign, sign, base)

    def side_names(self, score: TargetScore, shorten: Callable[[str], str]) -> tuple[str, str]:
        return "increases the prediction", "decreases the prediction"

    @property
    def fall_text(self) -> str:
        name = f" of {self.classes[0]}" if len(self.classes) > 1 else ""  # the first number is measured
        return f"prediction{name} moves back"

    @property
    def drop_text(self) -> str:
        return "by how much the prediction moves back towards that for no step, in its own unit, when the"

    def fall_number(self, value: float) -> str:
        return number_text(value)

    def number_list(self, predicted: Array) -> list[float] | None:
        numbers: list[float] = predicted.tolist()
        return numbers

    def row_scores(self, predicted: Array, truth: Array) -> Array:
        return np.asarray(np.abs(predicted - truth).mean(axis=1))

    def mistakes(self, logits: Array, predicted: Array, truth: Array) -> tuple[NDArray[np.bool_], Array]:
        """By the largest error of the numbers of a row."""
        errors = predicted - truth  # (n, M)
        largest = np.abs(errors).argmax(axis=1)
        return (errors != 0).any(axis=1), errors[np.arange(len(truth)), largest]

    def evaluate(self, logits: Array, truth: Array, data: str) -> RegressionEvaluation:
        from gatewise.metrics import RegressionEvaluation  # a prediction does without

        check_rows(truth)
        return RegressionEvaluation.of(self.predicted(logits), truth, self.classes, data)

    def _check_names(self) -> None:
        """Any names: the numbers, not the names, are of the label type."""
