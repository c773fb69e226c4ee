"""Fit the linear terms of numeric and categorical columns: a generalised linear model with an L2 penalty.

Numbers are standardised; a missing one is 0 and has an indicator. A category that the schema of the rows knows has an
indicator, all others share one. The penalty is that of scikit-learn's LogisticRegression on the same features.

The held-out logits come from a cross-validation. Where the validation set must not be trained on, they come from the
fit to the training rows. Either way the stack reads logits of rows that the terms were not fitted to.
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
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.training.dense_solver import fit_glm
from gatewise.training.members import Run
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData
from gatewise.training.weighted_targets import WeightedTargets

L2 = 1.0  # as in scikit-learn's LogisticRegression
FOLDS = 5


def fit(data: TrainingData, run: Run) -> FittedMember:
    """The member of the columns."""
    rows = data.fitted_rows
    fitted = _fit(data, rows)
    held_out = np.zeros((len(data.labels), fitted.member.outputs))
    held_out_train = None
    if data.own_validation:
        held_out[data.validation] = fitted.logits(data.full(data.validation))
    else:
        folds = data.folds  # those of the network, so that the stack reads logits of the same fits
        if not folds:
            folds = tuple(held for _, held in cross_validation_folds(data.data, FOLDS, 0))
        for held in folds:
            held_out[held] = _fit(data, np.setdiff1d(rows, held)).logits(data.full(held))
        held_out_train = held_out[data.train]
    categories = sum(len(column.categories) for column in fitted.member.schema.categorical)
    run.callback.log(f"columns {data.preprocessor.columns}: {counted(categories, 'category', 'categories')}")
    return replace(fitted, held_out=held_out[data.validation], held_out_train=held_out_train)


def _fit(data: TrainingData, rows: NDArray[np.int64]) -> FittedMember:
    """Fit to these rows, without held-out logits."""
    from scipy.sparse import csr_matrix, hstack  # the extra [train]

    sequences = data.full(rows)
    empty = described(data.preprocessor.columns, sequences, data.target.outputs)
    z, places = empty.read(sequences)  # numbers (n, P); the row of `offset` of each column (n, P + K)
    size = len(empty.offset)
    ends = np.arange(len(rows) + 1) * places.shape[1]
    indicators = csr_matrix((np.ones(places.size), places.ravel(), ends), shape=(len(rows), size))
    targets = _targets(data, rows)
    # The bias of this fit is left out: the other members have one.
    weights, _ = fit_glm(
        hstack([csr_matrix(z), indicators], format="csr"),
        targets,
        L2,
    )
    slope, offset = np.split(weights, [z.shape[1]])
    share = np.asarray(targets.weight @ indicators) / len(rows)
    # The indicators of a column add up to 1, as the bias does; the term of each column gets the mean 0.
    for low, high in pairwise([*empty.first.tolist(), size]):
        offset[low:high] -= share[low:high] @ offset[low:high]
    scaling = data.target_scaling
    if scaling is None:
        bias = np.zeros(data.target.outputs)
    else:
        slope = scaling.scale * slope
        offset = scaling.scale * offset
        bias = scaling.mean
    member = replace(empty, slope=slope.astype(np.float32), offset=offset.astype(np.float32))
    return FittedMember(member, bias)


def _targets(data: TrainingData, rows: NDArray[np.int64]) -> WeightedTargets:
    """The targets with one weight per row, mean 1: with class weights where a row has one class. In multi-label data
    each label has a class weight, and this fit has one weight per row, so the sample weights remain.
    """
    if data.target.each.column_classes is None:
        return data.targets(rows).normalised
    return data.calibration_targets(rows)


def described(schema: RowSchema, sequences: Sequence[EncodedSequence], outputs: int) -> Columns:
    """The member with the means, deviations and categories of these sequences, and weights of 0."""
    rows = [sequence.columns for sequence in sequences]
    schema = schema.fitted(rows)
    count = len(schema.numeric)
    numbers = np.array([row[:count] for row in rows], dtype=np.float64).reshape(len(rows), count)
    mean = np.zeros(count)
    deviation = np.ones(count)
    for place, column in enumerate(numbers.T):
        known = column[~np.isnan(column)]
        if len(known):
            mean[place] = known.mean()
        if len(known) and known.min() < known.max():  # the deviation of equal numbers can be above 0 by rounding
            deviation[place] = known.std() or 1.0  # the squares of numbers below 1e-162 are 0
    categories = sum(1 + len(column.categories) for column in schema.categorical)  # 1: a category that is not known
    size = 2 * count + categories  # 2: a number is known or missing
    zeros = np.zeros((size, outputs), dtype=np.float32)
    return Columns(schema, mean, deviation, zeros[:count], zeros)
