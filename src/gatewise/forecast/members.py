"""The members of a forecaster: linear autoregressions, and an LSTM. Each predicts `steps` values from a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gatewise.forecast.transform import Scales, Transform
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.model.model import Model

MAX_HORIZON = 10_000  # values; the time to forecast them grows with the square of their number
_PENALTIES = 10.0 ** np.arange(-4, 2.1, 0.5)  # of the ridge regression, per window
_MOST_WINDOWS = 4000  # that a member is fitted on; of more, evenly spaced ones


class Member(Protocol):
    """What forecasts."""

    @property
    def transform(self) -> Transform: ...

    @property
    def steps(self) -> int:
        """Values that one call predicts; longer horizons feed the predictions back."""
        ...

    def __call__(self, windows: Array, series: Sequence[int]) -> Array:
        """Values (B, steps) from windows (B, R, C). series (B,): the number of the series of each window."""
        ...


@dataclass(frozen=True, eq=False)
class Autoregression:
    """A linear autoregression for all steps at once (direct forecasts).

    weight (length C, steps), bias (steps,): from the transformed window. scales: (S, C) of the S series.
    """

    transform: Transform
    steps: int
    scales: Scales
    weight: Array
    bias: Array

    def __call__(self, windows: Array, series: Sequence[int]) -> Array:
        scales = Scales(self.scales.mean[list(series)], self.scales.std[list(series)])
        x, base = self.transform.encode(windows, scales, self.steps)
        return self.transform.decode(x.reshape(len(x), -1) @ self.weight + self.bias, base, scales)


@dataclass(frozen=True, eq=False)
class NetworkMember:
    """The LSTM of a `gatewise.Model` for regression, on transformed windows. scales: (S, C) of the S series."""

    transform: Transform
    steps: int
    scales: Scales
    model: Model

    def __call__(self, windows: Array, series: Sequence[int]) -> Array:
        scales = Scales(self.scales.mean[list(series)], self.scales.std[list(series)])
        x, base = self.transform.encode(windows, scales, self.steps)
        found = np.asarray(self.model.predict(list(x.astype(np.float32)))).reshape(len(x), self.steps)
        return self.transform.decode(found, base, scales)


@dataclass(frozen=True, eq=False)
class TrainingWindows:
    """Transformed windows of all series in the order of time: x (n, length, C), y (n, steps). scales: (S, C)."""

    x: Array
    y: Array
    scales: Scales

    @classmethod
    def of(cls, series: Sequence[Array], transform: Transform, steps: int, shortest: int) -> TrainingWindows:
        """Every window of the series (n_s, C) whose targets lie within them. shortest: the least windows per series.

        Raises ValueError if a series has fewer.
        """
        found = [transform.scales(one) for one in series]
        scales = Scales(np.stack([one.mean for one in found]), np.stack([one.std for one in found]))
        windows, futures, owners, ends = [], [], [], []
        for number, one in enumerate(series):
            n = len(one) - transform.history - steps + 1
            if n < shortest:
                raise ValueError("the series is too short for this transform")
            starts = np.unique(np.linspace(0, n - 1, min(n, max(1, _MOST_WINDOWS // len(series)))).astype(int))
            index = starts[:, None] + np.arange(transform.history + steps)
            parts = one[index]  # (n, R + steps, C)
            windows.append(parts[:, : transform.history])
            futures.append(parts[:, transform.history :, 0])
            owners += [number] * len(starts)
            ends += (starts - n).tolist()  # 0 is the end of the series
        order = np.argsort(ends, kind="stable")
        window, future, owner = np.concatenate(windows)[order], np.concatenate(futures)[order], np.array(owners)[order]
        each = Scales(scales.mean[owner], scales.std[owner])
        x, base = transform.encode(window, each, steps)
        return cls(x, transform.targets(future, base, each), scales)


def fit_autoregression(windows: TrainingWindows, transform: Transform) -> Autoregression:
    """Ridge regression; the penalty with the lowest leave-one-out error (Allen's PRESS) over all steps."""
    from gatewise.training.dense_solver import Ridge  # what a saved forecaster does not need

    x, y = windows.x.reshape(len(windows.x), -1), windows.y
    mean, scale = x.mean(axis=0), float(x.std()) or 1.0
    z = (x - mean) / scale
    ridge, penalties = Ridge.of(z), _PENALTIES * len(x) / z.shape[1]
    errors = [np.mean(np.square(y - ridge.out_of_fold(y, l2))) for l2 in penalties.tolist()]
    weight, bias = ridge.weights(z, y, float(penalties[int(np.argmin(errors))]))
    return Autoregression(transform, y.shape[1], windows.scales, weight / scale, bias - mean @ weight / scale)


def roll_out(member: Member, windows: Array, series: Sequence[int], horizon: int) -> Array:
    """Values (B, horizon) from windows (B, R, C): after `member.steps` values, they become part of the window.

    The exogenous columns of these values are not known: they keep their last value.
    """
    parts, found = windows, []
    for _ in range(0, horizon, member.steps):
        values = member(parts, series)
        found.append(values)
        more = np.repeat(parts[:, -1:], values.shape[1], axis=1)
        more[:, :, 0] = values
        parts = np.concatenate([parts, more], axis=1)
    return np.concatenate(found, axis=1)[:, :horizon]
