"""Fit the linear model of the features of words: a conditional random field by L-BFGS.

    Σ_n weight_n loss_n + L2/2 (Σ weight² + Σ transition²)

A feature has a weight of its own for each label with which it occurs in the training rows, and 0 for the others, as in
CRFsuite (Okazaki 2007). Labels that never follow one another get the score that the penalty leaves them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import counted
from gatewise.members.encoded_batch import ragged_steps
from gatewise.members.step_features import PLACES, READ, StepFeatures, neighbours, place_flags
from gatewise.ragged import Ragged
from gatewise.system.cancel import check_cancelled
from gatewise.target import StepTarget
from gatewise.target.crf import Transitions, sequence_losses, shapes
from gatewise.training.members import Run
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

L2 = 0.5
MAX_ITER = 80
MEMORY = 6  # of L-BFGS, in vectors of all weights
_TOLERANCE = 1e-4  # of the loss, relative: below it the labels do not change any more


def fit(data: TrainingData, run: Run) -> FittedMember:
    """The member, fitted to all rows that it may read. Its held-out logits are those of a fit to the training rows."""
    start = time.perf_counter()
    fitted = _fit(data, data.train, None)
    held_out = fitted.logits(ragged_steps(data.full(data.validation)))
    member = fitted
    if not data.own_validation:
        member = _fit(data, data.fitted_rows, fitted)
    seconds = time.perf_counter() - start
    run.callback.log(f"word features: {counted(len(member.weight) - 1, 'feature')}; fitted in {seconds:.1f} s")
    return FittedMember(member, np.zeros(member.outputs), held_out)


def _fit(data: TrainingData, rows: NDArray[np.int64], start: StepFeatures | None) -> StepFeatures:
    """Fit to these rows. start: a fit to some of them, from which the search begins."""
    from scipy.optimize import minimize  # the extra [train]

    problem = _Problem.of(data, rows)
    theta = np.zeros(problem.size)
    if start is not None:
        theta = problem.theta_of(start)
    options = {"maxiter": MAX_ITER, "maxcor": MEMORY, "ftol": _TOLERANCE}
    theta = minimize(problem, theta, jac=True, method="L-BFGS-B", options=options).x
    return problem.member(theta)


@dataclass(frozen=True, eq=False)
class _Design:
    """The features of N steps as a matrix (N, R) of 0 and 1. row: see `StepFeatures`. pairs: the row and the label of
    each weight.
    """

    matrix: Any
    row: NDArray[np.int32]
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def of(cls, words: Ragged, labels: NDArray[np.int64], features: int) -> _Design:
        from scipy.sparse import csr_matrix  # the extra [train]

        steps = len(words.values)
        row = np.zeros((len(READ), features), dtype=np.int32)
        columns = []
        rows = []
        count = 1
        for place, (distance, templates) in enumerate(READ.items()):
            at = neighbours(words.lengths, distance)
            inside = np.flatnonzero(at >= 0)
            ids = words.values[at[inside]][:, 1:][:, list(templates)]
            is_feature = ids > 0
            present = np.unique(ids[is_feature])
            row[place, present] = np.arange(count, count + len(present))
            count += len(present)
            columns.append(row[place, ids[is_feature]])
            rows.append(np.repeat(inside, is_feature.sum(axis=1)))
        column = np.concatenate(columns)
        step = np.concatenate(rows)
        values = np.ones(len(column), dtype=np.float64)
        matrix = csr_matrix((values, (step, column)), shape=(steps, count))
        classes = int(labels.max()) + 1
        keys = np.unique(column.astype(np.int64) * classes + labels[step])
        return cls(matrix, row, (keys // classes, keys % classes))


@dataclass(frozen=True, eq=False)
class _Problem:
    """The loss of n rows as a function of the parameters theta, and its gradient.

    theta: the weights of the pairs of `design`, then the arrays of `forms`, by name and shape. flags: `place_flags` of
    the steps. transposed: the matrix of `design`, transposed. weight (n,): of the rows, 1 in the mean.
    """

    target: StepTarget
    labels: Ragged
    design: _Design
    transposed: Any
    flags: Array
    weight: Array
    forms: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, data: TrainingData, rows: NDArray[np.int64]) -> _Problem:
        target = data.target
        labels = data.labels[rows]
        assert isinstance(target, StepTarget)
        assert isinstance(labels, Ragged)
        words = ragged_steps(data.full(rows))
        design = _Design.of(words, labels.values, data.preprocessor.inputs.word_features)
        weight = data.data.sample_weight[rows]
        count = len(target.classes)
        return cls(
            target,
            labels,
            design,
            design.matrix.T.tocsr(),
            place_flags(words.lengths),
            weight / weight.mean(),
            {"places": (len(PLACES), count), "bias": (count,), **shapes(count)},
        )

    @property
    def size(self) -> int:
        """The number of parameters."""
        return len(self.design.pairs[0]) + sum(int(np.prod(shape)) for shape in self.forms.values())

    def arrays(self, theta: Array) -> dict[str, Array]:
        """The arrays among the parameters; the weights as a matrix (R, K)."""
        weight = np.zeros((self.design.matrix.shape[1], len(self.target.classes)))
        first = len(self.design.pairs[0])
        weight[self.design.pairs] = theta[:first]
        arrays = {"weight": weight}
        for name, shape in self.forms.items():
            end = first + int(np.prod(shape))
            arrays[name] = theta[first:end].reshape(shape)
            first = end
        return arrays

    def theta(self, arrays: dict[str, Array]) -> Array:
        """The parameters from the arrays."""
        of_forms = [arrays[name].ravel() for name in self.forms]
        return np.concatenate([arrays["weight"][self.design.pairs], *of_forms]).astype(np.float64)

    def __call__(self, theta: Array) -> tuple[float, Array]:
        check_cancelled()
        arrays = self.arrays(theta)
        emissions = self.design.matrix @ arrays["weight"] + self.flags @ arrays["places"] + arrays["bias"]
        transitions = Transitions.of(arrays)
        result = sequence_losses(self.labels.with_values(emissions), self.labels.values, transitions, self.weight)
        gradient = self.theta(
            {
                "weight": self.transposed @ result.emissions,
                "places": self.flags.T @ result.emissions,
                "bias": result.emissions.sum(axis=0),
                **result.transitions,
            }
        )
        value = float(self.weight @ result.losses) + 0.5 * L2 * float(theta @ theta)
        return value, gradient + L2 * theta

    def member(self, theta: Array) -> StepFeatures:
        """The member with these parameters, in float32 as in its file, so that a saved model predicts the same."""
        arrays = {name: array.astype(np.float32) for name, array in self.arrays(theta).items()}
        scores = Transitions.of(arrays)
        weight, places, bias = (_of_logits(arrays[name], self.target) for name in ("weight", "places", "bias"))
        return StepFeatures(self.design.row, weight, places, bias, scores)

    def theta_of(self, member: StepFeatures) -> Array:
        """The parameters of a member that was fitted to other rows, for the features of these rows."""
        arrays = {name: _of_classes(getattr(member, name), self.target) for name in ("weight", "places", "bias")}
        weight = np.zeros((self.design.matrix.shape[1], len(self.target.classes)))
        for own, new in zip(member.row, self.design.row, strict=True):
            known = (own > 0) & (new > 0)
            weight[new[known]] = arrays["weight"][own[known]]
        return self.theta({**arrays, "weight": weight, **member.scores.arrays()})


def _of_logits(scores: Array, target: StepTarget) -> Array:
    """Weights (..., outputs) from those of each class (..., K): of two classes the one logit is that of class 1 against
    class 0.
    """
    if target.outputs == 1:
        return scores[..., 1:] - scores[..., :1]
    return scores


def _of_classes(weights: Array, target: StepTarget) -> Array:
    """The reverse of `_of_logits`: of two classes each gets half of the difference."""
    if target.outputs == 1:
        return np.concatenate([-weights / 2, weights / 2], axis=-1)
    return weights
