"""The fit of a forecaster: members before the held-out windows, their weights, members on all values."""

from __future__ import annotations

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
from gatewise.members import Ensemble
from gatewise.members.window_lstm import WindowLSTM
from gatewise.members.windows import Transform, WindowMember, Windows, roll_out
from gatewise.target import RegressionTarget
from gatewise.training import Recipe
from gatewise.training.forecast_members import (
    LEAST_TRAINING_WINDOWS,
    MAX_SMOOTHED,
    fit_autoregression,
    fit_ets,
    fit_naive,
    fit_theta,
    fit_window_lstm,
)
from gatewise.types import Array

_DIRECT_STEPS = 12  # that a member predicts at once without a season; longer forecasts feed predictions back
_MOST_STEPS = 200  # of a window
LEAST_VALUES = 8
_MOST_ORIGINS = 32
_LEAST_ORIGINS = 8
_MOST_CYCLES = 8  # of a seasonal profile
# The two rules for the weights: the members that get one in proportion to 1 / error^4, and the greedy picks. Both were
# measured in docs/log/series.md, "Rules for the weights of a forecaster".
_MOST_MEMBERS = 10
_PICKS = 5
_FAR = 1e6  # relative error of a member that overflows
_LEAST_WEIGHT = 0.01  # members with a smaller weight are left out


class Fitted(NamedTuple):
    """A fitted forecaster: the seasons; the members with their weights; the held-out windows; the effects (S, F) of the
    columns that are known in advance; the series (n_s, C) as the members read them, without outliers, level shifts and
    these effects; and notes on what was replaced in them, in lines.
    """

    seasons: tuple[int, ...]
    ensemble: Ensemble
    held_out: HeldOut
    effects: Array
    series: list[Array]
    notes: list[str]


class Tried(NamedTuple):
    """The members that were fitted to the values before the held-out windows.

    seasons: those of which these values have more than one. steps: the values that a member predicts at once.
    candidates: all members but the LSTM. transform: of the windows of the LSTM. lstm: the LSTM. weights (1 + M,): of
    the LSTM and of the candidates. held_out: the windows, with the errors there.
    """

    seasons: tuple[int, ...]
    steps: int
    candidates: list[Candidate]
    transform: Transform
    lstm: WindowLSTM
    weights: Array
    held_out: HeldOut


def fit(data: SeriesSet, horizon: int, season: int | None, recipe: Recipe, seed: int) -> Fitted:
    """Fit the members before the held-out windows, their weights on these windows, then the members on all values.

    season: a period, 1 for none; None: the periods that the calendar suggests, else those of the values. Raises
    InputError for series that are too short.
    """
    _check_lengths(data, season)
    seasons, plan = _seasons_and_plan(data, horizon, season)
    tried = _try_members(data, horizon, seasons, plan, recipe, seed)
    return _fit_to_all_values(data, tried, recipe, seed)


def _try_members(
    data: SeriesSet, horizon: int, seasons: tuple[int, ...], plan: Plan, recipe: Recipe, seed: int
) -> Tried:
    """Fit the members to the values before the held-out windows, and their weights to the errors in these windows."""
    # Effects and level shifts come from the values before the windows too.
    targets_before = [plan.before(values)[:, 0] for values in data.values]
    effects = fit_effects(targets_before, data.future, _main(seasons))
    series, subtracted, _ = clean_series(data, effects, _main(seasons))
    before = [plan.before(values) for values in series]
    shortest = min(map(len, before))
    seasons = tuple(m for m in seasons if m < shortest)
    main = _main(seasons)
    # A member predicts a season at once, and at most a third of the values, so that there are windows to learn from.
    most = seasons[0] if seasons else _DIRECT_STEPS
    steps = max(1, min(horizon, most, shortest // 3))
    # Logarithms must exist for the values of the held-out windows too, on which the members are fitted again.
    positive = all(bool((values[:, 0] > 0).all()) for values in series)
    tried = candidates(seasons, before, steps, positive)
    members = [candidate.fit(before, candidate.transform, steps) for candidate in tried]
    history = max([main, *(member.transform.history for member in members)])
    windows = [Windows.of(plan.windows(values, history)[0], number) for number, values in enumerate(series)]
    known = Windows.concatenated(windows)
    actual = np.stack([plan.windows(values, 1)[1] for values in data.values])  # (S, W, steps), with outliers
    # The members forecast series without effects and shifts, and are compared with these.
    without_effects = actual - np.stack([plan.windows(taken[:, None], 1)[1] for taken in subtracted])
    scale = np.array([naive_scale(plan.before(values)[:, 0], main) for values in series])
    residuals = residuals_of(members, known, without_effects, scale)
    # The LSTM reads the windows of the best autoregression.
    transform = _best_autoregression(tried, residuals)
    lstm = fit_window_lstm(before, transform, steps, recipe, seed)
    residuals = np.concatenate([residuals_of([lstm], known, without_effects, scale), residuals])
    naive = 1  # the LSTM is the first member, and the seasonal naive forecast the first candidate
    weights, combined = combine(residuals, naive, plan.lengths)
    unit = scale[:, None, None]
    held_out = HeldOut(actual, actual + unit * combined, actual + unit * residuals[naive], scale, plan.stride)
    return Tried(seasons, steps, tried, transform, lstm, weights, held_out)


def _fit_to_all_values(data: SeriesSet, tried: Tried, recipe: Recipe, seed: int) -> Fitted:
    """Fit the LSTM, and the candidates with a weight, to all values."""
    main = _main(tried.seasons)
    steps = tried.steps
    effects = fit_effects([values[:, 0] for values in data.values], data.future, main)
    series, _, notes = clean_series(data, effects, main)
    # Without a weight the LSTM is kept for its gates, as it was before the held-out windows.
    lstm = tried.lstm
    if tried.weights[0]:
        lstm = fit_window_lstm(series, tried.transform, steps, recipe, seed)
    members: list[WindowMember] = [lstm]
    weights = [float(tried.weights[0])]
    of_candidates = tried.weights[1:]
    # The candidates by their weight, the largest first.
    for number in np.argsort(-of_candidates, kind="stable").tolist():
        if of_candidates[number] > 0:
            candidate = tried.candidates[number]
            members.append(candidate.fit(series, candidate.transform, steps))
            weights.append(float(of_candidates[number]))
    target = RegressionTarget(tuple(f"step {k + 1}" for k in range(steps)))
    ensemble = Ensemble(tuple(members), tuple(weights), np.zeros(steps), target)
    return Fitted(tried.seasons, ensemble, tried.held_out, effects, series, [*data.notes, *notes])


def _main(seasons: tuple[int, ...]) -> int:
    """The shortest season, 1 without one."""
    return seasons[0] if seasons else 1


def _check_lengths(data: SeriesSet, season: int | None) -> None:
    """Raise InputError for a series that is too short to forecast, or for a season that the shortest does not show."""
    lengths = [len(values) for values in data.values]
    shortest = min(lengths)
    count = counted(shortest, "value")
    if shortest < LEAST_VALUES:
        which = "the series" if len(lengths) == 1 else f"series {quote(data.names[int(np.argmin(lengths))], 40)}"
        raise InputError(
            f"{which} has {count}; a forecast needs {LEAST_VALUES}: add earlier values, or leave the series out"
        )
    if season and 3 * season > 2 * shortest:
        raise InputError(
            f"the shortest series has {count}; a season of {season} needs {math.ceil(1.5 * season)}: add earlier "
            "values, or set season=1"
        )


def _seasons_and_plan(data: SeriesSet, horizon: int, season: int | None) -> tuple[tuple[int, ...], Plan]:
    """The seasons, and the held-out windows that they allow. Seasons of the values are found before these windows."""
    shortest = min(map(len, data.values))
    if not season:
        seasons = data.calendar.seasons()
    elif season > 1:
        seasons = (season,)
    else:
        seasons = ()
    seasons = tuple(m for m in seasons if 3 * m <= 2 * shortest)
    plan = Plan.of(shortest, horizon, seasons)
    if not seasons and season is None:
        seasons = detect_seasons([plan.before(values)[:, 0] for values in data.values])
        plan = Plan.of(shortest, horizon, seasons)
    return seasons, plan


def _best_autoregression(tried: Sequence[Candidate], residuals: Array) -> Transform:
    """The transform of the autoregression with the smallest mean absolute residual."""
    error = np.abs(residuals).mean(axis=(1, 2, 3))
    linear = [n for n, candidate in enumerate(tried) if candidate.fit is fit_autoregression]
    return tried[min(linear, key=error.__getitem__)].transform


def clean_series(
    data: SeriesSet, effects: Array, season: int, purpose: str = "fit"
) -> tuple[list[Array], list[Array], list[str]]:
    """The series (n_s, C) as the members read them; what was subtracted from the target (n_s,) besides its outliers:
    the effects of the columns that are known in advance and the level shifts; and notes on both, in lines.
    purpose: what the members read the series for.
    """
    series: list[Array] = []
    subtracted: list[Array] = []
    notes: list[str] = []
    for number, (name, values) in enumerate(zip(data.names, data.values, strict=True)):
        effect = data.future[number][: len(values)] @ effects[number]
        cleaned, outliers, shifts = clean(values[:, 0] - effect, season)
        where = f" of {quote(name, 40)}" * (len(data.names) > 1)
        shifted = np.zeros(len(values))
        for at, size in shifts:
            shifted[:at] -= size
            when = show_time(data.times(number, at, at + 1)[0])
            notes.append(
                f"level shift{where} by {size:+.4g} at {when}: the values before it are moved to the new level"
            )
        if outliers:
            notes.append(f"{counted(len(outliers), 'outlier')}{where} replaced before the {purpose}")
        series.append(np.concatenate([cleaned[:, None], values[:, 1:]], axis=1))
        subtracted.append(effect + shifted)
    return series, subtracted, notes


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
        if seasons:  # a season stays before the first window
            held = max(1, min(held, n - seasons[0] - 1))
        steps = max(1, min(horizon, held - min(LEAST_WINDOWS, held // 3)))
        origins = np.unique(np.linspace(steps, held, min(_MOST_ORIGINS, held - steps + 1)).round().astype(int))
        return cls(tuple(origins[::-1].tolist()), steps)

    @property
    def stride(self) -> float:
        """The mean number of steps from one window to the next; 1 for a single one."""
        if len(self.origins) == 1:
            return 1.0
        return self._between / (len(self.origins) - 1)

    @property
    def lengths(self) -> float:
        """How many windows next to each other would cover the same values."""
        return (self._between + self.steps) / self.steps

    @property
    def _between(self) -> int:
        """The steps from the first window to the last one."""
        return self.origins[0] - self.origins[-1]

    def before(self, series: Array) -> Array:
        """The values that no held-out window forecasts."""
        return series[: len(series) - self.origins[0]]

    def windows(self, series: Array, history: int) -> tuple[Array, Array]:
        """The values (W, history, C) before each origin, with NaN in front of the first value; the target's values
        (W, steps) from it on.
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
    shortest = min(map(len, series))
    longest = min(max(map(len, series)), MAX_SMOOTHED)
    # The last season repeated, for each season, and the last value.
    tried = [Candidate(fit_naive, Transform(False, m, m == 1, 1)) for m in (*seasons, 1)]
    tried.append(Candidate(partial(fit_naive, drift=True), Transform(False, 1, True, longest)))
    ets = partial(fit_ets, period=_main(seasons))
    profiles: list[tuple[int, int]] = []  # the seasons with two cycles or more, and the cycles of their profile
    for m in seasons:
        cycles = min(shortest // m, _MOST_CYCLES)
        if cycles >= 2:
            profiles.append((m, cycles))
    for log in (False, True) if positive else (False,):
        for m, cycles in ((1, 0), *profiles):
            tried += [Candidate(fit, Transform(log, 1, False, longest, m, cycles)) for fit in (ets, fit_theta)]
        for m, cycles in profiles:
            tried += [Candidate(fit_naive, Transform(log, 1, level, 1, m, cycles)) for level in (True, False)]
        transforms = _autoregressive_transforms(seasons, shortest, log)
        tried += [Candidate(fit_autoregression, transform) for transform in transforms]
    longest_window = shortest - steps + 1 - LEAST_TRAINING_WINDOWS

    def has_windows(candidate: Candidate) -> bool:
        return candidate.fit is not fit_autoregression or candidate.transform.history <= longest_window

    return [candidate for candidate in dict.fromkeys(tried) if has_windows(candidate)]


def _autoregressive_transforms(seasons: tuple[int, ...], shortest: int, log: bool) -> list[Transform]:
    """The windows of autoregressions: of one and two seasons, without a season of 1 to 16 values; with and without
    differences against the last value and the last season; then one season with the profile of the longer one.
    """
    transforms = []
    for season in (*seasons, 1):
        lengths = (season, 2 * season) if season > 1 else (1, 2, 4, 8, 16)
        for length in dict.fromkeys(min(length, _MOST_STEPS) for length in lengths):
            # Windows of a season without seasonal differences show the season to the autoregression.
            for differenced in dict.fromkeys((1, season)):
                transforms += [Transform(log, differenced, level, length) for level in (False, True)]
    for m in seasons[1:]:
        cycles = min(shortest // m - 1, 3)
        if cycles >= 2:
            transforms += [Transform(log, 1, level, seasons[0], m, cycles) for level in (False, True)]
    return transforms


def residuals_of(members: Sequence[WindowMember], known: Windows, actual: Array, scale: Array) -> Array:
    """The errors (M, S, W, steps) of members, with their signs, relative to the scale (S,) of each series.

    known: the S W windows that the members read. actual (S, W, steps). NaN and infinite forecasts of a member that
    overflows count as far away.
    """
    with np.errstate(all="ignore"):
        forecasts = np.stack([roll_out(member, known, actual.shape[2]).reshape(actual.shape) for member in members])
        return np.nan_to_num(np.clip((forecasts - actual) / scale[:, None, None], -_FAR, _FAR), nan=_FAR)


def combine(residuals: Array, naive: int, lengths: float) -> tuple[Array, Array]:
    """Weights (M,) of the members, and the residuals (S, W, steps) of the weighted sum in the held-out windows. The
    weights of these residuals are fitted to other windows: each half of the windows has those of the other half.

    residuals (M, S, W, steps): see `residuals_of`; weights sum to 1, so the residuals of a weighted sum are the
    weighted sum of the members' residuals. naive: the member that is the seasonal naive forecast. lengths: how many
    windows would cover the same values without an overlap. The best member alone gets the weight if the weighted sum is
    worse by more than the standard error of the difference; for this error as many windows count as fit next to each
    other.
    """
    _, count, origins, _ = residuals.shape
    combined = np.empty(residuals.shape[1:])
    first_half = np.arange(origins) < origins // 2
    for half in (first_half, ~first_half):
        # A single window is in no half: its own weights are all there are.
        other = ~half
        if not other.any():
            other = half
        weights = member_weights(residuals[:, :, other], naive, lengths)
        combined[:, half] = np.tensordot(weights, residuals[:, :, half], axes=1)
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
    the seasonal naive forecast gets a share of 1 / (1 + lengths), times the smallest error over its own
    (docs/log/series.md, "Few windows that overlap").
    """
    errors = np.maximum(np.abs(residuals).mean(axis=(1, 2, 3)), 1e-9)
    order = np.argsort(errors, kind="stable")
    inverse = (errors.min() / errors) ** 4
    inverse[order[_MOST_MEMBERS:]] = 0
    picked = np.zeros(len(errors))
    total = np.zeros(residuals.shape[1:])
    best = order[: 2 * _MOST_MEMBERS]
    for _ in range(_PICKS):
        n = best[int(np.argmin([np.abs(total + residuals[n]).mean() for n in best]))]
        picked[n] += 1 / _PICKS
        total += residuals[n]
    naive_share = float(errors.min() / errors[naive]) / (1 + lengths)
    weights = (1 - naive_share) * (inverse / inverse.sum() + picked) / 2
    weights[naive] += naive_share
    weights[weights < _LEAST_WEIGHT] = 0
    return np.asarray(weights / weights.sum())
