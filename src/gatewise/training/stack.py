"""The stack: weights of the members, shift, calibration and thresholds, from held-out logits of all members together.

    logit = Σ_m weight_m logit_m + shift

is fitted by logistic regression (Platt 1999; with one member the weight is the temperature of Guo et al. 2017), for
multi-label rows with one cross-entropy per label, for a regression by least squares of the standardised numbers
(Breiman 1996, "Stacked regressions"). Weights are scalars, the shift has one value per logit. The penalty

    Σ_m l2_m/2 (weight_m - prior_m)² + L2/2 |shift|²

draws towards the plain sum of the members: a hundred rows cannot lead far away from it, and thousands override it.
Members that predict the same, each alone, are drawn towards their mean: those of a regression, those that learn the
soft labels of a teacher, and the classifiers of a stacked teacher. Where a member leads, which is calibrated on
held-out rows by its own fit, the others are drawn towards 0, and are at least 0: on few rows, from which a network
learns next to nothing, the calibrated member remains. Not so a member that reads what the others do not, such as
columns: its logits add up with theirs. Where held-out logits of the training rows are known of it and of others, their
weights for these rows are what theirs are drawn towards.
A weight that a report would print as 0.00 is 0, so that the member is not computed and the reports say so.

A decision threshold is the probability from which a label is predicted (`gatewise.target.thresholds`). For two classes
the training rows choose too, where cross-validated n-grams give their held-out logits.

All of it follows from the held-out logits, so a resumed run ends with the same bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted
from gatewise.losses import CROSS_ENTROPY, Loss
from gatewise.members.ensemble import Ensemble
from gatewise.ragged import flat
from gatewise.target import Target
from gatewise.target.thresholds import Threshold as Threshold
from gatewise.training.callback import Callback
from gatewise.training.dense_solver import fit_glm
from gatewise.training.network_data import TargetScaling
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

SMALLEST = 0.005  # a weight, see above
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
    l2: float = L2
    """Penalty of its weight."""
    others_l2: float = 0.0
    """Above 0 where the member leads: the penalty of the other members' weights."""
    shifts: bool = True
    """Whether the stack may shift the logits; False for a member that is calibrated on all rows."""
    adds: bool = False
    """Whether it reads what the others do not, so that its logits are added to theirs."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ModelMetadata` about the fit."""
    history: str = ""
    """The history of the fit, JSON lines."""

    def logits(self, sequences: Sequence[Array]) -> Array:
        """Logits (n, outputs) of n full sequences."""
        return np.asarray(self.member.logits(sequences) + self.bias)


class Stack(NamedTuple):
    """What `stack` found: weights (M,) and shift (outputs,) of the members' logits, bias included; the ensemble's
    held-out logits of the validation rows, and of the training rows where these are known.
    """

    weights: Array
    shift: Array
    held_out: Array
    held_out_train: Array | None = None

    def ensemble(self, members: Sequence[FittedMember], target: Target) -> Ensemble:
        """The members with these weights."""
        weights = tuple(self.weights.tolist())
        return Ensemble(tuple(one.member for one in members), weights, self.applied_shift(members), target)

    def applied_shift(self, members: Sequence[FittedMember]) -> Array:
        """The shift (outputs,) of the ensemble: the one that was fitted, and the biases of the members times their
        weights.
        """
        biases = [weight * one.bias for weight, one in zip(self.weights, members, strict=True)]
        return np.asarray(sum(biases, start=self.shift), dtype=np.float64)

    def describe(self, members: Sequence[FittedMember]) -> str:
        """The weights in a line, with the shift that the ensemble applies."""
        parts = [f"{one.member.noun} x {weight:.2f}" for weight, one in zip(self.weights, members, strict=True)]
        shift = self.applied_shift(members)
        if shift.any():
            few = len(shift) <= MOST_SHIFTS
            shifts = shift if few else (shift.min(), shift.max())
            parts.append("shift " + (" " if few else " to ").join(f"{value:+.2f}" for value in shifts))
        return f"{', '.join(parts)}, fitted on {counted(len(self.held_out), 'validation row')}"


def stack(
    members: Sequence[FittedMember],
    targets: Array,
    *,
    loss: Loss = CROSS_ENTROPY,
    mean: bool = False,
    scaling: TargetScaling | None = None,
    sample_weight: Array | None = None,
    calibrate: bool = True,
    train_targets: Array | None = None,
) -> Stack:
    """Fit weights and shift to targets (n, outputs), see `TrainingData.targets`, with weights sample_weight (n,).

    mean: whether the members are drawn towards their mean; scaling: of a regression, whose held-out logits have the
    unit of the numbers. calibrate: False for weights of 1 and no shift. train_targets: of the training rows (m,
    outputs). Raises InputError for logits of other shapes.
    """
    logits = _held_out_logits(members, targets)
    weights, shift = np.ones(len(members)), np.zeros(targets.shape[1])
    if calibrate:
        penalty = _Penalty.of(members, mean, loss, train_targets)
        weights, shift = penalty.fit(logits, targets, loss, scaling, sample_weight)
    combined = logits @ weights + shift
    return Stack(weights, shift, combined, _held_out_train(members, weights, combined))


def plain_sum(members: Sequence[FittedMember], targets: Array, *, mean: bool = False) -> Array:
    """The held-out logits (n, outputs) of the sum of the members, or of their mean, without a fit."""
    logits = _held_out_logits(members, targets)
    return np.asarray(logits.mean(axis=2) if mean else logits.sum(axis=2))


def stack_out_of_fold(
    members: Sequence[FittedMember],
    targets: Array,
    folds: NDArray[np.int64],
    *,
    loss: Loss = CROSS_ENTROPY,
    mean: bool = False,
    sample_weight: Array | None = None,
    train_targets: Array | None = None,
) -> Array:
    """The held-out logits (n, outputs) of the stack of a classifier, those of each fold from weights and a shift that
    are fitted to the other folds. folds (n,): the fold of each row; the other arguments are those of `stack`.
    """
    logits = _held_out_logits(members, targets)
    penalty = _Penalty.of(members, mean, loss, train_targets)
    combined = np.empty(targets.shape)
    for fold in np.unique(folds):
        held, others = folds == fold, folds != fold
        of_others = None if sample_weight is None else sample_weight[others]
        weights, shift = penalty.fit(logits[others], targets[others], loss, None, of_others)
        combined[held] = logits[held] @ weights + shift
    return combined


def _held_out_logits(members: Sequence[FittedMember], targets: Array) -> Array:
    """Logits (n, outputs, M). Raises InputError for logits of another shape than the targets."""
    held_out = [one.held_out for one in members if one.held_out is not None]
    if len(held_out) != len(members) or not len(targets) or any(one.shape != targets.shape for one in held_out):
        raise InputError("stack: held-out logits and targets must have one shape (n, outputs), with n at least 1")
    return np.stack(held_out, axis=2)


class _Penalty(NamedTuple):
    """What draws the weights of the members, see the top of this file. prior, l2 (M,): of each weight; l2_shift: None
    for no shift; lowest: of a weight, None for no bound.
    """

    prior: Array
    l2: Array
    l2_shift: float | None
    lowest: float | None

    @classmethod
    def of(cls, members: Sequence[FittedMember], mean: bool, loss: Loss, train_targets: Array | None) -> "_Penalty":
        """From the members, and from the targets of the training rows (m, outputs) where these are known."""
        leads = [one.others_l2 for one in members]
        adds = np.array([one.adds for one in members])
        prior = np.full(len(members), 1 / len(members) if mean else 1.0)
        if any(leads):
            prior = np.where(adds, 1.0, np.sign(leads))
        l2 = np.array(
            [
                one.l2 if lead or one.adds or not any(leads) else max(leads)
                for one, lead in zip(members, leads, strict=True)
            ]
        )
        known = [one.held_out_train is not None for one in members]
        if train_targets is not None and sum(known) > 1 and adds.any():
            of_train = np.stack([one.held_out_train for one in members if one.held_out_train is not None], axis=2)
            given: dict[str, Any] = {"prior": prior[known], "l2_shift": L2, "lowest": 0.0}
            prior[known] = fit_glm(of_train, train_targets, l2[known], loss=loss, **given)[0]
        shifts = all(one.shifts for one in members) or adds.any()
        l2_shift = min(one.l2 for one in members) if shifts else None
        return cls(prior, l2, l2_shift, 0.0 if any(leads) else None)

    def fit(
        self, logits: Array, targets: Array, loss: Loss, scaling: TargetScaling | None, sample_weight: Array | None
    ) -> tuple[Array, Array]:
        """Weights (M,) and shift (outputs,) from held-out logits (n, outputs, M) and targets (n, outputs)."""
        standardised = logits
        if scaling is not None:
            standardised = scaling.transform(logits.transpose(0, 2, 1)).transpose(0, 2, 1)
        options: dict[str, Any] = {"l2_shift": self.l2_shift, "lowest": self.lowest, "sample_weight": sample_weight}
        weights, shift = fit_glm(standardised, targets, self.l2, loss=loss, prior=self.prior, **options)
        weights = np.where(np.abs(weights) < SMALLEST, 0.0, weights)
        if scaling is not None:  # 1 - Σ weights is what the members leave of the mean
            shift = (1 - weights.sum()) * scaling.mean + scaling.scale * shift
        return weights, shift


def _held_out_train(members: Sequence[FittedMember], weights: Array, combined: Array) -> Array | None:
    """The ensemble's logits (m, outputs) of the training rows, from the members whose held-out logits of them are
    known: the least-squares line from their sum to the ensemble's logits of the validation rows (n, outputs).
    """
    known = [(weight, one) for weight, one in zip(weights, members, strict=True) if one.held_out_train is not None]
    if not any(weight for weight, _ in known):
        return None
    of_validation, of_train = (
        np.asarray(sum(weight * getattr(one, name) for weight, one in known)) for name in ("held_out", "held_out_train")
    )
    center, mean = of_validation.mean(axis=0), combined.mean(axis=0)
    variance = np.square(of_validation - center).mean(axis=0)
    covariance = ((of_validation - center) * (combined - mean)).mean(axis=0)
    return np.asarray(mean + covariance / np.maximum(variance, 1e-12) * (of_train - center))


def choose_thresholds(
    data: TrainingData, found: Stack, threshold: Threshold | None, callback: Callback
) -> tuple[tuple[float, ...], str] | None:
    """The thresholds that are asked for, and how the validation set was used for them; None for none. By default: those
    of F1 for multi-label rows and for balanced classes, those of the costs for a weight per class, for which the
    predicted class has the largest w_k p_k, else none.

    "f1" is for two classes the F1 of the class with fewer training rows; the training rows choose too where their
    held-out logits are known. For more classes it is the macro F1.
    """
    target = data.target
    if not target.each.has_probabilities:
        return None
    if threshold is None:
        costs = None if data.class_weights is None else target.each.cost_thresholds(data.class_weights)
        if target.each.chooses_by_cost and costs is None:
            return None
        if costs is not None and not data.balanced:
            return costs, "with its thresholds"
    elif not isinstance(threshold, str):
        return target.each.given_thresholds(threshold), "with its thresholds"
    rows, logits = data.validation, found.held_out
    if found.held_out_train is not None and target.each.chooses_by_cost and target.each.threshold_count == 1:
        rows = np.concatenate([rows, data.train])
        logits = np.concatenate([logits, found.held_out_train])
    labels = flat(data.labels[rows])
    sample_weight = data.sample_weight(rows)
    weight = np.ones(len(labels)) if sample_weight is None else sample_weight
    trained = target.class_counts(data.labels[data.train])
    assert trained is not None
    chosen = target.each.f1_thresholds(target.probabilities(logits), labels, weight, trained, data.class_weights)
    callback.log(chosen.line)
    return chosen.thresholds, "used to choose the thresholds"
