"""Fit the linear model on convolution features: thresholds of MiniRocket, then ridge regression in the kernel matrix.

Banks (Dempster, Schmidt & Webb 2021): dilations from 1 to (length - 1) / 8 spaced exponentially, at most 32; thresholds
of a kernel at a dilation are quantiles of its convolution with one random training series, at the fractions of the low
discrepancy sequence φ, 2φ, 3φ, ... (modulo 1, φ the golden ratio); several channels: a random subset of at most nine
per kernel and dilation. Half of the features read the first differences, as in MultiRocket (Tan et al. 2022).

Ridge regression of the targets Y (n, outputs) on the n standardised features Z (n, F): with K = Z Zᵀ = U diag(s) Uᵀ
(centred) the fitted values are H Y, H = U diag(s / (s + l2)) Uᵀ + 1/n, and the values of the rows B of a fold, from a
fit to the other rows, follow without refitting (Stone 1974 for one row):

    Y_B - Ŷ_B(without B) = (I - H_BB)⁻¹ (Y - H Y)_B

Standardisation and thresholds are those of all rows. l2 is chosen on these out-of-fold values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels.convolution import CENTRE, KERNELS, Banks, convolve
from gatewise.network.convolutions import with_differences
from gatewise.types import Array

FEATURES = 9_996  # 84 x 119, as in the paper
MOST_DILATIONS = 32
MOST_CHANNELS = 9
L2 = tuple(10.0**exponent for exponent in np.arange(-4, 3.01, 0.5))  # in units of F: the kernel matrix is divided by F
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
            conv = convolve(x, dilation, mask[one], taps_of=KERNELS[one])[0]
            thresholds[first : first + count] = np.quantile(conv, fractions[first : first + count])
            first += count
    return Banks(dilations, counts, masks, thresholds)


class Ridge(NamedTuple):
    """The eigensystem of the centred kernel matrix: s (r,), U (n, r)."""

    s: Array
    u: Array

    @classmethod
    def of(cls, z: Array) -> Ridge:
        """From standardised features (n, F), whose columns have mean 0."""
        kernel = (z @ z.T).astype(np.float64) / z.shape[1]
        s, u = np.linalg.eigh(kernel)
        kept = s > 1e-10 * max(float(s[-1]), 1e-30)
        return cls(s[kept], u[:, kept])

    def fitted(self, y: Array, l2: float) -> Array:
        """Fitted values (n, outputs) of targets (n, outputs) without mean."""
        return np.asarray((self.u * (self.s / (self.s + l2))) @ (self.u.T @ y))

    def out_of_fold(self, y: Array, l2: float, folds: NDArray[np.int64]) -> Array:
        """Values (n, outputs) of each row from a fit to the rows of other folds (n,)."""
        n, shrink = len(y), self.s / (self.s + l2)
        residual = y - y.mean(axis=0) - self.fitted(y - y.mean(axis=0), l2)
        out = np.empty_like(y)
        if len(np.unique(folds)) == n:
            leverage = (self.u**2) @ shrink + 1 / n
            return np.asarray(y - residual / np.maximum(1 - leverage, 1e-9)[:, None])
        for fold in np.unique(folds):
            rows = np.flatnonzero(folds == fold)
            hat = (self.u[rows] * shrink) @ self.u[rows].T + 1 / n
            out[rows] = y[rows] - np.linalg.lstsq(np.eye(len(rows)) - hat, residual[rows], rcond=None)[0]
        return out

    def dual(self, y: Array, l2: float) -> Array:
        """Coefficients (n, outputs): the weights are Zᵀ dual / F."""
        return np.asarray((self.u / (self.s + l2)) @ (self.u.T @ y))
