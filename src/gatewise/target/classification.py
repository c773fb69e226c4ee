"""`ClassificationTarget`: one of K classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, quote
from gatewise.losses import CROSS_ENTROPY, Loss, log_probabilities
from gatewise.target.base import Column, RowTarget, Tensor, check_logits, check_rows, float_tensor
from gatewise.target.names import check_array, class_places
from gatewise.target.row import Chosen
from gatewise.target.score import MeasuredValue, TargetScore
from gatewise.target.thresholds import POWERS, Threshold, best_threshold, check_f1, macro_f1
from gatewise.types import Array, Task

if TYPE_CHECKING:
    from gatewise.metrics import Bin, Evaluation

_DOUBT = 0.05 + 1e-9  # of a probability, from the threshold: closer ones decide nothing
_CLOSE = 1e-9  # between two logits: their probabilities may round to the same number
_SMALLEST = 1e-300  # of a threshold, whose logarithm is taken


class ClassificationTarget(RowTarget):
    """One class per row. With two classes there is one logit, that of classes[1]."""

    task: ClassVar[Task] = "classification"
    labels_task: ClassVar[Task] = "classification"
    loss: ClassVar[Loss] = CROSS_ENTROPY
    least_classes: ClassVar[int] = 2

    @property
    def outputs(self) -> int:
        return 1 if self.is_binary else len(self.classes)

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes."""
        return len(self.classes) == 2

    @property
    def threshold_count(self) -> int:
        return 1 if self.is_binary else len(self.classes)

    def encode(self, labels: Array) -> Array:
        return self.of_probabilities(np.eye(len(self.classes))[labels])

    def of_probabilities(self, p: Array) -> Array:
        """What the logits are compared with (n, outputs), from probabilities (n, K): those of classes[1] of two."""
        return p[:, 1 if self.is_binary else 0 :].astype(np.float64)

    def correct(self, logits: Array, labels: Array) -> NDArray[np.bool_] | None:
        predicted = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(axis=1)
        return np.asarray(predicted == labels)

    def fingerprint_parts(self) -> list[bytes]:
        """None: classification once was the only task, and its fingerprints stay."""
        return []

    def check_labels(self, labels: Array, n: int) -> None:
        check_array("labels", labels, (n,), np.intp)
        top = len(self.classes) - 1
        if n and not 0 <= int(labels.min()) <= int(labels.max()) <= top:
            raise InputError(f"labels must be between 0 and {top}")

    def labels_among(self, labels: Array, classes: Sequence[str], owner: str) -> Array:
        return class_places(self.classes, classes, owner)[labels]

    def logit_shift(self, class_weights: Array) -> Array:
        shift = super().logit_shift(class_weights)
        return shift[1:] - shift[0] if self.is_binary else shift

    def balanced_weights(self, labels: Array) -> Array:
        """n / (K n_k), as in scikit-learn."""
        rows = np.bincount(labels, minlength=len(self.classes))
        return np.asarray(rows.sum() / (len(rows) * np.maximum(rows, 1)))

    def loss_weight(self, sample_weight: Array, labels: Array, class_weights: Array) -> Array:
        return np.asarray(sample_weight * class_weights[labels])

    def check_threshold(self, threshold: Threshold) -> None:
        if isinstance(threshold, str):
            check_f1(threshold)
            return
        if not self.is_binary:
            raise InputError(f"a number as threshold needs two classes, the data has {len(self.classes)}: use 'f1'")
        replace(self, thresholds=self.given_thresholds(threshold))

    def cost_thresholds(self, class_weights: Array) -> tuple[float, ...] | None:
        if self.is_binary:
            return (float(class_weights[0] / class_weights.sum()),)
        return tuple((class_weights.min() / class_weights).tolist())

    def f1_thresholds(self, p: Array, labels: Array, weight: Array, trained: Array, ratio: Array | None) -> Chosen:
        """Of two classes, the threshold with the highest F1 of the class with fewer training rows. Of more classes,
        thresholds in proportion to ratio^-a, with the a of `POWERS` that has the highest macro F1.
        """
        if self.is_binary:
            rare = 1
            if trained[0] < trained[1]:
                rare = 0
            threshold = best_threshold(p[:, rare], (labels == rare).astype(np.int64), weight)
            if rare == 0:  # the threshold is that of classes[1]
                threshold = 1 - threshold
            best = f"which has the highest F1 of {quote(self.classes[rare])}"
            return Chosen((threshold,), f"threshold for {quote(self.classes[1])}: {threshold:.3f}, {best}")
        if ratio is None:
            ratio = trained.sum() / (len(trained) * trained)
        scores = [macro_f1((p * ratio**power).argmax(axis=1), labels, weight, len(trained)) for power in POWERS]
        power = POWERS[int(np.argmax(scores))]
        if not power:
            return Chosen((), "no thresholds: the most probable class has the highest macro F1")
        inverse = ratio**-power
        line = f"thresholds in proportion to class weight ^ -{power}, which has the highest macro F1"
        return Chosen(tuple((inverse / inverse.max()).tolist()), line)

    def strata(self, labels: Array) -> list[tuple[int, ...]]:
        return [(label,) for label in labels.tolist()]

    def class_counts(self, labels: Array) -> NDArray[np.int64] | None:
        return np.bincount(labels, minlength=len(self.classes))

    def has_class(self, labels: Array, k: int) -> NDArray[np.bool_]:
        return np.asarray(labels == k)

    def label_text(self, label: Array) -> str:
        return self.classes[int(label)]

    @property
    def column_classes(self) -> tuple[str, ...] | None:
        return None

    def predicted(self, logits: Array) -> Array:
        if self.thresholds or self.is_binary:
            return self.decide(self.probabilities(logits))
        check_logits(logits)
        decided = np.asarray(logits.argmax(axis=1))
        # The largest logit has the largest probability. Where two are closer than the probabilities can tell apart, the
        # decision is that of the probabilities, so that both agree.
        n_largest = np.count_nonzero(logits >= logits.max(axis=1, keepdims=True) - _CLOSE, axis=1)
        is_close = n_largest > 1
        if is_close.any():
            decided[is_close] = self.decide(self.probabilities(logits[is_close]))
        return decided

    def probabilities(self, logits: Array) -> Array:
        check_logits(logits)
        return np.exp(self.log_probabilities(logits))

    def log_probabilities(self, logits: Array) -> Array:
        """The logarithm of the probabilities (n, K) float64 from logits (n, outputs): of the softmax."""
        return log_probabilities(logits)

    def decide(self, probabilities: Array) -> Array:
        if len(self.thresholds) == 1:
            return (probabilities[:, 1] >= self.thresholds[0]).astype(np.intp)
        if self.thresholds:
            probabilities = probabilities / np.maximum(self.thresholds, _SMALLEST)
        return np.asarray(probabilities.argmax(axis=1))

    def decision(self, logits: Array) -> Array:
        if self.is_binary:
            threshold = np.clip((self.thresholds or (0.5,))[0], _SMALLEST, 1 - 2**-53)
            return np.asarray(logits[:, 0].astype(np.float64) - np.log(threshold / (1 - threshold)))
        return np.asarray(logits.astype(np.float64) - np.log(np.maximum(self.thresholds or 1.0, _SMALLEST)))

    def undecided(self, probabilities: Array) -> NDArray[np.bool_]:
        if not self.is_binary:
            return super().undecided(probabilities)
        threshold = (self.thresholds or (0.5,))[0]
        return np.asarray(np.abs(probabilities[:, 1] - threshold) <= _DOUBT)

    def labels(self, logits: Array) -> Array:
        """(n,) in the labels' own type."""
        return self._own_labels[self.predicted(logits)]

    def columns(self, logits: Array, *, every: bool, names: bool) -> dict[str, Column]:
        probabilities = self.probabilities(logits)
        decided = self.decide(probabilities)
        label = Column(self.named(decided, own=not names), "str" if names else self.label_type)
        if every:
            return {"label": label, **class_columns(self, probabilities)}
        top = probabilities[np.arange(len(decided)), decided]
        return {"label": label, "probability": Column(top.tolist(), "float")}

    def record(self, predicted: Array, probabilities: Array | None) -> dict[str, Any]:
        assert probabilities is not None
        by_class = dict(zip(self.classes, probabilities.tolist(), strict=True))
        return {"prediction": self.text(predicted), "probabilities": by_class}

    def answers(self, logits: Array) -> list[dict[str, Any]]:
        return self.records(logits)

    def tensors(self, logits: Array) -> dict[str, Tensor]:
        probabilities = self.probabilities(logits)
        label = Tensor("BYTES", [len(probabilities)], self.named(self.decide(probabilities)))
        return {"label": label, "probabilities": float_tensor(probabilities)}

    def records(self, logits: Array) -> list[dict[str, Any]]:
        return labelled_records(self, "label", self.probabilities(logits))

    def text(self, predicted: Array) -> str:
        return self.classes[int(predicted)]

    def sentence(self, inputs: str, step_noun: str, most: int) -> str:
        found = f"This model classifies {inputs} into {self.count_text}: {self._listed(most)}."
        if len(self.thresholds) == 1:
            return found + f" It predicts {self.classes[1]} from a probability of {self.thresholds[0]:.3g} on."
        if self.thresholds:
            pairs = zip(self.classes[:most], self.thresholds, strict=False)
            found += " It predicts the class with the largest ratio of probability to threshold."
            found += f" Thresholds: {', '.join(f'{name} {value:.3g}' for name, value in pairs)}."
        return found

    def score(self, logits: Array, target: int | None = None, against: int | None = None) -> TargetScore:
        if against is not None and target == against:
            name = quote(self.classes[against])
            raise InputError(f"the target and the class to compare with are the same: {name}")
        if self.outputs == 1:
            return self._binary_score(target, against)
        if target is None:
            target = int(self.predicted(logits[None])[0])
            if target == against:
                target = int(np.where(np.arange(len(logits)) == against, -np.inf, logits).argmax())
        weights = np.eye(len(self.classes))[target]
        name = f"logit of {self.classes[target]}"
        if against is None:
            return TargetScore(weights - 1 / len(weights), target, None, name, "minus the mean of all logits")
        weights[against] = -1
        return TargetScore(weights, target, against, name, f"minus the logit of {self.classes[against]}")

    def _binary_score(self, target: int | None, against: int | None) -> TargetScore:
        """Of two classes: the one logit, or its negative for classes[0]."""
        if against is not None:
            target = 1 - against
        elif target is None:
            target = 1
        sign = 1.0 if target == 1 else -1.0
        return TargetScore(np.array([sign]), target, None, f"logit of {self.classes[target]}", "")

    def favours(self, predicted: Array, score: TargetScore) -> bool:
        return int(predicted) == score.target

    def measured_value(self, logits: Array, of_nothing: Callable[[], Array]) -> MeasuredValue:
        value = super().measured_value(logits, of_nothing)
        if self.outputs > 1:
            return value
        # The one logit favours classes[1].
        sign = np.where(value.column == 0, -1, 1)
        return MeasuredValue(value.column, sign, value.value_sign)

    def side_names(self, score: TargetScore, shorten: Callable[[str], str]) -> tuple[str, str]:
        favoured = f"for {shorten(self.classes[score.target])}"
        if self.is_binary:
            return favoured, f"for {shorten(self.classes[1 - score.target])}"
        if score.against is None:
            return favoured, "for other classes"
        return favoured, f"for {shorten(self.classes[score.against])}"

    def probability_text(self, p: Array, predicted: Array, shorten: Callable[[str], str]) -> str:
        if not self.is_binary:
            return super().probability_text(p, predicted, shorten)
        k = int(predicted)
        # An undecided prediction is shown without its class.
        of_class = f" of {shorten(self.classes[k])}" if self.undecided(p[None])[0] else ""
        return f"probability{of_class} {p[k]:.4f}"

    def row_scores(self, predicted: Array, truth: Array) -> Array:
        return np.asarray(predicted == truth, dtype=np.float64)

    def mistakes(self, logits: Array, predicted: Array, truth: Array) -> tuple[NDArray[np.bool_], Array]:
        p = self.probabilities(logits)
        return predicted != truth, p[np.arange(len(truth)), predicted]

    def reliability(self, logits: Array, truth: Array) -> tuple[float, tuple[Bin, ...]]:
        from gatewise.metrics import reliability  # a prediction does without

        return reliability(np.exp(self.log_probabilities(logits)), truth)

    def evaluate(self, logits: Array, truth: Array, data: str) -> Evaluation:
        from gatewise.metrics import Evaluation  # a prediction does without

        check_rows(truth)
        return Evaluation.of(self.log_probabilities(logits), truth, self.classes, data, self.predicted(logits))


def labelled_records(target: RowTarget, name: str, probabilities: Array) -> list[dict[str, Any]]:
    """The decision for each row, as `name`, and its probabilities by class."""
    decided = target.named(target.decide(probabilities))
    return [
        {name: label, "probabilities": dict(zip(target.classes, p, strict=True))}
        for label, p in zip(decided, probabilities.tolist(), strict=True)
    ]


def class_columns(target: RowTarget, probabilities: Array) -> dict[str, Column]:
    """A column of probabilities per class."""
    return {
        f"probability_{name}": Column(probabilities[:, k].tolist(), "float") for k, name in enumerate(target.classes)
    }
