"""What the members of a forecaster read: a window of the past, in a form whose future is easy to predict.

A window holds the last R values of a series and of its exogenous columns, (R, C), the series first. A `Transform` takes
logarithms, standardises, differences against the last season and against the last value, and undoes all of it for the
prediction. It sees no value after the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gatewise.errors import InputError, counted
from gatewise.types import Array

MAX_LENGTH = 200  # steps of a window
_BOUND = 6.0  # standard deviations around the mean logarithm, where logarithms are cut


class Scales(NamedTuple):
    """Mean and standard deviation of a series and its exogenous columns: (..., C) each. From the values before the
    first held-out window only, or from all values for the final fit.
    """

    mean: Array
    std: Array


@dataclass(frozen=True)
class Transform:
    """One form of the windows.

    log: of the series (not of exogenous columns). season: difference against the value of one season before, the
    seasonal naive forecast; 1: none. level: difference against the last value of the window. length: steps that remain.
    """

    log: bool
    season: int
    level: bool
    length: int

    def __post_init__(self) -> None:
        if self.season < 1 or self.length < 1:
            raise InputError("season and length must be at least 1")

    @property
    def history(self) -> int:
        """R, the values that a window needs."""
        return self.length + (self.season if self.season > 1 else 0)

    def scales(self, series: Array) -> Scales:
        """Of one series with its exogenous columns (n, C)."""
        z = np.array(series, dtype=np.float64)
        if self.log:
            z[:, 0] = np.log(z[:, 0])
        std = z.std(axis=0)
        # The mean of equal values may be rounded; squares of small differences may be 0.
        constant = (z.min(axis=0) == z.max(axis=0)) | (std == 0)
        return Scales(z.mean(axis=0), np.where(constant, 1.0, std))

    def encode(self, windows: Array, scales: Scales, horizon: int) -> tuple[Array, Array]:
        """Windows (B, R, C) -> inputs (B, length, C) and the base (B, horizon) that predictions are added to.

        scales: (B, C) each.
        """
        z = np.array(windows[:, -self.history :], dtype=np.float64)
        if self.log:
            low = scales.mean[:, :1] - _BOUND * scales.std[:, :1]
            z[:, :, 0] = np.maximum(np.log(np.maximum(z[:, :, 0], 1e-300)), low)
        z = (z - scales.mean[:, None]) / scales.std[:, None]
        step = np.arange(1, horizon + 1)
        base = np.zeros((len(z), horizon))
        seasons = np.ones(horizon)
        if self.season > 1:
            base = z[:, z.shape[1] - self.season + (step - 1) % self.season, 0]
            seasons = np.ceil(step / self.season)
            z = z[:, self.season :] - z[:, : -self.season]
        if self.level:
            last = z[:, -1:]
            z = z - last
            base = base + last[:, 0, :1] * seasons
        return z, base

    def targets(self, future: Array, base: Array, scales: Scales) -> Array:
        """What a member learns: the future values (B, horizon) in the transformed form, less the base."""
        z = np.log(future) if self.log else future
        targets: Array = (z - scales.mean[:, :1]) / scales.std[:, :1] - base
        return targets

    def decode(self, predicted: Array, base: Array, scales: Scales) -> Array:
        """Values (B, horizon) of the series from predictions (B, horizon)."""
        z = predicted + base
        if not self.log:
            return np.asarray(z * scales.std[:, :1] + scales.mean[:, :1])
        # An unstable autoregression would grow without a bound, exponentially in the values.
        return np.asarray(np.exp(np.clip(z, -_BOUND, _BOUND) * scales.std[:, :1] + scales.mean[:, :1]))

    def describe(self) -> str:
        """In words: "logarithms, seasonal differences (12), relative to the last value, 24 steps"."""
        parts = ["logarithms"] if self.log else []
        parts += [f"seasonal differences ({self.season})"] if self.season > 1 else []
        parts += ["relative to the last value"] if self.level else []
        return ", ".join([*parts, f"windows of {counted(self.length, 'step')}"])


def candidates(season: int, positive: bool) -> list[Transform]:
    """The transforms that are tried. positive: whether all values are above 0."""
    found = []
    for log in (False, True) if positive else (False,):
        for period in dict.fromkeys((season, 1)):
            lengths = (period, 2 * period) if period > 1 else (4, 8, 16)
            for length in dict.fromkeys(min(length, MAX_LENGTH) for length in lengths):
                for differenced in dict.fromkeys((1, period)):
                    # Windows of a season without seasonal differences show the season to the autoregression.
                    found += [Transform(log, differenced, level, length) for level in (False, True)]
    return list(dict.fromkeys(found))
