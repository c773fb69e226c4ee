"""Exponential smoothing (ETS with additive errors), a member of forecasters, and its recursion.

Hyndman, Koehler, Ord & Snyder 2008, Forecasting with Exponential Smoothing, section 3.2. Logarithms (`Transform.log`)
make trend and season multiplicative.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from gatewise.errors import InputError
from gatewise.members.windows import StatisticalMember, seasonal_profile
from gatewise.types import Array


class State(NamedTuple):
    """level, trend (B,) and season (m, B), one row per phase: that of row t of the values is t % m."""

    level: Array
    trend: Array
    season: Array


def smooth(z: Array, smoothing: Array, start: State) -> tuple[State, Array]:
    """The states after the values z (T, B), and the sum of the squared errors one step ahead (B,).

    smoothing (4, B): alpha, beta, gamma, phi. NaN, a missing value, leaves the state as it is.

        e = z_t - (l + phi b + s)    l <- l + phi b + alpha e    b <- phi b + beta e    s <- s + gamma e
    """
    alpha, beta, gamma, phi = smoothing
    level, trend, season = start.level, start.trend, start.season.copy()
    squares = np.zeros_like(level)
    trended, seasonal = bool(beta.any()), len(season) > 1
    gaps = np.asarray(np.isnan(z).any(axis=1))
    for t, value in enumerate(z):
        damped = phi * trend if trended else trend
        prior = level + damped
        phase = t % len(season)
        error = value - prior
        if seasonal:
            error = error - season[phase]
        if gaps[t]:
            missing = np.isnan(error)
            error = np.where(missing, 0.0, error)
            prior, damped = np.where(missing, level, prior), np.where(missing, trend, damped)
        level = prior + alpha * error
        if trended:
            trend = damped + beta * error
        if seasonal:
            season[phase] += gamma * error
        squares += error * error
    return State(level, trend, season), squares


def smooth_from_back(z: Array, smoothing: Array, start: State) -> tuple[State, Array]:
    """`smooth`, from the state that the same recursion reaches from the last value back to the first ("backcasting").

    start: of the recursion back, the season by the phase of z from its first row. So nothing but the smoothing
    parameters is fitted, and a window is all that a forecast needs.
    """
    turn = (len(z) - 1 - np.arange(len(start.season))) % len(start.season)  # phases as the rows come from the back
    back, _ = smooth(z[::-1], smoothing, State(start.level, -start.trend, start.season[turn]))
    inverse = np.empty_like(turn)
    inverse[turn] = np.arange(len(turn))
    return smooth(z, smoothing, State(back.level, -back.trend, back.season[inverse]))


def start_state(z: Array, period: int) -> State:
    """A state near the end of the values z (B, T), from which `smooth_from_back` starts."""
    season = np.zeros((period, len(z)))
    adjusted = z
    if period > 1:
        profile = seasonal_profile(z, period)  # of phases that end with the last value
        phases = np.arange(-z.shape[1], 0) % period
        adjusted = z - profile[:, phases]
        season[np.arange(z.shape[1])[-period:] % period] = profile[:, phases[-period:]].T
    last = adjusted[:, -max(period, 3) :]
    return State(np.nanmean(last, axis=1), np.zeros(len(z)), season)


def extrapolate(state: State, smoothing: Array, count: int, steps: int) -> Array:
    """The next values (B, steps) after `count` values."""
    phi = smoothing[3]
    powers = np.cumsum(phi[:, None] ** np.arange(1, steps + 1), axis=1)
    phases = (count + np.arange(steps)) % len(state.season)
    return np.asarray(state.level[:, None] + powers * state.trend[:, None] + state.season[phases].T)


@dataclass(frozen=True, eq=False)
class ETS(StatisticalMember):
    """smoothing (S, 4): alpha, beta, gamma and phi of each series; without a trend beta is 0, without a season gamma.
    period (S,): of the season, 1 for none. Both are fitted (`gatewise.training.forecast_members`).
    """

    smoothing: Array
    period: Array
    ragged: ClassVar[bool] = True
    extrapolates: ClassVar[bool] = True
    kind: ClassVar[str] = "ets"
    noun: ClassVar[str] = "ETS"

    def check_arrays(self) -> None:
        check_smoothing(self.smoothing)
        if not ((self.period >= 1) & (self.period <= self.transform.length)).all():
            raise InputError("period must lie between 1 and the length of the windows")

    @staticmethod
    def shapes(series: int, inputs: int, steps: int) -> dict[str, Any]:
        return {"smoothing": ((series, 4), "float64"), "period": ((series,), "int64")}

    def predict(self, x: Array, series: Array) -> Array:
        out = np.empty((len(x), self.steps))
        for period in np.unique(self.period[series]):
            rows = self.period[series] == period
            z, smoothing = x[rows, :, 0], self.smoothing[series[rows]].T
            state, _ = smooth_from_back(np.ascontiguousarray(z.T), smoothing, start_state(z, int(period)))
            out[rows] = extrapolate(state, smoothing, z.shape[1], self.steps)
        return out


def check_smoothing(smoothing: Array) -> None:
    """Raise InputError unless all parameters lie between 0 and 1."""
    if not ((smoothing >= 0) & (smoothing <= 1)).all():
        raise InputError("smoothing must lie between 0 and 1")
