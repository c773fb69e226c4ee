"""Fit the linear terms of numeric and categorical columns: a generalised linear model with an L2 penalty.

Numbers are standardised; a missing one is 0 and has an indicator. A category that the schema of the rows knows has an
indicator, all others share one. The penalty is that of scikit-learn's LogisticRegression on the same features.

Held-out logits are those of a cross-validation, or where the validation set must not be trained on, those of the
training rows' fit. So the stack sees what the columns tell of rows that they were not fitted to.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gatewise.data.schema import RowSchema
from gatewise.data.splits import cross_validation_folds
from gatewise.errors import counted
from gatewise.members.columns import Columns
from gatewise.row import columns_of
from gatewise.training.dense_solver import fit_glm
from gatewise.training.members import Run
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

L2, FOLDS = 1.0, 5


def fit(data: TrainingData, run: Run) -> FittedMember:
    """The member of the columns."""
    rows = data.fitted_rows
    found = _fit(data, rows)
    held_out, of_train = np.zeros((len(data.labels), found.member.outputs)), None
    if data.own_validation:
        held_out[data.validation] = found.logits(data.full(data.validation))
    else:
        folds = data.folds or [held for _, held in cross_validation_folds(data.data, FOLDS, 0)]
        for held in folds:
            held_out[held] = _fit(data, np.setdiff1d(rows, held)).logits(data.full(held))
        of_train = held_out[data.train]
    categories = sum(len(one.categories) for one in found.member.schema.categorical)
    run.callback.log(f"columns {data.preprocessor.columns}: {counted(categories, 'category', 'categories')}")
    return replace(found, held_out=held_out[data.validation], held_out_train=of_train)


def _fit(data: TrainingData, rows: NDArray[np.int64]) -> FittedMember:
    """Fit to these rows, without held-out logits."""
    from scipy.sparse import csr_matrix, hstack  # the extra [train]

    sequences, outputs, scaling = data.full(rows), data.target.outputs, data.target_scaling
    empty = described(data.preprocessor.columns, sequences, outputs)
    z, places = empty.read(sequences)
    size, width = len(empty.offset), places.shape[1]
    ends = np.arange(len(rows) + 1) * width
    indicators = csr_matrix((np.ones(places.size), places.ravel(), ends), shape=(len(rows), size))
    weight = data.data.sample_weight[rows]
    if data.target.column_classes is None and data.weights is not None:
        weight = np.asarray(data.weights[rows], dtype=np.float64)
    weight = weight / weight.mean()
    found, _ = fit_glm(  # the bias is that of the other members
        hstack([csr_matrix(z), indicators], format="csr"),
        data.targets(rows),
        L2,
        loss=data.target.loss,
        sample_weight=weight,
    )
    slope, offset = np.split(found, [z.shape[1]])
    share = np.asarray(weight @ indicators) / len(rows)
    for low, high in pairwise([*empty.first.tolist(), size]):  # each column's term has mean 0
        offset[low:high] -= share[low:high] @ offset[low:high]
    scale, bias = (1.0, np.zeros(outputs)) if scaling is None else (scaling.scale, scaling.mean)
    slope, offset = (np.asarray(scale * one, dtype=np.float32) for one in (slope, offset))
    return FittedMember(replace(empty, slope=slope, offset=offset), bias, adds=True)


def described(schema: RowSchema, sequences: Sequence[Array], outputs: int) -> Columns:
    """The member with the means, deviations and categories of these sequences, and weights of 0."""
    rows = [columns_of(one) for one in sequences]
    schema, count = schema.fitted(rows), len(schema.numeric)
    numbers = np.array([row[:count] for row in rows], dtype=np.float64).reshape(len(rows), count)
    mean, deviation = np.zeros(count), np.ones(count)
    for place, column in enumerate(numbers.T):
        known = column[~np.isnan(column)]
        if len(known):
            mean[place] = known.mean()
        if len(known) and known.min() < known.max():  # the deviation of equal numbers can be above 0 by rounding
            deviation[place] = known.std() or 1.0  # the squares of numbers below 1e-162 are 0
    size = 2 * count + sum(1 + len(one.categories) for one in schema.categorical)
    zeros = np.zeros((size, outputs), dtype=np.float32)
    return Columns(schema, mean, deviation, zeros[:count], zeros)
