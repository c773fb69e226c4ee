"""The fit of a forecaster: what the series are made of before any member is fitted (seasons, outliers, level shifts,
effects of known columns), members before the held-out windows, their weights, members on all values.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np

from gatewise.data.times import show_time
from gatewise.errors import InputError, counted, quote
from gatewise.forecast.held_out import LEAST_WINDOWS, HeldOut, naive_scale
from gatewise.forecast.series import SeriesSet
from gatewise.members.ensemble import Ensemble
from gatewise.members.windows import Transform, WindowMember, around_average, numbered, seasonal_profile
from gatewise.target import Target
from gatewise.training.forecast_members import (
    LEAST_TRAINING_WINDOWS,
    MAX_SMOOTHED,
    combine,
    fit_autoregression,
    fit_ets,
    fit_naive,
    fit_theta,
    fit_window_lstm,
    residuals_of,
)
from gatewise.training.recipes import Recipe
from gatewise.types import Array

_DIRECT_STEPS = 12  # predicted at once without a season
_MOST_STEPS = 200  # of a window
LEAST_VALUES = 8
_MOST_ORIGINS = 32
_LEAST_ORIGINS = 8
_MOST_CYCLES = 8  # of a seasonal profile
MAX_PERIOD = 400  # of a season that is detected
_LEAST_AUTOCORRELATION = 0.2
_LEAST_EXPLAINED = 0.2
_NEAR = 0.7  # of the highest peak: the first such peak counts, higher ones may be at its multiples
_OUTLIER = 7.0  # robust standard deviations from both neighbours and the median
_SHIFT = 7.0  # robust standard deviations of the changes
_AROUND = 6  # values before and after a level shift
_MOST_OUTLIERS = 0.03  # of the values; if there are more, none is replaced
_MOST_SHIFTS = 3
_RIDGE = 1e-3


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
    known = np.concatenate([numbered(plan.windows(one, history)[0], number) for number, one in enumerate(series)])
    came = np.stack([plan.windows(one, 1)[1] for one in given.values])  # (S, W, steps), with outliers
    actual = came - np.stack([plan.windows(one[:, None], 1)[1] for one in added])  # as the members see them
    scale = np.array([naive_scale(plan.before(one)[:, 0], main) for one in series])
    residuals = residuals_of(members, known, actual, scale)
    loss = np.abs(residuals).mean(axis=(1, 2, 3))
    linear = [n for n, one in enumerate(tried) if one.fit is fit_autoregression]
    form = tried[min(linear, key=loss.__getitem__)].transform
    lstm = fit_window_lstm(before, form, steps, recipe, seed)
    residuals = np.concatenate([residuals_of([lstm], known, actual, scale), residuals])
    weights, combined = combine(residuals, 1, plan.lengths)  # the first candidate is the seasonal naive forecast
    forecast, of_naive = (came + scale[:, None, None] * one for one in (combined, residuals[1]))
    held = HeldOut(came, forecast, of_naive, scale, plan.stride)
    effects = fit_effects([one[:, 0] for one in given.values], given.future, main)
    series, _, notes = prepare(given, effects, main)
    # The LSTM without a weight is kept for its gates, as it was before the windows.
    final: list[WindowMember] = [fit_window_lstm(series, form, steps, recipe, seed) if weights[0] else lstm]
    kept = [n for n in np.argsort(-weights, kind="stable").tolist() if n and weights[n] > 0]
    final += [tried[n - 1].fit(series, tried[n - 1].transform, steps) for n in kept]
    target = Target(tuple(f"step {k + 1}" for k in range(steps)), "regression")
    ensemble = Ensemble(tuple(final), tuple(weights[[0, *kept]]), np.zeros(steps), target)
    return seasons, ensemble, held, effects, series, [*given.notes, *notes]


def prepare(given: SeriesSet, effects: Array, season: int) -> tuple[list[Array], list[Array], list[str]]:
    """What the members read of each series (n_s, C); what was taken from the target (n_s,), without its outliers: the
    effects of the columns that are known in advance and the level shifts; and what was found, in lines.
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
            notes.append(f"{counted(len(outliers), 'outlier')}{where} replaced before the fit")
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

    @property
    def stride(self) -> float:
        """The steps from the begin of one window to that of the next."""
        return (self.origins[0] - self.origins[-1]) / (len(self.origins) - 1) if len(self.origins) > 1 else 1.0

    @property
    def lengths(self) -> float:
        """How many windows would cover the same values without an overlap."""
        return (self.origins[0] - self.origins[-1] + self.steps) / self.steps

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


def clean(values: Array, season: int) -> tuple[Array, list[int], list[tuple[int, float]]]:
    """The values (n,) without outliers, and with those before a level shift moved to the level after it; where values
    were replaced; where a new level begins, and by how much it differs. Both are judged by medians, after the seasonal
    profile is subtracted.

    An outlier lies seven robust standard deviations from the median of the four values around it; if more than 3% of
    the values do, none is replaced. A level shift is a change as large, after which at least six values
    stay at the new level.
    """
    n, y = len(values), np.array(values, dtype=np.float64)
    seasonal = np.zeros(n)
    if 1 < season <= n // 3:
        seasonal = seasonal_profile(y[None], season)[0][np.arange(-n, 0) % season]
    z = y - seasonal
    spread = 1.4826 * float(np.median(np.abs(np.diff(z) - np.median(np.diff(z)))))
    if n < 4 * _AROUND or not spread or np.mean(np.diff(y) == 0) > 0.2:  # intermittent values, and counts
        return y, [], []
    changes = np.diff(z)
    shifts: list[tuple[int, float]] = []
    for k in np.argsort(-np.abs(changes)).tolist():
        if abs(changes[k]) <= _SHIFT * spread:
            break
        before, after = z[max(0, k + 1 - _AROUND) : k + 1], z[k + 1 : k + 1 + _AROUND]
        if min(len(before), len(after)) < _AROUND or any(abs(k + 1 - at) < _AROUND for at, _ in shifts):
            continue
        size = float(np.median(after) - np.median(before))
        lasting = min(np.abs(after - np.median(before))) > 0.5 * abs(size)
        if size * changes[k] > 0 and abs(size) > _SHIFT / 2 * spread and lasting:
            shifts.append((k + 1, size))
    shifts = shifts if len(shifts) <= _MOST_SHIFTS else []
    for at, size in shifts:
        z[:at] += size
    padded = np.pad(z, 2, mode="reflect")
    around = np.median(np.stack([padded[:n], padded[1 : n + 1], padded[3 : n + 3], padded[4:]]), axis=0)
    found = np.flatnonzero(np.abs(z - around) > _OUTLIER * spread)
    found = found[(found > 1) & (found < n - 2)]
    alone = [k for k in found.tolist() if np.sign(z[k] - z[k - 1]) == np.sign(z[k] - z[k + 1])]
    if len(alone) > max(1, _MOST_OUTLIERS * n):
        alone = []
    z[alone] = around[alone]
    return z + seasonal if alone or shifts else y, alone, sorted(shifts)


def detect_seasons(series: list[Array]) -> tuple[int, ...]:
    """The periods common to the series (n,), at most two, the shortest first.

    The second is a longer one that the series have after the profile of the first is subtracted.
    """
    first = detect_season(series)
    if first == 1:
        return ()
    long = [one for one in series if len(one) > 3 * first]
    rest = [one - seasonal_profile(one[None], first)[0][np.arange(-len(one), 0) % first] for one in long]
    second = detect_season(rest) if len(rest) == len(series) else 1
    return (first, second) if second > 2 * first else (first,)


def detect_season(series: list[Array]) -> int:
    """The period common to the series (n,), 1 if there is none.

    The autocorrelation of the values without their linear trend finds a season in noise, that of the first differences
    one in values whose level changes. Differences are cut at five median deviations, so that outliers and level shifts
    do not hide a season. The candidates are the periods within 2 lags or 5% of the first high peak of either, since
    noise moves a peak. Each cycle is predicted by the mean of the other cycles. The period whose predictions explain
    most of the variance is taken, if they explain at least a fifth.
    """
    scaled = [_with_limited_changes(one / np.abs(one).max()) for one in series if np.ptp(one) > 0]
    top = min((min(len(one) // 3 for one in scaled), MAX_PERIOD)) if scaled else 0
    if top < 4:
        return 1
    least = max(_LEAST_AUTOCORRELATION, 2 / float(np.sqrt(sum(map(len, scaled)))))
    steps = [np.arange(len(one)) for one in scaled]
    level = [one - np.polyval(np.polyfit(at, one, 1), at) for one, at in zip(scaled, steps, strict=True)]
    peaks = _peak(level, top, least), _peak([np.diff(one) for one in scaled], top, least)
    periods = [k for peak in peaks if peak for k in range(2, top + 1) if abs(k - peak) <= max(2, peak / 20)]
    explained = {k: float(np.mean([_explained(one, k) for one in scaled])) for k in periods}
    best = max(periods, key=explained.__getitem__, default=1)
    return best if explained.get(best, 0.0) >= _LEAST_EXPLAINED else 1


def _with_limited_changes(one: Array) -> Array:
    """The values (n,) with their changes cut at five median deviations around the median change, where the changes
    have some.
    """
    changes = np.diff(one)
    middle = float(np.median(changes))
    spread = 5 * 1.4826 * float(np.median(np.abs(changes - middle)))
    if not spread:
        return one
    return np.cumsum(np.r_[one[0], np.clip(changes, middle - spread, middle + spread)])


def _peak(series: list[Array], top: int, least: float) -> int:
    """The lag below `top` of the first peak of the mean autocorrelation of the series (n,) that has at least 70% of the
    highest; 0 if there is none. A peak is the largest value between two that are at most 0, if it is at least `least`.
    """
    r = np.zeros(top - 1)  # r[k - 1] at lag k
    for one in series:
        d = one - one.mean()
        power = float(d @ d) or 1.0
        r += [float(d[k:] @ d[:-k]) / power / len(series) for k in range(1, top)]
    # Noise makes many local maxima next to one of a long period. Over a period the autocorrelation has the mean 0, so
    # that it falls to 0 or below between two peaks.
    falls = [*np.flatnonzero(r <= 0).tolist(), len(r)]
    lags = [a + 2 + int(r[a + 1 : b].argmax()) for a, b in pairwise(falls) if b > a + 1]
    peaks = [k for k in lags if k < len(r) and r[k - 1] >= least]  # at the last lag it may still rise
    highest = max((float(r[k - 1]) for k in peaks), default=0.0)
    return next((k for k in peaks if r[k - 1] >= _NEAR * highest), 0)


def _explained(one: Array, period: int) -> float:
    """The share of the variance around a moving average that the mean of the other cycles explains; below 0 where the
    moving average alone is nearer.
    """
    around = around_average((one - one.mean())[None], period)[0]
    cycles = len(around) // period
    if cycles < 2:
        return 0.0
    d = around[-cycles * period :].reshape(cycles, period)
    predicted = (d.sum(axis=0) - d) / (cycles - 1)
    variance = float((d * d).sum())
    return 1 - float(((d - predicted) ** 2).sum()) / variance if variance > 0 else 0.0


def fit_effects(series: list[Array], future: list[Array], season: int) -> Array:
    """Effects (S, F): by how much the columns that are known in advance move the values of each series.

    Ridge regressions of the changes of the values (n,) on those of the columns (n, F): against the value before, the
    last season, or both, whichever explains the larger share. Changes need no level, trend and season in the
    regression. Rows of the columns after the last value are not read.
    """
    slopes = np.zeros((len(series), future[0].shape[1]))
    for number, (y, x) in enumerate(zip(series, future, strict=True)):
        best, x = 0.0, x[: len(y)]
        for lags in ((1,), (season,), (season, 1)):
            dy, dx = y, x
            for lag in lags:
                dy, dx = dy[lag:] - dy[:-lag], dx[lag:] - dx[:-lag]
            if len(dy) < 2 * x.shape[1] + 6 or not dx.any():
                continue
            dx_centred, dy_centred = dx - dx.mean(axis=0), dy - np.median(dy)
            gram = dx_centred.T @ dx_centred
            size = np.maximum(np.diag(gram), 1e-300)
            found = np.linalg.solve(gram + np.diag(_RIDGE * size + 1e-300), dx_centred.T @ dy_centred)
            rest = dy_centred - dx_centred @ found
            explained = 1 - float(rest @ rest) / max(float(dy_centred @ dy_centred), 1e-300)
            explained = 1 - (1 - explained) * (len(dy) - 1) / max(1, len(dy) - x.shape[1] - 1)
            if explained > best:
                best, slopes[number] = explained, found
    return slopes
