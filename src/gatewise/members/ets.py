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


class SmoothingState(NamedTuple):
    """level, trend (B,) and season (m, B), one row per phase: the phase of row t of the values is t % m."""

    level: Array
    trend: Array
    season: Array


def smooth(z: Array, smoothing: Array, start: SmoothingState) -> tuple[SmoothingState, Array]:
    """The states after the values z (T, B), and the sums of the squared errors one step ahead (B,).

    smoothing (4, B): alpha, beta, gamma, phi. NaN, a missing value, leaves the state as it is.

        e = z_t - (l + phi b + s)    l <- l + phi b + alpha e    b <- phi b + beta e    s <- s + gamma e
    """
    alpha, beta, gamma, phi = smoothing
    level = start.level
    trend = start.trend
    season = start.season.copy()
    squares = np.zeros_like(level)
    has_trend = bool(beta.any())
    has_season = len(season) > 1
    has_gap = np.asarray(np.isnan(z).any(axis=1))
    for t, value in enumerate(z):
        damped_trend = trend
        if has_trend:
            damped_trend = phi * trend
        prior = level + damped_trend
        phase = t % len(season)
        error = value - prior
        if has_season:
            error = error - season[phase]
        if has_gap[t]:
            missing = np.isnan(error)
            error = np.where(missing, 0.0, error)
            prior = np.where(missing, level, prior)
            damped_trend = np.where(missing, trend, damped_trend)
        level = prior + alpha * error
        if has_trend:
            trend = damped_trend + beta * error
        if has_season:
            season[phase] += gamma * error
        squares += error * error
    return SmoothingState(level, trend, season), squares


def smooth_from_back(z: Array, smoothing: Array, start: SmoothingState) -> tuple[SmoothingState, Array]:
    """`smooth`, from the state that the same recursion reaches from the last value back to the first ("backcasting").

    start: the state from which the recursion goes back, the season by the phase of z from its first row. So only the
    smoothing parameters are fitted, and a forecast needs nothing but the window.
    """
    phases_from_back = (len(z) - 1 - np.arange(len(start.season))) % len(start.season)
    reversed_start = SmoothingState(start.level, -start.trend, start.season[phases_from_back])
    back, _ = smooth(z[::-1], smoothing, reversed_start)
    inverse = np.empty_like(phases_from_back)
    inverse[phases_from_back] = np.arange(len(phases_from_back))
    return smooth(z, smoothing, SmoothingState(back.level, -back.trend, back.season[inverse]))


def start_state(z: Array, period: int) -> SmoothingState:
    """A state near the end of the values z (B, T), from which `smooth_from_back` starts."""
    season = np.zeros((period, len(z)))
    adjusted = z
    if period > 1:
        profile = seasonal_profile(z, period)  # of phases that end with the last value
        phases = np.arange(-z.shape[1], 0) % period
        adjusted = z - profile[:, phases]
        season[np.arange(z.shape[1])[-period:] % period] = profile[:, phases[-period:]].T
    last = adjusted[:, -max(period, 3) :]
    return SmoothingState(np.nanmean(last, axis=1), np.zeros(len(z)), season)


def extrapolate(state: SmoothingState, smoothing: Array, count: int, steps: int) -> Array:
    """The next values (B, steps) after `count` values."""
    phi = smoothing[3]
    trend_factors = np.cumsum(phi[:, None] ** np.arange(1, steps + 1), axis=1)
    phases = (count + np.arange(steps)) % len(state.season)
    return np.asarray(state.level[:, None] + trend_factors * state.trend[:, None] + state.season[phases].T)


@dataclass(frozen=True, eq=False)
class ETS(StatisticalMember):
    """smoothing (S, 4): alpha, beta, gamma and phi of each series; beta is 0 without a trend, gamma is 0 without a
    season. period (S,): the period of the season, 1 for none. Both are fitted (`gatewise.training.forecast_members`).
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
            z = x[rows, :, 0]
            smoothing = self.smoothing[series[rows]].T
            state, _ = smooth_from_back(np.ascontiguousarray(z.T), smoothing, start_state(z, int(period)))
            out[rows] = extrapolate(state, smoothing, z.shape[1], self.steps)
        return out


def check_smoothing(smoothing: Array) -> None:
    """Raise InputError unless all parameters lie between 0 and 1."""
    if not ((smoothing >= 0) & (smoothing <= 1)).all():
        raise InputError("smoothing must lie between 0 and 1")
