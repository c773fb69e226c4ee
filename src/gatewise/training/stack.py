"""The stack: weights of the members, shift, calibration and thresholds, from held-out logits of all members together.

    logit = Σ_m weight_m logit_m + shift        weight_m >= 0

is fitted by logistic regression (Platt 1999; with one member the weight is the temperature of Guo et al. 2017), for
multi-label rows with one cross-entropy per label, for a regression by least squares of the standardised numbers
(Breiman 1996, "Stacked regressions"). One rule holds for all targets and members: the penalty

    L2/2 (Σ_m (weight_m - prior_m)² + shift²)

The prior is 1 for the member with the lowest held-out loss and 0 for the others: a few rows leave this member alone,
and some hundred override the prior. If members have out-of-fold logits of the training rows, the weights that the same
rule fits to those rows are the prior, and 0 for the others. The shift is one number for all outputs, of a regression 0:
it changes nothing for a softmax, and one per class, from few validation rows, costs accuracy (docs/log/accuracy.md,
"One prior for the ensemble weights").

A weight that a report would print as 0.00 is 0, so that the member is not computed and the reports say so.

A decision threshold is the probability from which a label is predicted (`gatewise.target.thresholds`). For two classes
the training rows choose too, where cross-validated n-grams give their held-out logits.

All of it follows from the held-out logits, so a resumed run ends with the same bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.ensemble import Ensemble
from gatewise.ragged import flat, shaped_like
from gatewise.target import Target
from gatewise.target.row import Chosen
from gatewise.target.thresholds import Threshold as Threshold
from gatewise.training.callback import Callback
from gatewise.training.dense_solver import fit_shared_weights
from gatewise.training.network_data import TargetScaling
from gatewise.training.training_data import TrainingData
from gatewise.training.weighted_targets import WeightedTargets
from gatewise.types import Array

SMALLEST = 0.005  # weight or shift: a report would print less as 0.00
MOST_SHIFTS = 10  # that a line lists; of more it has the smallest and the largest
L2 = 5.0  # chosen on train reviews, for a hundred to thousands of rows: docs/log/accuracy.md


@dataclass(frozen=True, eq=False)
class FittedMember:
    """A member with what the stack needs to know of it."""

    member: Any
    """A `gatewise.members.member.Member`."""
    bias: Array
    """Logits (outputs,) to add to those of the member."""
    held_out: Array | None = None
    """Logits (n, outputs) of the validation rows, bias included, from a fit that has not seen them."""
    held_out_train: Array | None = None
    """Logits (m, outputs) of the training rows, each from a fit without it; None where there is no such fit."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ModelMetadata` about the fit."""
    history: str = ""
    """The history of the fit, JSON lines."""

    def logits(self, sequences: Sequence[EncodedSequence]) -> Array:
        """Logits (n, outputs) of n full sequences."""
        return np.asarray(self.member.logits(self.member.parts_of(sequences)) + self.bias)


@dataclass(frozen=True, eq=False)
class HeldOutTargets:
    """What held-out logits are compared with: see `TrainingData.calibration_targets`."""

    validation: WeightedTargets
    """Of the n validation rows."""
    train: WeightedTargets | None = None
    """Of the m training rows; None where no member has held-out logits of them."""
    scaling: TargetScaling | None = None
    """Of a regression, whose logits have the unit of the numbers and whose targets are standardised."""

    @classmethod
    def of(cls, data: TrainingData) -> Self:
        """Those of the training data."""
        return cls(
            data.calibration_targets(data.validation),
            data.calibration_targets(data.train),
            data.target_scaling,
        )

    def standardised(self, logits: Array) -> Array:
        """Logits (n, outputs, M) in the unit of the targets."""
        if self.scaling is None:
            return logits
        return self.scaling.transform(logits.transpose(0, 2, 1)).transpose(0, 2, 1)


class Stack(NamedTuple):
    """What `stack` found: weights (M,) and shift (outputs,) of the members' logits, bias included; the ensemble's
    held-out logits of the validation rows, and of the training rows where these are known.
    """

    weights: Array
    shift: Array
    held_out: Array
    held_out_train: Array | None = None

    @classmethod
    def alone(cls, member: FittedMember) -> Self:
        """One member as it is."""
        assert member.held_out is not None
        return cls(np.ones(1), np.zeros(member.held_out.shape[1]), member.held_out, member.held_out_train)

    def ensemble(self, members: Sequence[FittedMember], target: Target) -> Ensemble:
        """The members with these weights."""
        weights = tuple(self.weights.tolist())
        return Ensemble(tuple(fitted.member for fitted in members), weights, self.applied_shift(members), target)

    def applied_shift(self, members: Sequence[FittedMember]) -> Array:
        """The shift (outputs,) of the ensemble: that of the stack, and the weighted biases of the members."""
        biases = [weight * fitted.bias for weight, fitted in zip(self.weights, members, strict=True)]
        return np.asarray(sum(biases, start=self.shift), dtype=np.float64)

    def describe(self, members: Sequence[FittedMember]) -> str:
        """The weights in a line, with the shift that the ensemble applies."""
        terms = [f"{fitted.member.noun} x {weight:.2f}" for weight, fitted in zip(self.weights, members, strict=True)]
        shift = self.applied_shift(members)
        if shift.any():
            if len(shift) <= MOST_SHIFTS:
                terms.append("shift " + " ".join(f"{value:+.2f}" for value in shift))
            else:
                terms.append(f"shift {shift.min():+.2f} to {shift.max():+.2f}")
        return f"{', '.join(terms)}, fitted on {counted(len(self.held_out), 'validation row')}"


def stack(members: Sequence[FittedMember], targets: HeldOutTargets) -> Stack:
    """Fit the weights and the shift. Raises InputError for logits of another shape than the targets."""
    logits = held_out_logits(members, targets)
    prior = _out_of_fold_weights(members, targets)
    weights, one_shift = _fit(targets.standardised(logits), targets.validation, prior)
    shift = np.full(logits.shape[1], one_shift)
    if targets.scaling is not None:  # 1 - Σ weights is what the members leave of the mean
        shift = (1 - weights.sum()) * targets.scaling.mean
    combined = logits @ weights + shift
    return Stack(weights, shift, combined, _held_out_train(members, weights, combined))


def stack_out_of_fold(members: Sequence[FittedMember], targets: HeldOutTargets, folds: NDArray[np.int64]) -> Array:
    """The held-out logits (n, outputs) of the stack of a classifier, those of each fold from weights and a shift that
    are fitted to the other folds. folds (n,): the fold of each row.
    """
    logits = held_out_logits(members, targets)
    prior = _out_of_fold_weights(members, targets)
    combined = np.empty(targets.validation.values.shape)
    for fold in np.unique(folds):
        held = folds == fold
        fitted = ~held
        weights, shift = _fit(logits[fitted], targets.validation.take(fitted), prior)
        combined[held] = logits[held] @ weights + shift
    return combined


def held_out_logits(members: Sequence[FittedMember], targets: HeldOutTargets) -> Array:
    """Logits (n, outputs, M) of the validation rows. Raises InputError for logits of another shape than the targets."""
    shape = targets.validation.values.shape
    held_out = [fitted.held_out for fitted in members if fitted.held_out is not None]
    if len(held_out) != len(members) or not shape[0] or any(logits.shape != shape for logits in held_out):
        raise InputError("stack: held-out logits and targets must have one shape (n, outputs), with n at least 1")
    return np.stack(held_out, axis=2)


def _fit(logits: Array, targets: WeightedTargets, prior: Array | None = None) -> tuple[Array, float]:
    """Weights (M,) and the shift for logits (n, outputs, M) of n rows. prior (M,): by default 1 for the member with the
    lowest loss and 0 for the others.
    """
    if prior is None:
        losses = []
        for of_member in np.moveaxis(logits, 2, 0):
            row_losses, _ = targets.row_losses(of_member)
            losses.append(targets.mean(row_losses))
        prior = np.zeros(len(losses))
        prior[np.argmin(losses)] = 1.0
    weights, [shift] = fit_shared_weights(logits, targets, prior, L2, one_shift=True)
    # A member of weight 0 is not computed, and the reports say 0.00 of it.
    weights = np.where(weights < SMALLEST, 0.0, weights)
    if abs(shift) < SMALLEST:
        shift = 0.0
    return weights, float(shift)


def _out_of_fold_weights(members: Sequence[FittedMember], targets: HeldOutTargets) -> Array | None:
    """Weights (M,) that are fitted to the out-of-fold logits of the training rows, 0 for members without such logits;
    None where no member has them.
    """
    out_of_fold = [fitted.held_out_train for fitted in members if fitted.held_out_train is not None]
    if not out_of_fold or targets.train is None:
        return None
    logits = targets.standardised(np.stack(out_of_fold, axis=2))
    weights = np.zeros(len(members))
    known = [fitted.held_out_train is not None for fitted in members]
    weights[known], _ = _fit(logits, targets.train)
    return weights


def _held_out_train(members: Sequence[FittedMember], weights: Array, combined: Array) -> Array | None:
    """The ensemble's logits (m, outputs) of the training rows, from the members whose held-out logits of them are
    known: the least-squares line from their sum to the ensemble's logits of the validation rows (n, outputs).
    """
    of_validation = np.zeros(())
    of_train = np.zeros(())
    for weight, fitted in zip(weights, members, strict=True):
        if weight and fitted.held_out_train is not None:
            of_validation = of_validation + weight * fitted.held_out
            of_train = of_train + weight * fitted.held_out_train
    if not of_train.ndim:
        return None
    center = of_validation.mean(axis=0)
    mean = combined.mean(axis=0)
    variance = np.square(of_validation - center).mean(axis=0)
    covariance = ((of_validation - center) * (combined - mean)).mean(axis=0)
    return np.asarray(mean + covariance / np.maximum(variance, 1e-12) * (of_train - center))


def choose_thresholds(
    data: TrainingData, target: Target, fitted: Stack, threshold: Threshold | None, callback: Callback
) -> tuple[tuple[float, ...], str] | None:
    """The thresholds that are asked for, and how the validation set was used for them; None for none. By default: those
    of F1 for multi-label rows and for balanced classes, those of the costs for a weight per class, for which the
    predicted class has the largest w_k p_k, else none. target: of the ensemble.

    "f1" is for two classes the F1 of the class with fewer training rows; the training rows choose too where their
    held-out logits are known. For more classes it is the macro F1.
    """
    each = data.target.each
    if not each.has_probabilities:
        return None
    if threshold is not None and not isinstance(threshold, str):
        return each.given_thresholds(threshold), "with its thresholds"
    if threshold is None:
        costs = None
        if data.class_weights is not None:
            costs = each.cost_thresholds(data.class_weights)
        # Without weights of the classes an error costs the same for each: the most probable class is predicted.
        if costs is None and each.chooses_by_cost:
            return None
        # A weight that a user gives is a cost. "balanced" asks for the rare class to be found: F1 measures that.
        if costs is not None and not data.balanced:
            return costs, "with its thresholds"
    chosen = _f1_thresholds(data, target, fitted)
    callback.log(chosen.line)
    return chosen.thresholds, "used to choose the thresholds"


def _f1_thresholds(data: TrainingData, target: Target, fitted: Stack) -> Chosen:
    """The thresholds of the best F1 on the held-out rows."""
    each = target.each
    rows = data.validation
    logits = fitted.held_out
    # The one threshold of two classes depends on the few rows of the rare class; training rows add some.
    is_threshold_of_two = each.chooses_by_cost and each.threshold_count == 1
    if is_threshold_of_two and fitted.held_out_train is not None:
        rows = np.concatenate([rows, data.train])
        logits = np.concatenate([logits, fitted.held_out_train])
    labels = data.labels[rows]
    probabilities = flat(target.probabilities(shaped_like(logits, labels)))
    weight = data.calibration_targets(rows).weight
    train_counts = target.class_counts(data.labels[data.train])
    assert train_counts is not None
    return each.f1_thresholds(probabilities, flat(labels), weight, train_counts, data.class_weights)
