"""The stack of members with transitions: their weights, by the loss of whole held-out sequences.

    score(y) = Σ_m weight_m score_m(y)        weight_m >= 0, score_m: of a conditional random field (`target.crf`)

The weights minimise the loss of the held-out sequences and the penalty

    L2/2 Σ_m (weight_m - 1/M)²

Members that read the same words are right and wrong together, so a few rows do not tell their weights: the prior is
that all are equal. Many rows override it, and of one member alone the weight is the temperature (Guo et al. 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.ragged import Ragged
from gatewise.target import StepTarget
from gatewise.target.crf import Transitions, sequence_losses
from gatewise.training.stack import SMALLEST, FittedMember, Stack
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

L2 = 5.0  # as that of `gatewise.training.stack`


def has_transitions(members: Sequence[FittedMember]) -> bool:
    """Whether the members are stacked here."""
    return any(fitted.member.transitions is not None for fitted in members)


def stack_sequences(members: Sequence[FittedMember], data: TrainingData) -> Stack:
    """The weights of the members, and the held-out logits of the ensemble, without transitions."""
    held_out = _HeldOut.of(members, data)
    weights = held_out.fitted_weights(np.arange(len(held_out.labels)))
    combined = held_out.logits @ weights
    return Stack(weights, np.zeros(combined.shape[1]), combined)


def marginals_out_of_fold(
    members: Sequence[FittedMember], data: TrainingData, folds: NDArray[np.int64]
) -> tuple[Array, Array]:
    """See `gatewise.training.calibration.OutOfFold`; the logits are those of the marginals."""
    held_out = _HeldOut.of(members, data)
    before = held_out.marginals(np.arange(len(folds)), np.ones(len(members)))
    after = np.empty_like(before)
    for fold in np.unique(folds):
        rows = np.flatnonzero(folds == fold)
        weights = held_out.fitted_weights(np.flatnonzero(folds != fold))
        after[held_out.labels.steps_of(rows)] = held_out.marginals(rows, weights)
    return before, after


class _HeldOut(NamedTuple):
    """labels: of n held-out rows. logits (N, outputs, M): of their steps, of M members, bias included. transitions: of
    each member. weight (n,): of the rows.
    """

    target: StepTarget
    labels: Ragged
    logits: Array
    transitions: list[Transitions]
    weight: Array

    @classmethod
    def of(cls, members: Sequence[FittedMember], data: TrainingData) -> _HeldOut:
        target = data.target
        labels = data.labels[data.validation]
        assert isinstance(target, StepTarget)
        assert isinstance(labels, Ragged)
        none = Transitions.zeros(len(target.classes))
        logits = [fitted.held_out for fitted in members if fitted.held_out is not None]
        weight = data.data.sample_weight[data.validation]
        return cls(
            target,
            labels,
            np.stack(logits, axis=2),
            [fitted.member.transitions or none for fitted in members],
            weight / weight.mean(),
        )

    def fitted_weights(self, rows: NDArray[np.int64]) -> Array:
        """The weights (M,) with the lowest loss of these rows."""
        from scipy.optimize import minimize  # the extra [train]

        labels = self.labels[rows]
        steps = self.labels.steps_of(rows)
        emissions = [
            self.target.emissions(labels.with_values(of_member)).values
            for of_member in np.moveaxis(self.logits[steps], 2, 0)
        ]
        prior = np.full(len(emissions), 1 / len(emissions))
        weight = self.weight[rows]

        def objective(weights: Array) -> tuple[float, Array]:
            total = labels.with_values(sum(w * e for w, e in zip(weights, emissions, strict=True)))
            result = sequence_losses(total, labels.values, self.combined(weights), weight)
            slopes = [
                float((result.emissions * e).sum()) + _inner(result.transitions, transitions)
                for e, transitions in zip(emissions, self.transitions, strict=True)
            ]
            change = weights - prior
            value = float(weight @ result.losses) + 0.5 * L2 * float(change @ change)
            return value, np.array(slopes) + L2 * change

        bounds = [(0, None)] * len(prior)
        weights: Array = minimize(objective, prior, jac=True, method="L-BFGS-B", bounds=bounds).x
        # A member of weight 0 is not computed, and the reports say 0.00 of it.
        return np.where(weights < SMALLEST, 0.0, weights)

    def combined(self, weights: Array) -> Transitions:
        """The weighted sum of the transitions."""
        first, *others = (
            of_member.scaled(weight) for of_member, weight in zip(self.transitions, weights.tolist(), strict=True)
        )
        return sum(others, start=first)

    def marginals(self, rows: NDArray[np.int64], weights: Array) -> Array:
        """Logits (N', outputs) of the marginals of the steps of these rows."""
        logits = self.labels[rows].with_values(self.logits[self.labels.steps_of(rows)] @ weights)
        marginals: Ragged = self.target.with_transitions(self.combined(weights)).marginal_logits(logits)
        return marginals.values


def _inner(gradients: dict[str, Array], transitions: Transitions) -> float:
    """Σ gradient · score over all transitions but those that never occur."""
    total = 0.0
    for name, array in transitions.arrays().items():
        total += float((gradients[name] * np.where(np.isneginf(array), 0.0, array)).sum())
    return total
