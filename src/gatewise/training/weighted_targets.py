"""`WeightedTargets`: what a fit predicts, and how much each row counts in its loss."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.losses import Loss
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class WeightedTargets:
    """Targets of n rows, or with a label per step of n steps, each with its weight in the loss.

    values (n, outputs) float64: probabilities, those of the second one of two classes, or standardised numbers. loss:
    of logits (n, outputs) against them. weight (n,) float64, or (n, outputs) where each label of a row has its own.
    `TrainingData.targets` and `TrainingData.calibration_targets` make them.
    """

    values: Array
    loss: Loss
    weight: Array

    def __len__(self) -> int:
        return len(self.values)

    @property
    def outputs(self) -> int:
        """Logits of a row."""
        return int(self.values.shape[1])

    @property
    def unweighted(self) -> WeightedTargets:
        """The targets with the weight 1 for each row."""
        return replace(self, weight=np.ones(len(self)))

    @property
    def normalised(self) -> WeightedTargets:
        """The targets with weights of mean 1, so that a penalty means the same for any unit of the weights."""
        return replace(self, weight=self.weight / self.weight.mean())

    def take(self, rows: NDArray[Any] | slice) -> WeightedTargets:
        """Those of the rows with these numbers, or where a mask (n,) is true; their weights stay as they are."""
        return replace(self, values=self.values[rows], weight=self.weight[rows])

    def row_losses(self, logits: Array) -> tuple[Array, Array]:
        """The loss (n,) of each row of logits (n, outputs), without its weight, and the gradient (n, outputs) of their
        sum. The loss is the sum over the outputs, half of it for a squared error, whose gradient then is the error.
        """
        losses, gradient = self.loss(logits, self.values)
        if self.loss.has_unit:
            return 0.5 * losses.sum(axis=1), 0.5 * gradient
        return losses.sum(axis=1), gradient

    def mean(self, losses: Array) -> float:
        """The weighted mean of one loss per row (n,), for weights (n,)."""
        return float(np.average(losses, weights=self.weight))
