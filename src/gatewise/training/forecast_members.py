"""The fits of the members of a forecaster.

Exponential smoothing and Theta are fitted to all series, forms and trial parameters in one batch of recursions.
"""

import math
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any, NamedTuple

import numpy as np

from gatewise.errors import InputError
from gatewise.members.autoregression import Autoregression
from gatewise.members.ets import ETS, smooth_from_back, start_state
from gatewise.members.naive import Naive
from gatewise.members.theta import Theta
from gatewise.members.window_lstm import WindowLSTM
from gatewise.members.windows import Scales, Transform
from gatewise.network.architecture import initial_parameters
from gatewise.network.batch import truncate
from gatewise.target import RegressionTarget
from gatewise.training.fields import named_values
from gatewise.training.network_data import NetworkData, TargetScaling, plan_series
from gatewise.training.recipes import Recipe
from gatewise.training.recipes import recipe as named
from gatewise.training.ridge import Ridge
from gatewise.training.run_recipe import check_settings
from gatewise.training.supervised_loop import SupervisedLoop, network_of
from gatewise.types import Array

LEAST_TRAINING_WINDOWS = 3  # of each series
_MOST_WINDOWS = 4000  # of all series; of more, evenly spaced ones
_PENALTIES = 10.0 ** np.arange(-4, 2.1, 0.5)  # of the ridge regression, per window
_FOR_OTHERS = ("validation.folds", "validation.split", "optimisation.min_batch_tokens")  # fields of a recipe
_UNREAD = {  # fields of a recipe that the LSTM of a forecaster does not read, and why
    "series.windows": "it reads every step of a window",
    "lstm.probe_l2": "it starts from random weights",
}
MAX_SMOOTHED = 600  # last values of a series that are smoothed
MAX_PERIOD = 60  # of a season that is smoothed; the profile of a longer one is subtracted
# Trial parameters of exponential smoothing: points of the first round, points of each further round, rounds.
_FIRST = 32
_MORE = 12
_ROUNDS = 7
_LEAST_PHI = 0.8
# Points (_FIRST, 4) spread evenly over the unit cube: an additive recurrence with the root of x**5 = x + 1.
_SPREAD = (0.5 + np.arange(1, _FIRST + 1)[:, None] / 1.1673039782614187 ** np.arange(1, 5)) % 1
_ROWS = 20_000  # of one batch


def windows_of(series: Sequence[Array], transform: Transform, steps: int) -> tuple[Array, Array, Scales]:
    """Every window of the series (n_s, C) whose targets lie within them, transformed, of all series in the order of
    time: x (n, length, C), y (n, steps); and the scales of the series.
    """
    scales = transform.scales(series)
    windows = []
    owners = []
    ends = []
    for number, values in enumerate(series):
        n = len(values) - transform.history - steps + 1
        starts = np.unique(np.linspace(0, n - 1, min(n, max(1, _MOST_WINDOWS // len(series)))).astype(int))
        windows.append(values[starts[:, None] + np.arange(transform.history + steps)])  # (n, R + steps, C)
        owners += [number] * len(starts)
        ends += (starts - n).tolist()  # 0 is the end of the series
    order = np.argsort(ends, kind="stable")
    ordered = np.concatenate(windows)[order]
    owner = np.array(owners)[order]
    of_windows = Scales(scales.mean[owner], scales.std[owner])
    x, base = transform.encode(ordered[:, : transform.history], of_windows, steps)
    return x, transform.targets(ordered[:, transform.history :, 0], base, of_windows), scales


def fit_naive(series: Sequence[Array], transform: Transform, steps: int, drift: bool = False) -> Naive:
    """The scales of the series."""
    return Naive(transform, transform.scales(series), steps, drift)


def fit_autoregression(series: Sequence[Array], transform: Transform, steps: int) -> Autoregression:
    """Ridge regression; the penalty with the lowest leave-one-out error (Allen's PRESS) over all steps."""
    x, y, scales = windows_of(series, transform, steps)
    x = x.reshape(len(x), -1)
    mean = x.mean(axis=0)
    scale = float(x.std()) or 1.0
    z = (x - mean) / scale
    ridge = Ridge.of(z)
    penalties = _PENALTIES * len(x) / z.shape[1]
    errors = [np.mean(np.square(y - ridge.out_of_fold(y, l2))) for l2 in penalties.tolist()]
    weight, bias = ridge.weights(z, y, float(penalties[int(np.argmin(errors))]))
    return Autoregression(transform, scales, steps, weight / scale, bias - mean @ weight / scale)


def window_recipe(name: str | Recipe | None, changes: Mapping[str, Any]) -> Recipe:
    """The recipe of the LSTM with changed fields; by default "forecast". Raises InputError for an unknown recipe or
    field, and for a changed field that the LSTM of a forecaster does not read.
    """
    values = named_values(Recipe, changes)
    chosen = named(name or "forecast", **values)
    check_settings(chosen, "series", "regression")
    of_others = [path for path in values if path.startswith("convolutions.") or path in _FOR_OTHERS]
    if of_others:
        raise InputError(
            f"{of_others[0]} is for classification and regression; the LSTM of a forecaster does not read it"
        )
    unread = dict(_UNREAD)
    if not chosen.lstm.max_length:
        unread["lstm.truncation"] = "lstm.max_length is 0, so no window is cut"
    if not chosen.lstm.bidirectional:
        unread["optimisation.direction_loss"] = "lstm.bidirectional is false"
    for path in values:
        if path in unread:
            raise InputError(f"{path} changes nothing in a forecaster: {unread[path]}; leave it out")
    return chosen


def fit_window_lstm(series: Sequence[Array], transform: Transform, steps: int, recipe: Recipe, seed: int) -> WindowLSTM:
    """The best epoch of the LSTM of this recipe, without other members and without calibration. The series (n_s, C)
    must be long enough for an autoregression on the same windows.
    """
    x, y, scales = windows_of(series, transform, steps)
    n = len(y)
    arch = recipe.architecture("channels", x.shape[2], steps)
    cut = min(n - 1, max(1, math.ceil((1 - recipe.validation.fraction) * n - 0.5)))  # the last ones validate
    x = x.astype(np.float32)
    known = np.ascontiguousarray(x[:cut].reshape(-1, x.shape[2]).T, dtype=np.float64)  # (C, cut T)
    mean = known.mean(axis=1)
    # The deviation of equal numbers can be above 0 by rounding.
    std = np.where(np.ptp(known, axis=1) == 0, 1.0, known.std(axis=1))
    with np.errstate(over="ignore"):  # the network refuses infinite values
        sequences = [truncate(((window - mean) / std).astype(np.float32), arch) for window in x]
    data = NetworkData(
        recipe=plan_series(recipe, [len(sequence) for sequence in sequences], cut, own_validation=True)[0],
        architecture=arch,
        target=RegressionTarget(tuple(map(str, range(steps)))),
        sequences=sequences,
        labels=y,
        train=np.arange(cut),
        validation=np.arange(cut, n),
        target_scaling=TargetScaling.fit(y[:cut]),
    )
    parameters = initial_parameters(arch, np.random.default_rng([seed, 0x5EED]))
    loop = SupervisedLoop(data, network_of(data, parameters), seed)
    loop.run(Event())
    parameters = loop.parameters(loop.result())
    for direction in arch.layers[0].directions:  # the standardisation becomes a part of the first layer
        name = f"lstm.0.{direction}"
        weight = parameters[f"{name}.weight_ih"] / std
        parameters[f"{name}.bias"] = (parameters[f"{name}.bias"] - weight @ mean).astype(np.float32)
        parameters[f"{name}.weight_ih"] = weight.astype(np.float32)
    return WindowLSTM(arch, parameters, transform=transform, scales=scales)


class Form(NamedTuple):
    """A form of exponential smoothing: with a trend, damped, with a season."""

    trend: bool
    damped: bool
    seasonal: bool

    def smoothing(self, unit: Array) -> Array:
        """Parameters (4, ...) from trial parameters in the unit cube (..., 4), within the usual bounds: beta at most
        alpha, gamma at most 1 - alpha.
        """
        alpha, beta, gamma, phi = np.moveaxis(unit, -1, 0)
        alpha = 0.0001 + 0.9998 * alpha
        beta = alpha * beta**2 if self.trend else 0 * beta
        gamma = (1 - alpha) * gamma if self.seasonal else 0 * gamma
        return np.stack([alpha, beta, gamma, _LEAST_PHI + 0.18 * phi if self.damped else np.ones_like(phi)])


_TRENDS = ((False, False), (True, False), (True, True))
FORMS = [Form(trend, damped, seasonal) for seasonal in (False, True) for trend, damped in _TRENDS]
SIMPLE = FORMS[0]


def transformed(series: list[Array], transform: Transform) -> tuple[Array, Scales]:
    """The last `transform.length` values of the series (n_s, C), transformed (S, length), with NaN in front of shorter
    ones, and the scales of the series.
    """
    scales = transform.scales(series)
    padded = np.full((len(series), transform.history, series[0].shape[1]), np.nan)
    for row, values in zip(padded, series, strict=True):
        last = values[-len(row) :]
        row[len(row) - len(last) :] = last
    return transform.encode(padded, scales, 1)[0][:, :, 0], scales


def fit_ets(series: list[Array], transform: Transform, steps: int, period: int) -> ETS:
    """The form with the smallest corrected information criterion (AICc) for each series, of the six with additive
    errors; without a season where a series has less than two.
    """
    z, scales = transformed(series, transform)
    count = (~np.isnan(z)).sum(axis=1)
    best = np.full(len(z), np.inf)
    smoothing = np.zeros((len(z), 4))
    periods = np.ones(len(z), dtype=np.int64)
    for form in FORMS:
        length = period if form.seasonal else 1
        if form.seasonal and not 1 < period <= MAX_PERIOD:
            continue
        usable = np.flatnonzero(count >= (2 * length if form.seasonal else 1))
        if not len(usable):
            continue
        parameters, squares = _search(z[usable], form, length)
        n = count[usable]
        k = 3 + 2 * form.trend + form.damped + length * form.seasonal  # the fitted numbers, with the first state
        spare = n - k - 1
        variance = np.maximum(squares / n, 1e-12)
        criterion = np.where(spare > 0, n * np.log(variance) + 2 * k + 2 * k * (k + 1) / np.maximum(spare, 1), np.inf)
        if form == SIMPLE:
            criterion = np.where(np.isinf(criterion), 1e300, criterion)  # the one for very short series
        better = criterion < best[usable]
        rows = usable[better]
        best[rows] = criterion[better]
        smoothing[rows] = parameters[better]
        periods[rows] = length
    return ETS(transform, scales, steps, smoothing, periods)


def fit_theta(series: list[Array], transform: Transform, steps: int) -> Theta:
    """The alpha of simple exponential smoothing."""
    z, scales = transformed(series, transform)
    return Theta(transform, scales, steps, np.ascontiguousarray(_search(z, SIMPLE, 1)[0][:, 0]))


def _search(z: Array, form: Form, period: int) -> tuple[Array, Array]:
    """Parameters (S, 4) with the smallest sum of squared errors one step ahead, and that sum (S,), for values (S, T).

    Points spread over the unit cube, then normal steps around the best point, which become smaller.
    """
    rng = np.random.default_rng(7)
    unit = np.tile(_SPREAD, (len(z), 1, 1))  # (S, points, 4)
    if form == SIMPLE:
        unit[:, :, 0] = np.linspace(0, 1, _FIRST)
    best = np.full((len(z), 4), 0.5)
    least = np.full(len(z), np.inf)
    for number in range(_ROUNDS):
        if number:
            width = 0.25 * 0.5 ** (number - 1)
            unit = np.clip(best[:, None] + rng.normal(0, width, (len(z), _MORE, 4)), 0, 1)
        squares = _squares(z, form.smoothing(unit), period)
        at = squares.argmin(axis=1)
        rows = np.arange(len(z))
        better = squares[rows, at] < least
        best[better] = unit[rows, at][better]
        least[better] = squares[rows, at][better]
    return np.ascontiguousarray(form.smoothing(best).T), least


def _squares(z: Array, smoothing: Array, period: int) -> Array:
    """Sums of squared errors (S, points) of values (S, T) with parameters (4, S, points)."""
    points = smoothing.shape[2]
    out = np.empty((len(z), points))
    most = max(1, _ROWS // points)
    for first in range(0, len(z), most):
        batch = z[first : first + most]
        start = start_state(batch, period)
        repeated = type(start)(*(np.repeat(state, points, axis=-1) for state in start))
        values = np.repeat(np.ascontiguousarray(batch.T), points, axis=1)
        with np.errstate(all="ignore"):
            _, squares = smooth_from_back(values, smoothing[:, first : first + most].reshape(4, -1), repeated)
        out[first : first + most] = np.nan_to_num(squares, nan=np.inf).reshape(len(batch), points)
    return out
