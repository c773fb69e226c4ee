"""`NetworkData`: what a network is trained on: sequences with their targets, and the rows that validate it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gatewise.network.architecture import Architecture
from gatewise.ragged import Ragged, flat
from gatewise.target import ClassificationTarget, Target
from gatewise.training.fields import with_values
from gatewise.training.recipes import Recipe
from gatewise.training.weighted_targets import WeightedTargets
from gatewise.types import Array

MAX_TIME_STEPS = 6_000_000
"""Time steps (rows x length x epochs) that the networks of a run on series train on. Above it there is no
cross-validation, then there are fewer epochs, unless `optimisation.epochs` is set."""
MOST_ROWS = 3_000
"""Series whose convolutions are cross-validated: their kernel matrix is decomposed in seconds. The network of more rows
is not cross-validated either, as the stack reads the same rows of both."""


@dataclass(frozen=True)
class TargetScaling:
    """Standardised targets of a regression: fits see numbers of mean 0 and variance 1, the model predicts in the unit.

        y = mean + scale z        weight ← scale weight,  bias ← mean + scale bias

    mean, scale (M,) float64 of M numbers; scale is 1 for a constant number.
    """

    mean: Array
    scale: Array

    @classmethod
    def fit(cls, numbers: Array, sample_weight: Array | None = None) -> Self:
        """From numbers (n, M) and their weights (n,)."""
        mean = np.average(numbers, axis=0, weights=sample_weight)
        scale = np.sqrt(np.average(np.square(numbers - mean), axis=0, weights=sample_weight))
        # Rounding leaves a constant number with a deviation of some 1e-16 of its size.
        constant = scale <= 1e-12 * np.abs(numbers).max(axis=0)
        return cls(mean, np.where(constant, 1.0, scale))

    def transform(self, numbers: Array) -> Array:
        """z (n, M) from numbers (n, M)."""
        return np.asarray((numbers - self.mean) / self.scale)

    def fold(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Parameters whose network predicts numbers, from those of a network that predicts z."""
        weight = parameters["dense.weight"]  # (M, F)
        bias = parameters["dense.bias"]  # (M,)
        return {
            **parameters,
            "dense.weight": (self.scale[:, None] * weight).astype(weight.dtype),
            "dense.bias": (self.mean + self.scale * bias).astype(bias.dtype),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkData:
    """n sequences with labels."""

    recipe: Recipe
    architecture: Architecture
    target: Target
    sequences: list[Array]
    """Encoded and truncated inputs (n)."""
    labels: Array | Ragged
    """Labels of all rows as in `Labelled`; of a pseudo-labelled row the most probable class."""
    train: NDArray[np.int64]
    """Row numbers of the training part."""
    validation: NDArray[np.int64]
    """Row numbers of the validation set."""
    source: str = ""
    """The data, in a line."""
    soft_targets: NDArray[np.float32] | None = None
    """Probabilities of the classes (n, K), where there are pseudo-labelled rows."""
    loss_weight: NDArray[np.float32] | Ragged | None = None
    """Weight of each row in the loss (n,), its sample_weight times the weight of its class; for multi-label of each
    label (n, K), per step `Ragged`; mean 1 over the training part. None where all are 1."""
    target_scaling: TargetScaling | None = None
    """Mean and deviation of the numbers over the training part; None but for regression."""
    validation_how: str = ""
    """How the validation set was cut, for the card."""

    @property
    def epoch_rows(self) -> NDArray[np.int64]:
        """The rows of an epoch."""
        return self.train

    def targets(self, rows: NDArray[np.int64]) -> WeightedTargets:
        """What a fit to these rows predicts, with a label per step on their steps, and their weights in its loss."""
        values = self._target_values(rows)
        if self.loss_weight is None:
            weight = np.ones(len(values))
        else:
            weight = flat(self.loss_weight[rows]).astype(np.float64)
        return WeightedTargets(values, self.target.each.loss, weight)

    def _target_values(self, rows: NDArray[np.int64]) -> Array:
        """See `WeightedTargets.values`."""
        if self.soft_targets is not None:
            assert isinstance(self.target, ClassificationTarget)
            return self.target.of_probabilities(self.soft_targets[rows])
        y = self.target.each.encode(flat(self.labels[rows]))
        if self.target_scaling is None:
            return y
        return self.target_scaling.transform(y)


def plan_series(recipe: Recipe, lengths: Sequence[int], rows: int, own_validation: bool) -> tuple[Recipe, int]:
    """The recipe with its number of epochs, and the number of folds, 0 without cross-validation, for series of these
    lengths (n,) of which `rows` are in the training part.
    """
    folds = recipe.validation.folds
    time_steps = max(sum(lengths), 1)
    # The convolutions of more rows are not cross-validated, and the ensemble needs the same rows of both.
    too_many_rows = recipe.convolutions.features > 0 and len(lengths) > MOST_ROWS
    if folds > 1 and not own_validation and not too_many_rows:
        epochs = _epochs_of(recipe, len(lengths))  # the final network is fitted to all rows
        if time_steps * epochs * folds <= MAX_TIME_STEPS:
            return with_values(recipe, {"epochs": epochs, "min_steps": 0}), folds
    epochs = _epochs_of(recipe, rows)
    if recipe.optimisation.min_steps:  # epochs that are set stay
        # An epoch has about time_steps * rows / len(lengths) of them.
        epochs = min(epochs, MAX_TIME_STEPS * len(lengths) // (time_steps * rows))
    return with_values(recipe, {"epochs": max(1, epochs), "min_steps": 0}), 0


def _epochs_of(recipe: Recipe, rows: int) -> int:
    """The epochs over so many rows that the recipe asks for: at least `min_steps` steps."""
    settings = recipe.optimisation
    steps_per_epoch = math.ceil(rows / settings.batch_size)
    return max(settings.epochs, math.ceil(settings.min_steps / steps_per_epoch))
