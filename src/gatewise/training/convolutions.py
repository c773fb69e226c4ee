"""Fit the linear model on convolution features: thresholds of MiniRocket, then ridge regression.

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
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, counted
from gatewise.kernels.convolution import CENTRE, KERNELS, Banks, convolve
from gatewise.members.convolutions import Convolutions, features_of, with_differences
from gatewise.target import log_probabilities
from gatewise.training.dense_solver import Ridge, RidgeSums
from gatewise.training.stack import fit_weights
from gatewise.training.target_scaling import TargetScaling
from gatewise.types import Array, Task

FEATURES = 9_996  # 84 x 119, as in the paper
MOST_DILATIONS = 32
MOST_CHANNELS = 9
MOST_ROWS = 3_000  # whose kernel matrix is decomposed in seconds
FEATURES_OF_MANY = 2_520  # 84 x 30, of more rows
ROWS_PER_CHUNK = 512
MOST_STEPS = 4_096  # of a series, whose convolutions give thresholds
L2 = tuple(10.0**exponent for exponent in np.arange(-4, 3.01, 0.5))
FLOORS = (0.01, 0.1)  # added to the deviation of a feature: how little the rare ones are scaled up
SCALES = tuple(2.0**exponent for exponent in np.arange(-1, 5.01, 0.25))  # of logits from values of -1 to 1
SCALE, SCALE_L2 = 3.0, 0.5  # which few rows are drawn towards, and how strongly
GOLDEN = (1 + math.sqrt(5)) / 2


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


class ConvolutionModel(NamedTuple):
    """The fitted linear model; bias (outputs,) float64. out_of_fold (n, outputs): the logits of the rows, each from a
    fit to other rows; NaN where a row is in no fold. summary: what was chosen, in a line.
    """

    convolutions: Convolutions
    bias: Array
    out_of_fold: Array
    summary: str

    def logits(self, sequences: Sequence[Array]) -> Array:
        """Logits (n, outputs) of series (length, C)."""
        return np.asarray(self.convolutions.logits(sequences) + self.bias)

    def scaled(self, scaling: TargetScaling) -> ConvolutionModel:
        """The model of a regression in the unit of the numbers, from that of standardised numbers."""
        weight = (scaling.scale * self.convolutions.weight).astype(np.float32)
        convolutions = replace(self.convolutions, weight=weight)
        return self._replace(convolutions=convolutions, bias=scaling.mean + scaling.scale * self.bias)


class _Problem(NamedTuple):
    """What is fitted: n series (length, C), their targets y (n, outputs), -1 and 1 for classes, and the roots (n,) of
    their weights. folds, features, seed: see `fit_convolutions`. measure: chooses.
    """

    sequences: Sequence[Array]
    y: Array
    root: Array
    folds: Sequence[NDArray[np.int64]]
    features: int
    seed: int
    measure: _Measure

    def banks(self, features: int, differences: bool) -> Banks:
        return fit_banks(self.sequences, features, np.random.default_rng(self.seed), differences)


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
) -> ConvolutionModel:
    """Fit the model to n series (length, C). Equal arguments give equal models.

    targets (n, outputs): see `TrainingData.targets`. folds: row numbers, each row at most once; the rows of one fold
    are predicted from all others. weight (n,): of the rows in the fit and in the loss that chooses it; sample_weight
    (n,): in the calibration. logit_shift (outputs,): what class weights in `weight` add to logits, and the calibration
    takes out again (`gatewise.training.class_weights`). Raises InputError.
    """
    n = len(sequences)
    if not n or len(targets) != n or not any(len(s) for s in sequences):
        raise InputError(f"convolutions: {n} series and {counted(len(targets), 'label')}, or only empty series")
    if not folds or not all(len(rows) for rows in folds):
        raise InputError("convolutions: the folds must have rows")
    weight, sample_weight = (
        np.ones(n) if one is None else np.asarray(one, dtype=np.float64) for one in (weight, sample_weight)
    )
    root = np.sqrt(np.maximum(weight / weight.mean(), 1e-9))
    y = targets.astype(np.float64) if task == "regression" else 2.0 * targets - 1
    measure = _Measure(np.concatenate(folds), targets, weight, task)
    problem = _Problem(sequences, y, root, folds, features, seed, measure)
    best = _fit_few(problem) if n <= MOST_ROWS else _fit_many(problem)
    scale, shift = measure.calibration(best.values, sample_weight, logit_shift)
    out_of_fold = np.full(y.shape, np.nan)
    out_of_fold[measure.rows] = scale * best.values[measure.rows] + shift
    folded = (scale * best.weight / best.scale[:, None]).astype(np.float32)
    convolutions = Convolutions(best.banks, best.mean.astype(np.float32), folded)
    return ConvolutionModel(convolutions, scale * best.bias + shift, out_of_fold, best.summary)


def _fit_few(problem: _Problem) -> _Fit:
    """In the kernel matrix: the best of all choices, by values of every fold without refitting."""
    y, root, measure = problem.y, problem.root, problem.measure
    best: _Fit | None = None
    for differences in (False, True):
        banks = problem.banks(problem.features, differences)
        ppv = features_of(banks, problem.sequences)
        mean = np.average(ppv, axis=0, weights=root**2).astype(np.float32)
        variance = np.average(np.square(ppv - mean), axis=0, weights=root**2)
        for floor in FLOORS:
            scale = np.sqrt(variance + floor**2).astype(np.float32)
            z = (ppv - mean) / scale
            ridge = Ridge.of(z, root)
            values = {l2: ridge.out_of_fold(y, l2, problem.folds) for l2 in L2}
            losses = {l2: measure.loss(values[l2]) for l2 in L2}
            l2 = min(L2, key=lambda one: losses[one])
            if best is None or losses[l2] < best.loss:
                weight, bias = ridge.weights(z, y, l2)
                summary = _summary(len(banks.thresholds), differences, floor, l2)
                best = _Fit(losses[l2], banks, mean, scale, weight, bias, values[l2], summary)
    assert best is not None
    return best


def _fit_many(problem: _Problem) -> _Fit:
    """In the matrix of fewer features, summed over chunks of rows: the best l2 alone, by values of the first fold."""
    sequences, y, root, measure = problem.sequences, problem.y, problem.root, problem.measure
    n, held = len(sequences), problem.folds[0]
    banks = problem.banks(min(problem.features, FEATURES_OF_MANY), differences=False)
    train = np.setdiff1d(np.arange(n), held)
    few = np.linspace(0, n - 1, MOST_ROWS).astype(np.int64)  # for the mean and deviation of the features
    ppv = features_of(banks, [sequences[row] for row in few])
    mean, scale = ppv.mean(axis=0), np.sqrt(ppv.var(axis=0) + FLOORS[0] ** 2)

    def chunks(rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Array]]:
        for first in range(0, len(rows), ROWS_PER_CHUNK):
            some = rows[first : first + ROWS_PER_CHUNK]
            yield some, (features_of(banks, [sequences[row] for row in some]) - mean) / scale

    sums = RidgeSums.of(len(mean), y.shape[1])
    for some, z in chunks(train):
        sums.add(z, y[some], root[some])
    fits = {l2: sums.weights(l2) for l2 in L2[2:-2:2]}
    values = {l2: np.zeros_like(y) for l2 in fits}
    for some, z in chunks(held):
        sums.add(z, y[some], root[some])
        for l2, (weight, bias) in fits.items():
            values[l2][some] = z @ weight + bias
    l2 = min(fits, key=lambda one: measure.loss(values[one]))
    weight, bias = sums.weights(l2)
    summary = _summary(len(mean), False, FLOORS[0], l2)
    return _Fit(measure.loss(values[l2]), banks, mean, scale, weight, bias, values[l2], summary)


def _summary(features: int, differences: bool, floor: float, l2: float) -> str:
    channels = "channels and first differences" if differences else "channels"
    return f"{features:,} features of the {channels}, l2 {l2:.3g}, deviation + {floor:g}"


class _Measure:
    """The loss of out-of-fold values (n, outputs) on the rows that are in a fold, and their calibration."""

    def __init__(self, rows: NDArray[np.int64], targets: Array, weight: Array, task: Task) -> None:
        self.rows, self.targets, self.weight, self.task = rows, targets[rows].astype(np.float64), weight[rows], task

    def loss(self, values: Array) -> float:
        """The squared error, or the cross-entropy of the best of `SCALES` times the values."""
        values, total = values[self.rows], float(self.weight.sum())
        if self.task == "regression":
            return float(np.average(np.square(values - self.targets).mean(axis=1), weights=self.weight))
        losses = [np.average(self._cross_entropy(scale * values), weights=self.weight) for scale in SCALES]
        penalties = [SCALE_L2 / 2 * (scale - SCALE) ** 2 / total for scale in SCALES]
        return float(np.min(np.add(losses, penalties)))

    def calibration(self, values: Array, sample_weight: Array, logit_shift: Array | None) -> tuple[float, Array]:
        """Scale and shift (outputs,) that make logits of values for rows of weight sample_weight (n,); of a regression
        1 and 0. The shift is drawn towards -logit_shift.
        """
        if self.task == "regression":
            return 1.0, np.zeros(values.shape[1])
        prior, logits = np.full(1, SCALE), values[self.rows, :, None]
        if logit_shift is not None:
            prior = np.append(prior, 1.0)
            logits = np.concatenate([logits, np.broadcast_to(-logit_shift[:, None], logits.shape)], axis=2)
        counts = sample_weight[self.rows]
        weights, shift = fit_weights(
            logits, self.targets, prior, SCALE_L2, task=self.task, l2_shift=SCALE_L2, sample_weight=counts
        )
        if logit_shift is not None:
            shift = shift - weights[1] * logit_shift
        return max(float(weights[0]), 0.0), shift

    def _cross_entropy(self, logits: Array) -> Array:
        if self.task == "classification" and logits.shape[1] > 1:
            return np.asarray(-(self.targets * log_probabilities(logits)).sum(axis=1))
        return np.asarray((np.logaddexp(0, logits) - self.targets * logits).mean(axis=1))
