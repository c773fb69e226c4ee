"""Fit the convolutions of series: thresholds of MiniRocket, then ridge regression.

Banks (Dempster, Schmidt & Webb 2021): dilations from 1 to (length - 1) / 8 spaced exponentially, at most 32; thresholds
of a kernel at a dilation are quantiles of its convolution with one random training series, at the fractions of the low
discrepancy sequence φ, 2φ, 3φ, ... (modulo 1, φ the golden ratio); several channels: a random subset of at most nine
per kernel and dilation. All features read the channels, or half of them the first differences, as in MultiRocket (Tan
et al. 2022).

Ridge regression (`dense_solver`) of the targets on the standardised features, in the n x n kernel matrix, with values
of each fold from a fit to the others. Standardisation and thresholds are those of all rows. l2, the channels or
differences, and how far rare features are scaled up are chosen by the loss of these out-of-fold values. Classes are
targets of -1 and 1, whose values a scale and a shift turn into logits (Platt 1999), on out-of-fold values too.

The matrix of more than MOST_ROWS rows would be too large: ZᵀZ of fewer features takes its place, and one fold is held
out to choose l2. Memory is bounded then.

In the stack the convolutions lead: on most small data sets they are far more accurate than a network, and it is the
network that has to show what it adds. They are calibrated on all rows, and twenty validation rows would move each
class, so there is no shift (docs/log/series.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.data.split import leave_one_out_folds
from gatewise.errors import InputError, counted
from gatewise.kernels.convolution import CENTRE, KERNELS, Banks, convolve
from gatewise.members.convolutions import Convolutions, features_of, with_differences
from gatewise.training.dense_solver import Ridge, RidgeSums
from gatewise.training.members import Run
from gatewise.training.stack import FittedMember, calibrated
from gatewise.training.training_data import MOST_ROWS, TargetScaling, TrainingData
from gatewise.types import Array, Task

FEATURES = 9_996  # 84 x 119, as in the paper
MOST_DILATIONS = 32
MOST_CHANNELS = 9
FEATURES_OF_MANY = 2_520  # 84 x 30, of more than MOST_ROWS rows
ROWS_PER_CHUNK = 512
MOST_STEPS = 4_096  # of a series, whose convolutions give thresholds
L2 = tuple(10.0**exponent for exponent in np.arange(-4, 3.01, 0.5))
FLOORS = (0.01, 0.1)  # added to the deviation of a feature: how little the rare ones are scaled up
SCALE, SCALE_L2 = 3.0, 0.5  # of logits from values of -1 to 1: what few rows are drawn towards, and how strongly
WEIGHT_L2 = 1.0  # penalty of every member's weight beside convolutions
GOLDEN = (1 + math.sqrt(5)) / 2


def fit(training_data: TrainingData, run: Run) -> FittedMember | None:
    """The convolutions of series; None for texts and without them in the recipe."""
    data, features, start = training_data.data, training_data.recipe.convolutions.features, time.perf_counter()
    if not features or data.kind != "series":
        return None
    validation = training_data.validation
    rows = training_data.train if training_data.own_validation else np.arange(len(data))
    if len(rows) > MOST_ROWS and not training_data.own_validation:
        folds = [validation]
    else:
        folds = leave_one_out_folds(data.take(rows))
        if len(rows) > MOST_ROWS:
            folds = [np.concatenate(folds[::5])]
    sample_weight, logit_shift = training_data.sample_weight(rows), training_data.logit_shift
    weight = sample_weight
    if data.task == "multilabel":  # one ridge regression has one weight per row, not one per label
        logit_shift = None
    elif logit_shift is not None and training_data.weights is not None:
        weight = training_data.weights[rows]
    found, out_of_fold, summary = fit_convolutions(
        training_data.full(rows),
        training_data.targets(rows),
        data.task,
        folds,
        features=features,
        seed=run.seed,
        weight=weight,
        sample_weight=sample_weight,
        logit_shift=logit_shift,
        scaling=training_data.target_scaling,
    )
    run.callback.log(f"convolutions: {summary}; fitted in {time.perf_counter() - start:.1f} s")
    own = training_data.own_validation
    held_out = found.logits(training_data.full(validation)) if own else out_of_fold[validation]
    return replace(found, held_out=held_out, l2=WEIGHT_L2, others_l2=WEIGHT_L2, shifts=False)


def dilations_of(length: int, per_kernel: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Dilations (D,) for series of this length, and how many of the `per_kernel` thresholds each gets (D,)."""
    most = min(per_kernel, MOST_DILATIONS)
    exponents = np.linspace(0, max(0.0, math.log2(max(length - 1, 1) / (2 * CENTRE))), most)
    dilations, counts = np.unique((2**exponents).astype(np.int32), return_counts=True)
    counts = counts * per_kernel // most
    counts = np.maximum(counts, 1)
    counts[: per_kernel - counts.sum()] += 1  # the rest, from the smallest dilation on
    return dilations.astype(np.int32), counts.astype(np.int32)


def fit_banks(sequences: Sequence[Array], features: int, rng: np.random.Generator, differences: bool = True) -> Banks:
    """Banks of about `features` features for series (length, C)."""
    channels = sequences[0].shape[1]
    length = max(len(s) for s in sequences)
    kinds = 2 if differences else 1
    dilations, counts = dilations_of(length, max(1, features // len(KERNELS) // kinds))
    masks = np.zeros((kinds, len(dilations), len(KERNELS), 2 * channels), dtype=np.uint8)
    for kind in range(kinds):
        for mask in masks[kind].reshape(-1, 2 * channels):
            size = int(2 ** rng.uniform(0, math.log2(min(channels, MOST_CHANNELS) + 1)))
            mask[kind * channels + rng.choice(channels, size, replace=False)] = 1
    dilations, counts = np.tile(dilations, kinds), np.tile(counts, kinds)
    masks = masks.reshape(len(dilations), len(KERNELS), 2 * channels)
    usable = [s for s in sequences if len(s)]
    fractions = np.arange(1, len(KERNELS) * int(counts.sum()) + 1) * GOLDEN % 1
    thresholds, first = np.empty(len(fractions), dtype=np.float32), 0
    series = with_differences(usable)
    for dilation, count, mask in zip(dilations.tolist(), counts.tolist(), masks, strict=True):
        for kernel in range(len(KERNELS)):
            x, one = series[rng.integers(len(series))], slice(kernel, kernel + 1)
            steps = np.linspace(0, len(x) - 1, MOST_STEPS).astype(np.int64) if len(x) > MOST_STEPS else None
            conv = convolve(x, dilation, mask[one], taps_of=KERNELS[one], steps=steps)[0]
            thresholds[first : first + count] = np.quantile(conv, fractions[first : first + count])
            first += count
    return Banks(dilations, counts, masks, thresholds)


class _Fit(NamedTuple):
    """One choice of features and l2: ridge weights (F, outputs) and bias of standardised features, values (n, outputs)
    out of fold, and their loss.
    """

    loss: float
    banks: Banks
    mean: Array
    scale: Array
    weight: Array
    bias: Array
    values: Array
    summary: str


def fit_convolutions(
    sequences: Sequence[Array],
    targets: Array,
    task: Task,
    folds: Sequence[NDArray[np.int64]],
    *,
    features: int = FEATURES,
    seed: int = 0,
    weight: Array | None = None,
    sample_weight: Array | None = None,
    logit_shift: Array | None = None,
    scaling: TargetScaling | None = None,
) -> tuple[FittedMember, Array, str]:
    """The convolutions of n series (length, C); their logits (n, outputs) from a fit to other rows, NaN where a row is
    in no fold; and what was chosen, in a line. Equal arguments give equal results.

    targets (n, outputs): see `TrainingData.targets`. folds: row numbers, each row at most once; the rows of one fold
    are predicted from all others. weight (n,): of the rows in the fit and in the loss that chooses it; sample_weight
    (n,): in the calibration. logit_shift (outputs,): what class weights in `weight` add to logits, and the calibration
    takes out again (`gatewise.training.training_data`). scaling: of a regression, to the unit of the numbers. Raises
    InputError.
    """
    n = len(sequences)
    if not n or not any(len(s) for s in sequences) or not folds:
        raise InputError(f"convolutions: {counted(n, 'series', 'series')}, or only empty series")
    weight = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    root, held = np.sqrt(np.maximum(weight / weight.mean(), 1e-9)), np.concatenate(folds)
    y, prior, regression = 2.0 * targets - 1, np.array([SCALE]), task == "regression"

    def loss(values: Array) -> float:
        """Of values (n, outputs) out of fold: the squared error, for classes the cross-entropy after calibration."""
        truth, each, found = targets[held], weight[held], values[held]
        if regression:
            return float(np.average(np.square(found - truth).mean(axis=1), weights=each))
        losses = calibrated(found[:, :, None], truth, prior, SCALE_L2, task=task, sample_weight=each)[2]
        return float(np.average(losses, weights=each))

    search = _fit_few if n <= MOST_ROWS else _fit_many
    best = search(sequences, targets.astype(np.float64) if regression else y, root, folds, features, seed, loss)
    values, scale, shift = best.values[held], np.ones(1), np.zeros(targets.shape[1])
    if not regression:
        prior = np.array([SCALE, 1.0])  # the shift is drawn towards -logit_shift
        against = np.zeros(targets.shape[1]) if logit_shift is None else -logit_shift
        parts = np.stack([values, np.broadcast_to(against, values.shape)], axis=2)
        counts = None if sample_weight is None else sample_weight[held]
        weights, shift, _ = calibrated(parts, targets[held], prior, SCALE_L2, task=task, sample_weight=counts)
        scale, shift = weights[:1], shift + weights[1] * against
    elif scaling is not None:
        scale, shift = scaling.scale, scaling.mean
    out_of_fold = np.full(targets.shape, np.nan)
    out_of_fold[held] = scale * values + shift
    folded = (scale * best.weight / best.scale[:, None]).astype(np.float32)
    convolutions = Convolutions(best.banks, best.mean.astype(np.float32), folded)
    return FittedMember(convolutions, scale * best.bias + shift), out_of_fold, best.summary


def _fit_few(
    sequences: Sequence[Array],
    y: Array,
    root: Array,
    folds: Sequence[NDArray[np.int64]],
    features: int,
    seed: int,
    loss: Callable[[Array], float],
) -> _Fit:
    """In the kernel matrix: the best of all choices, by values of every fold without refitting.

    y (n, outputs): -1 and 1 for classes; root (n,): of the weights.
    """
    found: list[_Fit] = []
    for differences in (False, True):
        banks = fit_banks(sequences, features, np.random.default_rng(seed), differences)
        ppv = features_of(banks, sequences)
        mean = np.average(ppv, axis=0, weights=root**2).astype(np.float32)
        variance = np.average(np.square(ppv - mean), axis=0, weights=root**2)
        read = "series and its first differences" if differences else "series"
        for floor in FLOORS:
            scale = np.sqrt(variance + floor**2).astype(np.float32)
            z = (ppv - mean) / scale
            ridge = Ridge.of(z, root)
            values = [ridge.out_of_fold(y, l2, folds) for l2 in L2]
            losses = [loss(one) for one in values]
            best = int(np.argmin(losses))
            if not found or losses[best] < found[0].loss:
                summary = f"{len(mean):,} features of the {read}, ridge regression with penalty {L2[best]:.3g}"
                weights = ridge.weights(z, y, L2[best])
                found = [_Fit(losses[best], banks, mean, scale, *weights, values[best], summary)]
    return found[0]


def _fit_many(
    sequences: Sequence[Array],
    y: Array,
    root: Array,
    folds: Sequence[NDArray[np.int64]],
    features: int,
    seed: int,
    loss: Callable[[Array], float],
) -> _Fit:
    """In the matrix of fewer features, summed over chunks of rows: the best l2 alone, by values of the first fold."""
    n, held = len(sequences), folds[0]
    banks = fit_banks(sequences, min(features, FEATURES_OF_MANY), np.random.default_rng(seed), differences=False)
    few = np.linspace(0, n - 1, MOST_ROWS).astype(np.int64)  # for the mean and deviation of the features
    ppv = features_of(banks, [sequences[row] for row in few])
    mean, scale = ppv.mean(axis=0), np.sqrt(ppv.var(axis=0) + FLOORS[0] ** 2)

    def chunks(rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Array]]:
        for first in range(0, len(rows), ROWS_PER_CHUNK):
            some = rows[first : first + ROWS_PER_CHUNK]
            yield some, (features_of(banks, [sequences[row] for row in some]) - mean) / scale

    sums = RidgeSums.of(len(mean), y.shape[1])
    for some, z in chunks(np.setdiff1d(np.arange(n), held)):
        sums.add(z, y[some], root[some])
    fits = {l2: sums.weights(l2) for l2 in L2[2:-2:2]}
    values = {l2: np.zeros_like(y) for l2 in fits}
    for some, z in chunks(held):
        sums.add(z, y[some], root[some])
        for l2, (weight, bias) in fits.items():
            values[l2][some] = z @ weight + bias
    l2 = min(fits, key=lambda one: loss(values[one]))
    summary = f"{len(mean):,} features of the series, ridge regression with penalty {l2:.3g}"
    return _Fit(loss(values[l2]), banks, mean, scale, *sums.weights(l2), values[l2], summary)
