"""The fit of a forecaster: members before the held-out windows, their weights and errors, and members on all values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gatewise.errors import InputError, counted, quote
from gatewise.forecast.held_out import LEAST_WINDOWS, HeldOut, naive_scale
from gatewise.forecast.season import detect_season, seasonal_naive
from gatewise.forecast.series import SeriesSet
from gatewise.members.autoregression import Autoregression
from gatewise.members.ensemble import Ensemble
from gatewise.members.windows import Transform, WindowMember, numbered, roll_out
from gatewise.target import Target
from gatewise.training.members.autoregression import TrainingWindows, fit_autoregression
from gatewise.training.members.window_lstm import fit_window_lstm
from gatewise.training.recipes import Recipe
from gatewise.types import Array

_DIRECT_STEPS = 12  # predicted at once without a season
_MOST_STEPS = 200  # of a window
_MOST_ORIGINS = 24
_SHARE = 6  # one origin per so many values


def fit(given: SeriesSet, horizon: int, season: int | None, recipe: Recipe, seed: int) -> tuple[int, Ensemble, HeldOut]:
    """The season, the members with their weights, and the held-out windows. season: None to detect it. Raises
    InputError for series that are too short.
    """
    series, lengths = given.values, [len(one) for one in given.values]
    plan = Plan.of(min(lengths), horizon)
    before = [plan.before(one) for one in series]
    season = season or detect_season([one[:, 0] for one in before])
    steps = min(horizon, season if season > 1 else _DIRECT_STEPS)
    # Logarithms must exist for the values of the held-out windows too, on which the members are fitted again.
    positive = all(bool((one[:, 0] > 0).all()) for one in series)
    linear = [] if _short(before, season) else _fit_linear(before, candidates(season, positive), steps)
    if not linear:
        which = "the series" if given.single else f"series {quote(given.names[np.argmin(lengths)], 40)}"
        has = f"{which} has {counted(min(lengths), 'value')}"
        raise InputError(f"{has}, too few for windows of season {season} and horizon {horizon}")
    chosen = _choose(before, season, [member.transform for member in linear], steps) or linear[0].transform
    lstm = _fit_lstm(before, chosen, steps, recipe, seed)
    forecasts, errors, held = _held_out_forecasts(series, plan, season, [*linear, lstm])
    weights, combined = combine(forecasts, errors)
    kept = [n for n in np.argsort(-weights[:-1], kind="stable").tolist() if weights[n] > 0]
    final: list[WindowMember] = [_fit_lstm(series, chosen, steps, recipe, seed)]
    final += _fit_linear(series, [linear[n].transform for n in kept], steps)
    target = Target(tuple(f"step {k + 1}" for k in range(steps)), "regression")
    ensemble = Ensemble(tuple(final), tuple(weights[[-1, *kept]]), np.zeros(steps), target)
    return season, ensemble, HeldOut(held.actual, combined, held.naive, held.scale)


class Plan(NamedTuple):
    """Where the held-out windows of series of n or more values lie.

    origins: W per series; the last values known at each are n - steps - W, ..., n - steps - 1. steps: values forecast
    from each, the horizon or fewer for a short series.
    """

    origins: int
    steps: int

    @classmethod
    def of(cls, n: int, horizon: int) -> Plan:
        """W is a sixth of n, from 5 to 24; at least half of the values stay before the first window."""
        origins = min(max(n // _SHARE, LEAST_WINDOWS), _MOST_ORIGINS)
        return cls(origins, max(1, min(horizon, n - origins + 1 - (n + 1) // 2)))

    def before(self, series: Array) -> Array:
        """The values that no held-out window forecasts: (n - steps - W + 1, C)."""
        return series[: len(series) - self.steps - self.origins + 1]

    def windows(self, series: Array, history: int) -> tuple[Array, Array]:
        """(W, history, C): what is known at each origin; (W, steps): what comes then."""
        first = len(series) - self.steps - self.origins + 1  # values known at the first origin
        ends = first + np.arange(self.origins)
        known = series[ends[:, None] + np.arange(-history, 0)]
        return known, series[ends[:, None] + np.arange(self.steps), 0]


def candidates(season: int, positive: bool) -> list[Transform]:
    """The transforms that are tried. positive: whether all values are above 0."""
    found = []
    for log in (False, True) if positive else (False,):
        for period in dict.fromkeys((season, 1)):
            lengths = (period, 2 * period) if period > 1 else (4, 8, 16)
            for length in dict.fromkeys(min(length, _MOST_STEPS) for length in lengths):
                for differenced in dict.fromkeys((1, period)):
                    # Windows of a season without seasonal differences show the season to the autoregression.
                    found += [Transform(log, differenced, level, length) for level in (False, True)]
    return list(dict.fromkeys(found))


def member_weights(errors: Array) -> Array:
    """Weights (M,) of M members from their mean absolute errors, proportional to 1 / error² (Bates & Granger 1969).

    The worse half of the autoregressions gets 0; the last member, the LSTM, keeps its weight.
    """
    weights = 1 / np.maximum(errors, 1e-9) ** 2
    linear = np.argsort(errors[:-1], kind="stable")
    weights[linear[(len(linear) + 1) // 2 :]] = 0
    return np.asarray(weights / weights.sum())


def combine(forecasts: Array, errors: Array) -> tuple[Array, Array]:
    """Weights (M,) of the members, and their weighted forecasts (S, W, steps) as they were at each origin.

    forecasts (M, S, W, steps). errors: absolute errors on a common scale, the same shape. The weights at an origin come
    from the errors known then, those of earlier windows whose values lie before it (equal weights at first).
    """
    count, _, origins, steps = forecasts.shape
    out = np.empty(forecasts.shape[1:])
    for origin in range(origins):
        known = np.add.outer(np.arange(origins), np.arange(steps)) < origin  # the value of window w, step k is past
        weights = np.full(count, 1 / count)
        if known.any():
            weights = member_weights(errors[:, :, known].mean(axis=(1, 2)))
        out[:, origin] = np.tensordot(weights, forecasts[:, :, origin], axes=1)
    return member_weights(errors.mean(axis=(1, 2, 3))), out


def _short(series: list[Array], season: int) -> bool:
    return any(len(one) <= season for one in series)


def _fit_lstm(series: list[Array], transform: Transform, steps: int, recipe: Recipe, seed: int) -> WindowMember:
    windows = TrainingWindows.of(series, transform, steps)
    assert windows is not None, "an autoregression was fitted on them"
    return fit_window_lstm(windows, recipe, seed)


def _fit_linear(series: list[Array], transforms: Sequence[Transform], steps: int) -> list[Autoregression]:
    """One autoregression per transform that has enough windows."""
    found = [TrainingWindows.of(series, transform, steps) for transform in transforms]
    return [fit_autoregression(windows) for windows in found if windows is not None]


def _choose(series: list[Array], season: int, transforms: Sequence[Transform], steps: int) -> Transform | None:
    """The transform with the smallest error on the last windows of these series; None if they are too short."""
    plan = Plan.of(min(map(len, series)), steps)
    before = [plan.before(one) for one in series]
    linear = [] if _short(before, season) else _fit_linear(before, transforms, steps)
    if not linear:
        return None
    _, errors, _ = _held_out_forecasts(series, plan, season, linear)
    return linear[int(errors.mean(axis=(1, 2, 3)).argmin())].transform


def _held_out_forecasts(
    series: list[Array], plan: Plan, season: int, members: Sequence[WindowMember]
) -> tuple[Array, Array, HeldOut]:
    """Forecasts and absolute errors (M, S, W, steps) of the members, the errors relative to each series' scale; and the
    held-out windows with the seasonal naive forecast in both places.
    """
    history = max([season, *(member.transform.history for member in members)])
    parts = [plan.windows(one, history) for one in series]
    known = np.concatenate([numbered(window, number) for number, (window, _) in enumerate(parts)])
    actual = np.stack([future for _, future in parts])  # (S, W, steps)
    scale = np.array([naive_scale(plan.before(one)[:, 0], season) for one in series])
    forecasts = np.stack([roll_out(one, known, plan.steps).reshape(actual.shape) for one in members])
    errors = np.abs(forecasts - actual) / scale[:, None, None]
    naive = seasonal_naive(known[:, :, 0], plan.steps, season).reshape(actual.shape)
    return forecasts, errors, HeldOut(actual, naive, naive, scale)
