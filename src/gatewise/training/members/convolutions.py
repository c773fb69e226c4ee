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

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.data.splits import leave_one_out_folds
from gatewise.kernels.convolution import CENTRE, KERNELS, Banks, convolve
from gatewise.members.convolutions import Convolutions, features_of, steps_of, with_differences
from gatewise.training.dense_solver import PENALTIES, Ridge, RidgeTargets, ridge_of_sums, ridge_sums
from gatewise.training.members import Run
from gatewise.training.network_data import MOST_ROWS
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

MOST_DILATIONS = 32
MOST_CHANNELS = 9
FEATURES_OF_MANY = 2_520  # 84 x 30, of more than MOST_ROWS rows
ROWS_PER_CHUNK = 512
MOST_STEPS = 4_096  # of a series, whose convolutions give thresholds
FLOORS = (0.01, 0.1)  # added to the deviation of a feature: how little the rare ones are scaled up
WEIGHT_L2 = 1.0  # penalty of every member's weight next to convolutions
GOLDEN = (1 + math.sqrt(5)) / 2


def fit(training_data: TrainingData, run: Run) -> FittedMember | None:
    """The convolutions of series; None for texts. Its held-out logits of validation rows that are trained on are from a
    fit to other rows.
    """
    data, start = training_data.data, time.perf_counter()
    if data.kind != "series":
        return None
    own, rows = training_data.own_validation, training_data.fitted_rows
    if len(rows) > MOST_ROWS and not own:
        folds = [training_data.validation]
    else:
        folds = leave_one_out_folds(data.take(rows))
        if len(rows) > MOST_ROWS:
            folds = [np.concatenate(folds[::5])]
    given = RidgeTargets(training_data, rows, folds)
    window = max(1, getattr(training_data.preprocessor, "window", 0))  # steps of a series in a row of a sequence
    size = training_data.preprocessor.inputs.unread or training_data.preprocessor.inputs.size
    sequences = [steps_of(one, size // window, window) for one in training_data.full(rows)]
    fit_some = _fit_few if len(rows) <= MOST_ROWS else _fit_many
    best = fit_some(given, sequences, training_data.recipe.convolutions.features, run.seed)
    scale, shift = given.calibration(best.values)
    folded = (scale * best.weight / best.scale[:, None]).astype(np.float32)
    member = Convolutions(best.banks, best.mean.astype(np.float32), folded, window)
    found = FittedMember(member, scale * best.bias + shift)
    run.callback.log(f"convolutions: {best.summary}; fitted in {time.perf_counter() - start:.1f} s")
    held_out = given.held_out(scale * best.values + shift, found.logits)
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
    fractions = np.arange(1, len(KERNELS) * int(counts.sum()) + 1) * GOLDEN % 1
    thresholds, first = np.empty(len(fractions), dtype=np.float32), 0
    series = with_differences(sequences)
    for dilation, count, mask in zip(dilations.tolist(), counts.tolist(), masks, strict=True):
        for kernel in range(len(KERNELS)):
            x, one = series[rng.integers(len(series))], slice(kernel, kernel + 1)
            steps = np.linspace(0, len(x) - 1, MOST_STEPS).astype(np.int64) if len(x) > MOST_STEPS else None
            conv = convolve(x, dilation, mask[one], taps_of=KERNELS[one], steps=steps)[0]
            thresholds[first : first + count] = np.quantile(conv, fractions[first : first + count])
            first += count
    return Banks(dilations, counts, masks, thresholds)


class _Fit(NamedTuple):
    """One choice of features and l2: ridge weights (F, outputs) and bias of standardised features, values (m, outputs)
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


def _fit_few(given: RidgeTargets, sequences: list[Array], features: int, seed: int) -> _Fit:
    """In the kernel matrix: the best of all choices, by values of every fold without refitting."""
    best: _Fit | None = None
    for differences in (False, True):
        banks = fit_banks(sequences, features, np.random.default_rng(seed), differences)
        ppv = features_of(banks, sequences)
        mean = np.average(ppv, axis=0, weights=given.root**2).astype(np.float32)
        variance = np.average(np.square(ppv - mean), axis=0, weights=given.root**2)
        read = "series and its first differences" if differences else "series"
        for floor in FLOORS:
            scale = np.sqrt(variance + floor**2).astype(np.float32)
            z = (ppv - mean) / scale
            ridge = Ridge.of(z, given.root)
            loss, l2, values = given.best(ridge)
            if best is None or loss < best.loss:
                summary = f"{len(mean):,} features of the {read}, ridge regression with penalty {l2:.3g}"
                best = _Fit(loss, banks, mean, scale, *ridge.weights(z, given.y, l2), values, summary)
    assert best is not None
    return best


def _fit_many(given: RidgeTargets, sequences: list[Array], features: int, seed: int) -> _Fit:
    """In the matrix of fewer features, summed over chunks of rows: the best l2 alone, by values of the first fold."""
    n, held = len(sequences), given.held
    banks = fit_banks(sequences, min(features, FEATURES_OF_MANY), np.random.default_rng(seed), differences=False)
    few = np.linspace(0, n - 1, MOST_ROWS).astype(np.int64)  # for the mean and deviation of the features
    ppv = features_of(banks, [sequences[row] for row in few])
    mean, scale = ppv.mean(axis=0), np.sqrt(ppv.var(axis=0) + FLOORS[0] ** 2)
    sums = np.zeros((len(mean) + 1, len(mean) + 1 + given.y.shape[1]))

    def added(rows: NDArray[np.int64]) -> Iterator[Array]:
        """Standardised features of the rows in chunks, each after it was added to the sums."""
        for first in range(0, len(rows), ROWS_PER_CHUNK):
            some = rows[first : first + ROWS_PER_CHUNK]
            z = (features_of(banks, [sequences[row] for row in some]) - mean) / scale
            np.add(sums, ridge_sums(z, given.y[some], given.root[some]), out=sums)
            yield z

    for _ in added(np.setdiff1d(np.arange(n), held)):
        pass
    fits = {l2: ridge_of_sums(sums, l2) for l2 in PENALTIES[2:-2:2]}
    parts = [[z @ weight + bias for weight, bias in fits.values()] for z in added(held)]
    values = dict(zip(fits, map(np.concatenate, zip(*parts, strict=True)), strict=True))
    losses = {l2: given.loss(one) for l2, one in values.items()}
    l2 = min(fits, key=losses.__getitem__)
    summary = f"{len(mean):,} features of the series, ridge regression with penalty {l2:.3g}"
    return _Fit(losses[l2], banks, mean, scale, *ridge_of_sums(sums, l2), values[l2], summary)
