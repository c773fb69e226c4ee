"""The weights of the members of a forecaster, from their errors in held-out windows."""

import math
from collections.abc import Sequence

import numpy as np

from gatewise.members.windows import WindowMember, roll_out
from gatewise.types import Array

_MOST_MEMBERS, _PICKS = 10, 5
_FAR = 1e6  # relative error of a member that overflows
_LEAST_WEIGHT = 0.01  # smaller ones are left out


def residuals_of(members: Sequence[WindowMember], known: Array, actual: Array, scale: Array) -> Array:
    """The errors (M, S, W, steps) of members, with their signs, relative to the scale (S,) of each series.

    known (S W, R, C + 1): what the members read. actual (S, W, steps). NaN and infinite forecasts of a member that
    overflows count as far away.
    """
    with np.errstate(all="ignore"):
        found = np.stack([roll_out(one, known, actual.shape[2]).reshape(actual.shape) for one in members])
        return np.nan_to_num(np.clip((found - actual) / scale[:, None, None], -_FAR, _FAR), nan=_FAR)


def combine(residuals: Array, naive: int, lengths: float) -> tuple[Array, Array]:
    """Weights (M,) of the members, and the residuals (S, W, steps) of the sum in the held-out windows with weights that
    come from other windows: those of one half from the errors in the other half.

    residuals (M, S, W, steps): see `residuals_of`; weights sum to 1, so that the residuals of a sum are the sum of
    those of its members. naive: the member that is the seasonal naive forecast. lengths: how many windows would cover
    the same values without an overlap. The best member alone gets the weight, if the weighted sum is worse by more than
    the standard error of the difference, for which the windows count as many as fit next to each other.
    """
    _, count, origins, _ = residuals.shape
    combined = np.empty(residuals.shape[1:])
    half = np.arange(origins) < origins // 2
    for part in (half, ~half):
        other = ~part if (~part).any() else part
        weights = member_weights(residuals[:, :, other], naive, lengths)
        combined[:, part] = np.tensordot(weights, residuals[:, :, part], axes=1)
    weights = member_weights(residuals, naive, lengths)
    best = int(np.abs(residuals).mean(axis=(1, 2, 3)).argmin())
    worse = np.abs(np.tensordot(weights, residuals, axes=1)) - np.abs(residuals[best])
    worse = worse.mean(axis=2).ravel()  # per window
    if worse.mean() > worse.std() / math.sqrt(min(len(worse), count * lengths)):
        weights = np.eye(len(weights))[best]
    return weights, combined


def member_weights(residuals: Array, naive: int, lengths: float) -> Array:
    """Weights (M,) from residuals (M, S, W, steps), the mean of two rules that fail in different places.

    One is in proportion to 1 / error^4 of the ten best members (Bates & Granger 1969). The other adds, five times, the
    member with which the sum has the smallest error (Caruana et al. 2004). Few windows tell little about the members:
    the seasonal naive forecast gets a share of 1 / (1 + lengths), times the smallest error over its own.
    """
    errors = np.maximum(np.abs(residuals).mean(axis=(1, 2, 3)), 1e-9)
    order = np.argsort(errors, kind="stable")
    inverse = (errors.min() / errors) ** 4
    inverse[order[_MOST_MEMBERS:]] = 0
    picked, total = np.zeros(len(errors)), np.zeros(residuals.shape[1:])
    near = order[: 2 * _MOST_MEMBERS]
    for _ in range(_PICKS):
        n = near[int(np.argmin([np.abs(total + residuals[n]).mean() for n in near]))]
        picked[n] += 1 / _PICKS
        total += residuals[n]
    share = float(errors.min() / errors[naive]) / (1 + lengths)
    weights = (1 - share) * (inverse / inverse.sum() + picked) / 2
    weights[naive] += share
    weights[weights < _LEAST_WEIGHT] = 0
    return np.asarray(weights / weights.sum())
