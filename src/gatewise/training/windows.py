"""The fits of the members of a forecaster that learn from windows: the autoregression and the LSTM."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any, Self

import numpy as np

from gatewise.errors import InputError
from gatewise.members.autoregression import Autoregression
from gatewise.members.naive import Naive
from gatewise.members.window_lstm import WindowLSTM
from gatewise.members.windows import Scales, Transform
from gatewise.network.architecture import initial_parameters
from gatewise.network.batch import truncate
from gatewise.target import Target
from gatewise.training.dense_solver import Ridge
from gatewise.training.fields import named_values
from gatewise.training.network_data import NetworkData, TargetScaling, plan_series
from gatewise.training.recipes import Recipe, check_settings
from gatewise.training.recipes import recipe as named
from gatewise.training.supervised_loop import SupervisedLoop, network_of
from gatewise.types import Array

LEAST_TRAINING_WINDOWS = 3  # of each series
_MOST_WINDOWS = 4000  # of all series; of more, evenly spaced ones
_PENALTIES = 10.0 ** np.arange(-4, 2.1, 0.5)  # of the ridge regression, per window
_UNREAD = ("validation.folds", "validation.split", "optimisation.min_batch_tokens")


@dataclass(frozen=True, eq=False)
class TrainingWindows:
    """Transformed windows of all series in the order of time: x (n, length, C), y (n, steps). scales: (S, C)."""

    x: Array
    y: Array
    transform: Transform
    scales: Scales

    @classmethod
    def of(cls, series: Sequence[Array], transform: Transform, steps: int) -> Self:
        """Every window of the series (n_s, C) whose targets lie within them."""
        scales = transform.scales_of(series)
        parts, owners, ends = [], [], []
        for number, one in enumerate(series):
            n = len(one) - transform.history - steps + 1
            starts = np.unique(np.linspace(0, n - 1, min(n, max(1, _MOST_WINDOWS // len(series)))).astype(int))
            parts.append(one[starts[:, None] + np.arange(transform.history + steps)])  # (n, R + steps, C)
            owners += [number] * len(starts)
            ends += (starts - n).tolist()  # 0 is the end of the series
        order = np.argsort(ends, kind="stable")
        part, owner = np.concatenate(parts)[order], np.array(owners)[order]
        each = Scales(scales.mean[owner], scales.std[owner])
        x, base = transform.encode(part[:, : transform.history], each, steps)
        return cls(x, transform.targets(part[:, transform.history :, 0], base, each), transform, scales)


def fit_naive(series: Sequence[Array], transform: Transform, steps: int, drift: bool = False) -> Naive:
    """The scales of the series."""
    return Naive(transform, transform.scales_of(series), steps, drift)


def fit_autoregression(series: Sequence[Array], transform: Transform, steps: int) -> Autoregression:
    """Ridge regression; the penalty with the lowest leave-one-out error (Allen's PRESS) over all steps."""
    windows = TrainingWindows.of(series, transform, steps)
    x, y = windows.x.reshape(len(windows.x), -1), windows.y
    mean, scale = x.mean(axis=0), float(x.std()) or 1.0
    z = (x - mean) / scale
    ridge, penalties = Ridge.of(z), _PENALTIES * len(x) / z.shape[1]
    errors = [np.mean(np.square(y - ridge.out_of_fold(y, l2))) for l2 in penalties.tolist()]
    weight, bias = ridge.weights(z, y, float(penalties[int(np.argmin(errors))]))
    return Autoregression(windows.transform, windows.scales, y.shape[1], weight / scale, bias - mean @ weight / scale)


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
    n = len(windows.y)
    arch = recipe.architecture("channels", windows.x.shape[2], steps)
    cut = min(n - 1, max(1, math.ceil((1 - recipe.validation.fraction) * n - 0.5)))  # the last ones validate
    x = windows.x.astype(np.float32)
    known = np.ascontiguousarray(x[:cut].reshape(-1, x.shape[2]).T, dtype=np.float64)  # (C, cut T)
    # The deviation of equal numbers can be above 0 by rounding.
    mean, std = known.mean(axis=1), np.where(np.ptp(known, axis=1) == 0, 1.0, known.std(axis=1))
    with np.errstate(over="ignore"):  # the network refuses infinite values
        sequences = [truncate(((window - mean) / std).astype(np.float32), arch) for window in x]
    data = NetworkData(
        recipe=plan_series(recipe, [len(one) for one in sequences], cut, own_validation=True)[0],
        architecture=arch,
        target=Target(tuple(map(str, range(steps))), "regression"),
        sequences=sequences,
        labels=windows.y,
        train=np.arange(cut),
        validation=np.arange(cut, n),
        target_scaling=TargetScaling.fit(windows.y[:cut]),
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
    return WindowLSTM(arch, parameters, transform=windows.transform, scales=windows.scales)
