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
            found = np.unique(ids[is_feature])
            row[place, found] = np.arange(count, count + len(found))
            count += len(found)
            columns.append(row[place, ids[is_feature]])
            rows.append(np.repeat(inside, is_feature.sum(axis=1)))
        column = np.concatenate(columns)
        step = np.concatenate(rows)
        values = np.ones(len(column), dtype=np.float64)
        matrix = csr_matrix((values, (step, column)), shape=(steps, count))
        keys = np.unique(column.astype(np.int64) * (int(labels.max()) + 1) + labels[step])
        return cls(matrix, row, (keys // (int(labels.max()) + 1), keys % (int(labels.max()) + 1)))


def _fit(data: TrainingData, rows: NDArray[np.int64], start: StepFeatures | None) -> StepFeatures:
    """Fit to these rows. start: a fit to some of them, from which the search begins."""
    from scipy.optimize import minimize  # the extra [train]

    target = data.target
    assert isinstance(target, StepTarget)
    labels: Ragged = data.labels[rows]  # type: ignore[assignment]
    words = ragged_steps(data.full(rows))
    count = len(target.classes)
    design = _Design.of(words, labels.values, data.preprocessor.inputs.word_features)
    flags = place_flags(words.lengths)
    weight_of_row = data.data.sample_weight[rows]
    weight_of_row = weight_of_row / weight_of_row.mean()
    size = design.matrix.shape[1]
    n_weights = len(design.pairs[0])
    forms = {"places": (len(PLACES), count), "bias": (count,), **shapes(count)}
    transposed = design.matrix.T.tocsr()

    def parts(theta: Array) -> dict[str, Array]:
        """The arrays among the parameters."""
        dense = np.zeros((size, count))
        dense[design.pairs] = theta[:n_weights]
        arrays = {"weight": dense}
        first = n_weights
        for name, shape in forms.items():
            end = first + int(np.prod(shape))
            arrays[name] = theta[first:end].reshape(shape)
            first = end
        return arrays

    def objective(theta: Array) -> tuple[float, Array]:
        check_cancelled()
        arrays = parts(theta)
        emissions = design.matrix @ arrays["weight"] + flags @ arrays["places"] + arrays["bias"]
        found = sequence_losses(labels.with_values(emissions), labels.values, Transitions.of(arrays), weight_of_row)
        gradients = {
            "places": flags.T @ found.emissions,
            "bias": found.emissions.sum(axis=0),
            **found.transitions,
        }
        of_weights = (transposed @ found.emissions)[design.pairs]
        gradient = np.concatenate([of_weights, *(gradients[name].ravel() for name in forms)])
        value = float(weight_of_row @ found.losses) + 0.5 * L2 * float(theta @ theta)
        return value, gradient + L2 * theta

    theta = np.zeros(n_weights + sum(int(np.prod(shape)) for shape in forms.values()))
    if start is not None:
        theta = _start(start, design, forms, target)
    options = {"maxiter": MAX_ITER, "maxcor": MEMORY, "ftol": _TOLERANCE}
    theta = minimize(objective, theta, jac=True, method="L-BFGS-B", options=options).x
    arrays = parts(theta)
    scores = Transitions.of(arrays)
    for name in ("weight", "places", "bias"):
        arrays[name] = _of_logits(arrays[name], target).astype(np.float32)
    return StepFeatures(design.row, arrays["weight"], arrays["places"], arrays["bias"], scores)


def _of_logits(scores: Array, target: StepTarget) -> Array:
    """Weights (..., outputs) from those of each class (..., K): of two classes the one logit is that of class 1 against
    class 0.
    """
    if target.outputs == 1:
        return scores[..., 1:] - scores[..., :1]
    return scores


def _start(member: StepFeatures, design: _Design, forms: dict[str, tuple[int, ...]], target: StepTarget) -> Array:
    """The parameters of a member, for the features of a design."""
    count = len(target.classes)
    dense = np.zeros((design.matrix.shape[1], count))
    arrays = {"places": member.places, "bias": member.bias, "weight": member.weight}
    if target.outputs == 1:
        arrays = {name: np.concatenate([-array / 2, array / 2], axis=-1) for name, array in arrays.items()}
    for own, new in zip(member.row, design.row, strict=True):
        known = (own > 0) & (new > 0)
        dense[new[known]] = arrays["weight"][own[known]]
    values = {**arrays, **member.scores.arrays()}
    return np.concatenate([dense[design.pairs], *(values[name].ravel() for name in forms)]).astype(np.float64)
