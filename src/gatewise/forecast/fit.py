"""The fit of a forecaster: members before the held-out windows, their weights, members on all values."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np

from gatewise.data.times import show_time
from gatewise.errors import InputError, counted, quote
from gatewise.forecast.held_out import LEAST_WINDOWS, HeldOut, naive_scale
from gatewise.forecast.patterns import clean, detect_seasons, fit_effects
from gatewise.forecast.series import SeriesSet
from gatewise.members.ensemble import Ensemble
from gatewise.members.windows import Transform, WindowMember, Windows, roll_out
from gatewise.target import RegressionTarget
from gatewise.training.forecast_members import (
    LEAST_TRAINING_WINDOWS,
    MAX_SMOOTHED,
    fit_autoregression,
    fit_ets,
    fit_naive,
    fit_theta,
    fit_window_lstm,
)
from gatewise.training.recipes import Recipe
from gatewise.types import Array

_DIRECT_STEPS = 12  # predicted at once without a season
_MOST_STEPS = 200  # of a window
LEAST_VALUES = 8
_MOST_ORIGINS = 32
_LEAST_ORIGINS = 8
_MOST_CYCLES = 8  # of a seasonal profile
_MOST_MEMBERS, _PICKS = 10, 5
_FAR = 1e6  # relative error of a member that overflows
_LEAST_WEIGHT = 0.01  # smaller ones are left out


def fit(
    given: SeriesSet, horizon: int, season: int | None, recipe: Recipe, seed: int
) -> tuple[tuple[int, ...], Ensemble, HeldOut, Array, list[Array], list[str]]:
    """The seasons; the members with their weights; the held-out windows; the effects (S, F) of the columns that are
    known in advance; what the members read, (n_s, C) for each series, without outliers, level shifts and these effects;
    and what was found and left out, in lines.

    season: a period, 1 for none; None: those that the calendar suggests, else those of the data. Raises InputError for
    series that are too short.
    """
    lengths = [len(one) for one in given.values]
    if min(lengths) < LEAST_VALUES:
        which = "the series" if len(lengths) == 1 else f"series {quote(given.names[int(np.argmin(lengths))], 40)}"
        has = f"{which} has {counted(min(lengths), 'value')}"
        raise InputError(f"{has}; a forecast needs {LEAST_VALUES}: add earlier values, or leave the series out")
    if season and 3 * season > 2 * min(lengths):
        need = f"needs {math.ceil(1.5 * season)}: add earlier values, or set season=1"
        raise InputError(f"the shortest series has {counted(min(lengths), 'value')}; a season of {season} {need}")
    seasons = (season,) * (season > 1) if season else given.calendar.seasons()
    seasons = tuple(m for m in seasons if 3 * m <= 2 * min(lengths))
    plan = Plan.of(min(lengths), horizon, seasons)
    if not seasons and season is None:
        seasons = detect_seasons([plan.before(one)[:, 0] for one in given.values])
        plan = Plan.of(min(lengths), horizon, seasons)
    main = next(iter(seasons), 1)
    target_before = [plan.before(one)[:, 0] for one in given.values]
    early = fit_effects(target_before, given.future, main)
    series, added, _ = prepare(given, early, main)
    before = [plan.before(one) for one in series]
    shortest = min(map(len, before))
    seasons = tuple(m for m in seasons if m < shortest)
    main = next(iter(seasons), 1)
    steps = max(1, min(horizon, seasons[0] if seasons else _DIRECT_STEPS, shortest // 3))
    # Logarithms must exist for the values of the held-out windows too, on which the members are fitted again.
    positive = all(bool((one[:, 0] > 0).all()) for one in series)
    tried = candidates(seasons, before, steps, positive)
    members = [one.fit(before, one.transform, steps) for one in tried]
    history = max([main, *(member.transform.history for member in members)])
    known = Windows.concatenated([Windows.of(plan.windows(one, history)[0], n) for n, one in enumerate(series)])
    came = np.stack([plan.windows(one, 1)[1] for one in given.values])  # (S, W, steps), with outliers
    actual = came - np.stack([plan.windows(one[:, None], 1)[1] for one in added])  # as the members see them
    scale = np.array([naive_scale(plan.before(one)[:, 0], main) for one in series])
    residuals = residuals_of(members, known, actual, scale)
    loss = np.abs(residuals).mean(axis=(1, 2, 3))
    linear = [n for n, one in enumerate(tried) if one.fit is fit_autoregression]
    form = tried[min(linear, key=loss.__getitem__)].transform
    lstm = fit_window_lstm(before, form, steps, recipe, seed)
    residuals = np.concatenate([residuals_of([lstm], known, actual, scale), residuals])
    between = plan.origins[0] - plan.origins[-1]  # the first window and the last one
    # The first candidate is the seasonal naive forecast.
    weights, combined = combine(residuals, 1, (between + plan.steps) / plan.steps)
    forecast, of_naive = (came + scale[:, None, None] * one for one in (combined, residuals[1]))
    stride = between / (len(plan.origins) - 1) if len(plan.origins) > 1 else 1.0
    held = HeldOut(came, forecast, of_naive, scale, stride)
    effects = fit_effects([one[:, 0] for one in given.values], given.future, main)
    series, _, notes = prepare(given, effects, main)
    # The LSTM without a weight is kept for its gates, as it was before the windows.
    final: list[WindowMember] = [fit_window_lstm(series, form, steps, recipe, seed) if weights[0] else lstm]
    kept = [n for n in np.argsort(-weights, kind="stable").tolist() if n and weights[n] > 0]
    final += [tried[n - 1].fit(series, tried[n - 1].transform, steps) for n in kept]
    target = RegressionTarget(tuple(f"step {k + 1}" for k in range(steps)))
    ensemble = Ensemble(tuple(final), tuple(weights[[0, *kept]]), np.zeros(steps), target)
    return seasons, ensemble, held, effects, series, [*given.notes, *notes]


def prepare(
    given: SeriesSet, effects: Array, season: int, purpose: str = "fit"
) -> tuple[list[Array], list[Array], list[str]]:
    """What the members read of each series (n_s, C); what was taken from the target (n_s,), without its outliers: the
    effects of the columns that are known in advance and the level shifts; and what was found, in lines.
    purpose: what the members read it for.
    """
    values, added, notes = [], [], []
    for number, (name, one) in enumerate(zip(given.names, given.values, strict=True)):
        effect = given.future[number][: len(one)] @ effects[number]
        cleaned, outliers, shifts = clean(one[:, 0] - effect, season)
        shifted = np.zeros(len(one))
        where = f" of {quote(name, 40)}" * (len(given.names) > 1)
        for at, size in shifts:
            shifted[:at] -= size
            when = show_time(given.times(number, at, at + 1)[0])
            notes.append(
                f"level shift{where} by {size:+.4g} at {when}: the values before it are moved to the new level"
            )
        if outliers:
            notes.append(f"{counted(len(outliers), 'outlier')}{where} replaced before the {purpose}")
        values.append(np.concatenate([cleaned[:, None], one[:, 1:]], axis=1))
        added.append(effect + shifted)
    return values, added, notes


class Plan(NamedTuple):
    """Where the held-out windows of series of n or more values lie.

    origins (W,): the values from the end after which a window begins, descending. steps: values forecast from each, the
    horizon or fewer for a short series.
    """

    origins: tuple[int, ...]
    steps: int

    @classmethod
    def of(cls, n: int, horizon: int, seasons: tuple[int, ...]) -> Self:
        """At most 32 windows, spread evenly over the last third of n values, or over two horizons where that is more.
        At least half of the values stay before the first.
        """
        most = n - (n + 1) // 2
        length = min(horizon, 2 * max(seasons, default=1))
        held = min(most, max(n // 3, length + max(length, _LEAST_ORIGINS)))
        for season in seasons[:1]:  # a season stays before the first window
            held = max(1, min(held, n - season - 1))
        steps = max(1, min(horizon, held - min(LEAST_WINDOWS, held // 3)))
        origins = np.unique(np.linspace(steps, held, min(_MOST_ORIGINS, held - steps + 1)).round().astype(int))
        return cls(tuple(origins[::-1].tolist()), steps)

    def before(self, series: Array) -> Array:
        """The values that no held-out window forecasts."""
        return series[: len(series) - self.origins[0]]

    def windows(self, series: Array, history: int) -> tuple[Array, Array]:
        """(W, history, C): what is known at each origin, with NaN in front of the first value; (W, steps): what comes
        then.
        """
        ends = len(series) - np.array(self.origins)
        padded = np.concatenate([np.full((history, series.shape[1]), np.nan), series])
        return padded[ends[:, None] + np.arange(history)], series[ends[:, None] + np.arange(self.steps), 0]


class Candidate(NamedTuple):
    """A member that is tried. fit: makes it, from series (n_s, C), the transform and the steps."""

    fit: Callable[..., WindowMember]
    transform: Transform


def candidates(seasons: tuple[int, ...], series: list[Array], steps: int, positive: bool) -> list[Candidate]:
    """The members that are tried, the seasonal naive forecast first. positive: whether all values are above 0."""
    shortest, longest = min(map(len, series)), min(max(map(len, series)), MAX_SMOOTHED)
    # The last season repeated, as far as the series have one, and the last value
    found = [Candidate(fit_naive, Transform(False, m, m == 1, 1)) for m in (*seasons, 1)]
    found.append(Candidate(partial(fit_naive, drift=True), Transform(False, 1, True, longest)))
    ets = partial(fit_ets, period=next(iter(seasons), 1))
    for log in (False, True) if positive else (False,):
        profiles = [(m, cycles) for m in seasons if (cycles := min(shortest // m, _MOST_CYCLES)) >= 2]
        for m, cycles in ((1, 0), *profiles):
            found += [Candidate(fit, Transform(log, 1, False, longest, m, cycles)) for fit in (ets, fit_theta)]
        for m, cycles in profiles:
            found += [Candidate(fit_naive, Transform(log, 1, level, 1, m, cycles)) for level in (True, False)]
        for season in (*seasons, 1):
            lengths = (season, 2 * season) if season > 1 else (1, 2, 4, 8, 16)
            for length in dict.fromkeys(min(length, _MOST_STEPS) for length in lengths):
                for differenced in dict.fromkeys((1, season)):
                    # Windows of a season without seasonal differences show the season to the autoregression.
                    forms = [Transform(log, differenced, level, length) for level in (False, True)]
                    found += [Candidate(fit_autoregression, form) for form in forms]
        for m in seasons[1:]:
            cycles = min(shortest // m - 1, 3)
            if cycles >= 2:
                forms = [Transform(log, 1, level, seasons[0], m, cycles) for level in (False, True)]
                found += [Candidate(fit_autoregression, form) for form in forms]
    most = shortest - steps + 1 - LEAST_TRAINING_WINDOWS
    return [one for one in dict.fromkeys(found) if one.fit is not fit_autoregression or one.transform.history <= most]


def residuals_of(members: Sequence[WindowMember], known: Windows, actual: Array, scale: Array) -> Array:
    """The errors (M, S, W, steps) of members, with their signs, relative to the scale (S,) of each series.

    known: the S W windows that the members read. actual (S, W, steps). NaN and infinite forecasts of a member that
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
