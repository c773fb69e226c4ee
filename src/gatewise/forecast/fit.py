"""The fit of a forecaster: the season, members before the held-out windows, their weights, members on all values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from threading import Event
from typing import Any, NamedTuple

import numpy as np

from gatewise.data.labelled import Labelled
from gatewise.errors import InputError, counted, quote
from gatewise.forecast.held_out import LEAST_WINDOWS, HeldOut, naive_scale, seasonal_naive
from gatewise.forecast.series import SeriesSet
from gatewise.members.autoregression import Autoregression
from gatewise.members.ensemble import Ensemble
from gatewise.members.window_lstm import WindowLSTM
from gatewise.members.windows import Scales, Transform, WindowMember, numbered, roll_out
from gatewise.model.preprocessor import SeriesPreprocessor
from gatewise.network.architecture import initial_parameters
from gatewise.network.batch import truncate
from gatewise.target import Target
from gatewise.training.dense_solver import Ridge
from gatewise.training.fields import named_values
from gatewise.training.loop import Loop
from gatewise.training.objective import SupervisedObjective, network_of
from gatewise.training.recipes import Recipe
from gatewise.training.recipes import recipe as named
from gatewise.training.run_recipe import check_settings
from gatewise.training.training_data import TargetScaling, TrainingData, plan_series
from gatewise.types import Array

_DIRECT_STEPS = 12  # predicted at once without a season
_MOST_STEPS = 200  # of a window
_MOST_ORIGINS = 24
_SHARE = 6  # one origin per so many values
MAX_PERIOD = 400  # of a season that is detected
_LEAST_AUTOCORRELATION = 0.2
_LEAST_EXPLAINED = 0.2
_NEAR = 0.7  # of the highest peak: the first such peak counts, higher ones may be at its multiples
_LEAST_WINDOWS = 6  # of each series
_MOST_WINDOWS = 4000  # of all series; of more, evenly spaced ones
_PENALTIES = 10.0 ** np.arange(-4, 2.1, 0.5)  # of the ridge regression, per window
_UNREAD = ("validation.folds", "validation.split", "optimisation.min_batch_tokens")


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
    linear = _fit_linear(before, season, candidates(season, positive), steps)
    if not linear:
        which = "the series" if given.single else f"series {quote(given.names[np.argmin(lengths)], 40)}"
        has = f"{which} has {counted(min(lengths), 'value')}"
        raise InputError(f"{has}, too few for windows of season {season} and horizon {horizon}")
    chosen = _choose(before, season, [member.transform for member in linear], steps)
    members = [*linear, fit_window_lstm(before, chosen, steps, recipe, seed)]
    forecasts, errors, held = _held_out_forecasts(series, plan, season, members)
    weights, combined = combine(forecasts, errors)
    kept = [n for n in np.argsort(-weights[:-1], kind="stable").tolist() if weights[n] > 0]
    final: list[WindowMember] = [fit_window_lstm(series, chosen, steps, recipe, seed)]
    final += _fit_linear(series, season, [linear[n].transform for n in kept], steps)
    target = Target(tuple(f"step {k + 1}" for k in range(steps)), "regression")
    ensemble = Ensemble(tuple(final), tuple(weights[[-1, *kept]]), np.zeros(steps), target)
    return season, ensemble, replace(held, forecast=combined)


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
        ends = len(self.before(series)) + np.arange(self.origins)
        known = series[ends[:, None] + np.arange(-history, 0)]
        return known, series[ends[:, None] + np.arange(self.steps), 0]


def detect_season(series: list[Array]) -> int:
    """The period common to the series (n,), 1 if there is none.

    Two autocorrelations are averaged over the series. That of the values without their linear trend finds a season in
    noise. That of the first differences finds one in values whose level changes. A peak is the largest of the positive
    autocorrelations between two that are at most 0, if it is above 0.2 and above two standard errors of noise. In each,
    the first peak of at least 70% of the highest is taken.

    The candidates are the periods within 2 lags or 5% of these peaks, since noise moves a peak. Each cycle is predicted
    by the mean of the other cycles. The period whose predictions explain most of the variance is taken, if they explain
    at least a fifth.
    """
    top = min(min(len(one) // 3 for one in series), MAX_PERIOD)
    scaled = [one / np.abs(one).max() for one in series if np.ptp(one) > 0]
    if top < 4 or not scaled:
        return 1
    least = max(_LEAST_AUTOCORRELATION, 2 / float(np.sqrt(sum(map(len, scaled)))))
    steps = [np.arange(len(one)) for one in scaled]
    level = [one - np.polyval(np.polyfit(at, one, 1), at) for one, at in zip(scaled, steps, strict=True)]
    peaks = _peak(level, top, least), _peak([np.diff(one) for one in scaled], top, least)
    periods = [k for peak in peaks if peak for k in range(2, top + 1) if abs(k - peak) <= max(2, peak / 20)]
    explained = {k: float(np.mean([_explained(one, k) for one in scaled])) for k in periods}
    best = max(periods, key=explained.__getitem__, default=1)
    return best if explained.get(best, 0.0) >= _LEAST_EXPLAINED else 1


def _peak(series: list[Array], top: int, least: float) -> int:
    """The lag below `top` of the first high peak of the mean autocorrelation of the series (n,); 0 if there is none."""
    r = np.zeros(top - 1)  # r[k - 1] at lag k
    for one in series:
        d = one - one.mean()
        power = float(d @ d) or 1.0
        r += [float(d[k:] @ d[:-k]) / power / len(series) for k in range(1, top)]
    # Noise makes many local maxima beside one of a long period. Over a period the autocorrelation has the mean 0, so
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
    centred = one - one.mean()
    sums = np.r_[0.0, np.cumsum(centred)]
    means = (sums[period:] - sums[:-period]) / period  # means[k] of the values k to k + period - 1
    if period % 2 == 0:  # an even number of values has its middle between two of them
        means = (means[1:] + means[:-1]) / 2
    around = centred[period // 2 : period // 2 + len(means)] - means
    cycles = len(around) // period
    d = around[-cycles * period :].reshape(cycles, period)
    predicted = (d.sum(axis=0) - d) / (cycles - 1)
    variance = float((d * d).sum())
    return 1 - float(((d - predicted) ** 2).sum()) / variance if variance > 0 else 0.0


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
    """Weights (M,) of M members from their mean absolute errors (M,), in proportion to 1 / error² (Bates & Granger
    1969). There are few held-out windows, which overlap, for many members that are alike; least squares has the larger
    errors there. The worse half of the autoregressions gets 0; the last member, the LSTM, keeps its weight.
    """
    weights = 1 / np.maximum(errors, 1e-9) ** 2
    weights /= weights.sum()
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


def _fit_linear(series: list[Array], season: int, transforms: Sequence[Transform], steps: int) -> list[Autoregression]:
    """One autoregression per transform that has enough windows; none for a series of one season or less."""
    if min(map(len, series)) <= season:
        return []
    found = [TrainingWindows.of(series, transform, steps) for transform in transforms]
    return [fit_autoregression(windows) for windows in found if windows is not None]


def _choose(series: list[Array], season: int, transforms: Sequence[Transform], steps: int) -> Transform:
    """The transform with the smallest error on the last windows of these series; the first if they are too short."""
    plan = Plan.of(min(map(len, series)), steps)
    linear = _fit_linear([plan.before(one) for one in series], season, transforms, steps)
    if not linear:
        return transforms[0]
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


@dataclass(frozen=True, eq=False)
class TrainingWindows:
    """Transformed windows of all series in the order of time: x (n, length, C), y (n, steps). scales: (S, C)."""

    x: Array
    y: Array
    transform: Transform
    scales: Scales

    @classmethod
    def of(cls, series: Sequence[Array], transform: Transform, steps: int) -> TrainingWindows | None:
        """Every window of the series (n_s, C) whose targets lie within them; None if a series has too few."""
        scales = Scales(*map(np.stack, zip(*map(transform.scales, series), strict=True)))
        parts, owners, ends = [], [], []
        for number, one in enumerate(series):
            n = len(one) - transform.history - steps + 1
            if n < _LEAST_WINDOWS:
                return None
            starts = np.unique(np.linspace(0, n - 1, min(n, max(1, _MOST_WINDOWS // len(series)))).astype(int))
            parts.append(one[starts[:, None] + np.arange(transform.history + steps)])  # (n, R + steps, C)
            owners += [number] * len(starts)
            ends += (starts - n).tolist()  # 0 is the end of the series
        order = np.argsort(ends, kind="stable")
        part, owner = np.concatenate(parts)[order], np.array(owners)[order]
        each = Scales(scales.mean[owner], scales.std[owner])
        x, base = transform.encode(part[:, : transform.history], each, steps)
        return cls(x, transform.targets(part[:, transform.history :, 0], base, each), transform, scales)


def fit_autoregression(windows: TrainingWindows) -> Autoregression:
    """Ridge regression; the penalty with the lowest leave-one-out error (Allen's PRESS) over all steps."""
    x, y = windows.x.reshape(len(windows.x), -1), windows.y
    mean, scale = x.mean(axis=0), float(x.std()) or 1.0
    z = (x - mean) / scale
    ridge, penalties = Ridge.of(z), _PENALTIES * len(x) / z.shape[1]
    errors = [np.mean(np.square(y - ridge.out_of_fold(y, l2))) for l2 in penalties.tolist()]
    weight, bias = ridge.weights(z, y, float(penalties[int(np.argmin(errors))]))
    return Autoregression(windows.transform, windows.scales, weight / scale, bias - mean @ weight / scale)


def window_recipe(name: str | Recipe | None, changes: Mapping[str, Any]) -> Recipe:
    """The recipe of the LSTM with changed fields; by default "forecast". Raises InputError for an unknown recipe or
    field, and for a changed field that the LSTM of a forecaster does not read.
    """
    values = named_values(Recipe, changes)
    found = named(name or "forecast", **values)
    check_settings(found, "series", "regression")
    unread = [path for path in values if path.startswith("convolutions.") or path in _UNREAD]
    if unread:
        raise InputError(f"{unread[0]} is for classification and regression; the LSTM of a forecaster does not read it")
    return found


def fit_window_lstm(series: Sequence[Array], transform: Transform, steps: int, recipe: Recipe, seed: int) -> WindowLSTM:
    """The best epoch of the LSTM of this recipe, without other members and without calibration. The series (n_s, C)
    must be long enough for an autoregression on the same windows.
    """
    windows = TrainingWindows.of(series, transform, steps)
    assert windows is not None
    n = len(windows.y)
    arch = recipe.architecture("channels", windows.x.shape[2], steps)
    cut = min(n - 1, max(1, math.ceil((1 - recipe.validation.fraction) * n - 0.5)))  # the last ones validate
    scaler = SeriesPreprocessor.fit(list(windows.x[:cut].astype(np.float32)))
    sequences = [truncate(scaler.scaled(window), arch) for window in windows.x.astype(np.float32)]
    training_data = TrainingData(
        Labelled(sequences, windows.y, tuple(map(str, range(steps))), np.arange(n), task="regression"),
        plan_series(recipe, [len(one) for one in sequences], cut, own_validation=True)[0],
        scaler,
        arch,
        sequences,
        windows.y,
        np.arange(cut),
        np.arange(cut, n),
        sequences,
        target_scaling=TargetScaling.fit(windows.y[:cut]),
    )
    parameters = initial_parameters(arch, np.random.default_rng([seed, 0x5EED]))
    loop = Loop(SupervisedObjective(training_data, network_of(training_data, parameters), seed))
    loop.run(Event())
    parameters = loop.objective.parameters(loop.result())
    for direction in arch.layers[0].directions:  # the standardisation becomes a part of the first layer
        name = f"lstm.0.{direction}"
        weight = parameters[f"{name}.weight_ih"] / np.array(scaler.std)
        parameters[f"{name}.bias"] = (parameters[f"{name}.bias"] - weight @ np.array(scaler.mean)).astype(np.float32)
        parameters[f"{name}.weight_ih"] = weight.astype(np.float32)
    return WindowLSTM(arch, parameters, transform=windows.transform, scales=windows.scales)
