"""Fit the convolutions of series: thresholds of MiniRocket, then ridge regression.

Banks (Dempster, Schmidt & Webb 2021): dilations from 1 to (length - 1) / 8 spaced exponentially, at most 32; thresholds
of a kernel at a dilation are quantiles of its convolution with one random training series, at the fractions of the low
discrepancy sequence φ, 2φ, 3φ, ... (modulo 1, φ the golden ratio); several channels: a random subset of at most nine
per kernel and dilation. All features read the channels, or half of them the first differences, as in MultiRocket (Tan
et al. 2022).

Ridge regression (`training.ridge`) of the targets on the standardised features, in the n x n kernel matrix, with values
of each fold from a fit to the others. Standardisation and thresholds are those of all rows. l2, the channels or
differences, and how far rare features are scaled up are chosen by the loss of these out-of-fold values. Classes are
targets of -1 and 1. A scale and a shift, fitted to the out-of-fold values, turn the values into logits (Platt 1999).

The kernel matrix of more than MOST_ROWS rows would be too large. Their fit uses ZᵀZ of fewer features, whose memory
does not grow with the rows, and holds out one fold to choose l2.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.data.splits import leave_one_out_folds
from gatewise.kernels.convolution import CENTRE, KERNELS, Banks, convolve
from gatewise.members.convolutions import Convolutions, features_of, ragged_series_steps, with_differences
from gatewise.ragged import Ragged
from gatewise.training.members import Run
from gatewise.training.network_data import MOST_ROWS
from gatewise.training.ridge import Ridge, ridge_of_sums, ridge_sums
from gatewise.training.ridge_targets import PENALTIES, RidgeTargets
from gatewise.training.stack import FittedMember
from gatewise.training.training_data import TrainingData
from gatewise.types import Array

MOST_DILATIONS = 32
MOST_CHANNELS = 9  # that a kernel reads at a dilation
PENALTIES_OF_MANY = PENALTIES[2:-2:2]  # every other one: each solves FEATURES_OF_MANY equations
FEATURES_OF_MANY = 2_520  # 84 x 30: features of more than MOST_ROWS rows
ROWS_PER_CHUNK = 512  # whose features are in memory at a time, of more than MOST_ROWS rows
MOST_STEPS = 4_096  # of the series whose convolutions give thresholds; of a longer one, evenly spaced steps
# Added to the deviation of a feature before the division by it: the larger, the less rare features are scaled up
# (docs/log/series.md, "First differences and the scale of rare features").
FLOORS = (0.01, 0.1)
GOLDEN = (1 + math.sqrt(5)) / 2


def fit(training_data: TrainingData, run: Run) -> FittedMember | None:
    """The convolutions of series; None for texts. Held-out logits of validation rows that are trained on come from a
    fit to other rows.
    """
    start = time.perf_counter()
    if not training_data.architecture.channels:
        return None
    rows = training_data.fitted_rows
    ridge_targets = RidgeTargets(training_data, rows, _folds(training_data))
    window, channels = training_data.preprocessor.inputs.series
    series = [sequence.series for sequence in training_data.full(rows) if sequence.series is not None]
    sequences = ragged_series_steps(Ragged.of(series), channels, window)
    features = training_data.recipe.convolutions.features
    if len(rows) <= MOST_ROWS:
        best = _fit_few(ridge_targets, sequences, features, run.seed)
    else:
        best = _fit_many(ridge_targets, sequences, features, run.seed)
    scale, shift = ridge_targets.calibration(best.values)
    weight = (scale * best.weight / best.scale[:, None]).astype(np.float32)  # of features that are not standardised
    member = Convolutions(best.banks, best.mean.astype(np.float32), weight, window)
    fitted = FittedMember(member, scale * best.bias + shift)
    run.callback.log(f"convolutions: {best.summary}; fitted in {time.perf_counter() - start:.1f} s")
    held_out = ridge_targets.held_out(scale * best.values + shift, fitted.logits)
    return replace(fitted, held_out=held_out)


def _folds(training_data: TrainingData) -> list[NDArray[np.int64]]:
    """The rows that are held out together: one at a time up to MOST_ROWS rows. With more rows there is one fold: the
    validation set, or where the user gave that, a fifth of the training rows.
    """
    rows = training_data.fitted_rows
    if len(rows) > MOST_ROWS and not training_data.own_validation:
        return [training_data.validation]
    folds = leave_one_out_folds(training_data.data.take(rows))
    if len(rows) > MOST_ROWS:
        return [np.concatenate(folds[::5])]
    return folds


def dilations_of(length: int, per_kernel: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Dilations (D,) for series of this length, and how many of the `per_kernel` thresholds each gets (D,)."""
    most = min(per_kernel, MOST_DILATIONS)
    exponents = np.linspace(0, max(0.0, math.log2(max(length - 1, 1) / (2 * CENTRE))), most)
    dilations, repeats = np.unique((2**exponents).astype(np.int32), return_counts=True)
    counts = np.maximum(repeats * per_kernel // most, 1)
    # What the division leaves over goes to the smallest dilations.
    counts[: per_kernel - counts.sum()] += 1
    return dilations.astype(np.int32), counts.astype(np.int32)


def fit_banks(sequences: Ragged, features: int, rng: np.random.Generator, differences: bool = True) -> Banks:
    """Banks of about `features` features for series (length, C)."""
    channels = sequences.values.shape[1]
    length = int(sequences.lengths.max())
    kinds = 1  # of what a feature reads: channels, differences
    if differences:
        kinds = 2
    dilations, counts = dilations_of(length, max(1, features // len(KERNELS) // kinds))
    masks = np.zeros((kinds, len(dilations), len(KERNELS), 2 * channels), dtype=np.uint8)
    for kind in range(kinds):
        for mask in masks[kind].reshape(-1, 2 * channels):
            # Few channels are as likely as many: the logarithm of their number is uniform, as in MiniRocket.
            size = int(2 ** rng.uniform(0, math.log2(min(channels, MOST_CHANNELS) + 1)))
            mask[kind * channels + rng.choice(channels, size, replace=False)] = 1
    dilations = np.tile(dilations, kinds)
    counts = np.tile(counts, kinds)
    masks = masks.reshape(len(dilations), len(KERNELS), 2 * channels)
    fractions = np.arange(1, len(KERNELS) * int(counts.sum()) + 1) * GOLDEN % 1
    thresholds = np.empty(len(fractions), dtype=np.float32)
    first = 0
    series = with_differences(sequences)
    for dilation, count, mask in zip(dilations.tolist(), counts.tolist(), masks, strict=True):
        for number in range(len(KERNELS)):
            kernel = slice(number, number + 1)
            x = series[rng.integers(len(series))]
            steps = None
            if len(x) > MOST_STEPS:
                steps = np.linspace(0, len(x) - 1, MOST_STEPS).astype(np.int64)
            conv = convolve(x, dilation, mask[kernel], taps_of=KERNELS[kernel], steps=steps)[0]
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


def _fit_few(ridge_targets: RidgeTargets, sequences: Ragged, features: int, seed: int) -> _Fit:
    """The fit in the kernel matrix with the lowest out-of-fold loss: over channels or differences, floors and l2."""
    best: _Fit | None = None
    for differences in (False, True):
        banks = fit_banks(sequences, features, np.random.default_rng(seed), differences)
        ppv = features_of(banks, sequences)
        mean = np.average(ppv, axis=0, weights=ridge_targets.root**2).astype(np.float32)
        variance = np.average(np.square(ppv - mean), axis=0, weights=ridge_targets.root**2)
        read = "series"
        if differences:
            read = "series and its first differences"
        for floor in FLOORS:
            scale = np.sqrt(variance + floor**2).astype(np.float32)
            z = (ppv - mean) / scale
            ridge = Ridge.of(z, ridge_targets.root)
            loss, l2, values = ridge_targets.best(ridge)
            if best is None or loss < best.loss:
                weight, bias = ridge.weights(z, ridge_targets.y, l2)
                summary = f"{len(mean):,} features of the {read}, ridge regression with penalty {l2:.3g}"
                best = _Fit(loss, banks, mean, scale, weight, bias, values, summary)
    assert best is not None
    return best


def _fit_many(ridge_targets: RidgeTargets, sequences: Ragged, features: int, seed: int) -> _Fit:
    """The fit in ZᵀZ of fewer features, summed over chunks of rows, whose l2 has the lowest loss of the held-out fold.
    It does not compare differences and floors: each would need another pass over all rows.
    """
    n = len(sequences)
    held = ridge_targets.held
    banks = fit_banks(sequences, min(features, FEATURES_OF_MANY), np.random.default_rng(seed), differences=False)
    sample = np.linspace(0, n - 1, MOST_ROWS).astype(np.int64)  # gives the mean and deviation of the features
    ppv = features_of(banks, sequences[sample])
    mean = ppv.mean(axis=0)
    scale = np.sqrt(ppv.var(axis=0) + FLOORS[0] ** 2)
    sums = np.zeros((len(mean) + 1, len(mean) + 1 + ridge_targets.y.shape[1]))

    def add(chunk: NDArray[np.int64]) -> Array:
        """Standardised features (m, F) of these rows, which are added to the sums."""
        z = (features_of(banks, sequences[chunk]) - mean) / scale
        np.add(sums, ridge_sums(z, ridge_targets.y[chunk], ridge_targets.root[chunk]), out=sums)
        return np.asarray(z)

    for chunk in _chunks(np.setdiff1d(np.arange(n), held)):
        add(chunk)
    fits = {l2: ridge_of_sums(sums, l2) for l2 in PENALTIES_OF_MANY}
    chunk_values: dict[float, list[Array]] = {l2: [] for l2 in fits}
    for chunk in _chunks(held):  # after it the sums are those of all rows
        z = add(chunk)
        for l2, (weight, bias) in fits.items():
            chunk_values[l2].append(z @ weight + bias)
    values = {l2: np.concatenate(chunks) for l2, chunks in chunk_values.items()}
    losses = {l2: ridge_targets.loss(held_out) for l2, held_out in values.items()}
    l2 = min(fits, key=losses.__getitem__)
    weight, bias = ridge_of_sums(sums, l2)
    summary = f"{len(mean):,} features of the series, ridge regression with penalty {l2:.3g}"
    return _Fit(losses[l2], banks, mean, scale, weight, bias, values[l2], summary)


def _chunks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The rows in pieces of ROWS_PER_CHUNK."""
    for first in range(0, len(rows), ROWS_PER_CHUNK):
        yield rows[first : first + ROWS_PER_CHUNK]
