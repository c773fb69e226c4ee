"""`RidgeTargets`: what a ridge regression of features fits, and how its values become logits.

Classes are targets of -1 and 1. `dense_solver.Ridge` gives the values of the rows of each fold from a fit to the
others, for every penalty without refitting. The penalty with the lowest loss of these values is taken; a scale and a
shift turn them into logits (Platt 1999). Convolutions and frozen LSTM layers are fitted so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.training.dense_solver import Ridge
from gatewise.training.network_data import TargetScaling
from gatewise.training.stack import calibrated
from gatewise.training.training_data import TrainingData
from gatewise.types import Array, Task

L2 = tuple(10.0**exponent for exponent in np.arange(-4, 3.01, 0.5))
SCALE, SCALE_L2 = 3.0, 0.5  # of logits from values of -1 to 1: what few rows are drawn towards, and how strongly


@dataclass(frozen=True, eq=False)
class RidgeTargets:
    """targets (n, outputs); y (n, outputs), the targets or for classes -1 and 1; weight (n,) of the rows; counts (n,),
    weights without those of classes; the folds, row numbers: the rows of one fold are predicted from all others;
    scaling and logit_shift: see `TrainingData`.
    """

    targets: Array
    y: Array
    weight: Array
    counts: Array | None
    folds: Sequence[NDArray[np.int64]]
    task: Task
    scaling: TargetScaling | None
    logit_shift: Array | None

    @classmethod
    def of(cls, data: TrainingData, rows: NDArray[np.int64], folds: Sequence[NDArray[np.int64]]) -> Self:
        """Of these rows."""
        targets, task, shift = data.targets(rows), data.task, None
        # One ridge regression has one weight per row, not one per label.
        weight = counts = data.sample_weight(rows)
        if task == "classification" and data.class_weights is not None and data.weights is not None:
            weight, shift = data.weights[rows], data.logit_shift
        weight = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
        y = targets if task == "regression" else 2.0 * targets - 1
        return cls(targets, y, weight, counts, folds, task, data.target_scaling, shift)

    @property
    def root(self) -> Array:
        """Roots (n,) of the weights."""
        return np.asarray(np.sqrt(np.maximum(self.weight / self.weight.mean(), 1e-9)))

    @property
    def held(self) -> NDArray[np.int64]:
        """The rows of all folds (m,)."""
        return np.concatenate(self.folds)

    def loss(self, values: Array) -> float:
        """Of values (m, outputs) out of fold: the squared error, for classes the cross-entropy after calibration."""
        truth, each = self.targets[self.held], self.weight[self.held]
        if self.task == "regression":
            losses = np.square(values - truth).mean(axis=1)
        else:
            prior = np.array([SCALE])
            losses = calibrated(values[:, :, None], truth, prior, SCALE_L2, task=self.task, sample_weight=each)[2]
        return float(np.average(losses, weights=each))

    def best(self, ridge: Ridge) -> tuple[float, float, Array]:
        """The lowest loss, its penalty, and its values (m, outputs) out of fold."""
        values = [ridge.out_of_fold(self.y, l2, self.folds)[self.held] for l2 in L2]
        losses = [self.loss(one) for one in values]
        n = int(np.argmin(losses))
        return losses[n], L2[n], values[n]

    def calibration(self, values: Array) -> tuple[Array, Array]:
        """Scale (1,) or (outputs,) and shift (outputs,) that turn values into logits, from those out of fold (m,
        outputs); for a regression into numbers.
        """
        if self.scaling is not None:
            return self.scaling.scale, self.scaling.mean
        # What the shift is drawn towards.
        against = np.zeros(values.shape[1]) if self.logit_shift is None else -self.logit_shift
        parts = np.stack([values, np.broadcast_to(against, values.shape)], axis=2)
        each = None if self.counts is None else self.counts[self.held]
        options: dict[str, Any] = {"task": self.task, "sample_weight": each}
        weights, shift, _ = calibrated(parts, self.targets[self.held], np.array([SCALE, 1.0]), SCALE_L2, **options)
        return weights[:1], shift + weights[1] * against
