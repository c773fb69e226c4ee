"""How much each past value contributed to a forecast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gatewise.types import Array

_POINTS = 8  # of the integral
_STEP = 0.01  # of the finite differences, in standard deviations of the window


@dataclass(frozen=True, eq=False)
class ForecastExplanation:
    """One forecast value as a sum: forecast = base + Σ contributions, up to `error`.

    values, contributions (R, C): the last R values of the series and of its exogenous columns, oldest first, and their
    parts of the forecast in its unit. base: the forecast for a window in which every column has its mean. step: from 1.
    """

    step: int
    forecast: float
    base: float
    values: Array
    contributions: Array

    @property
    def error(self) -> float:
        """What the integral leaves over."""
        return self.forecast - self.base - float(self.contributions.sum())


def explain_window(predict: Callable[[Array], Array], window: Array, step: int) -> ForecastExplanation:
    """Integrated gradients (Sundararajan et al. 2017) from the window of means, with central differences.

    predict: forecasts of the step (B,) from windows (B, R, C). window (R, C).
    """
    base = np.broadcast_to(window.mean(axis=0), window.shape)
    delta = _STEP * np.where(window.std(axis=0) > 0, window.std(axis=0), 1.0)  # (C,)
    change = window - base
    gradient = np.zeros(window.shape)
    places = [(row, column) for row in range(window.shape[0]) for column in range(window.shape[1])]
    for alpha in (np.arange(_POINTS) + 0.5) / _POINTS:
        moved = np.repeat((base + alpha * change)[None], 2 * len(places), axis=0)
        for number, (row, column) in enumerate(places):
            moved[2 * number, row, column] += delta[column]
            moved[2 * number + 1, row, column] -= delta[column]
        found = predict(moved).reshape(len(places), 2)
        gradient += ((found[:, 0] - found[:, 1]) / 2).reshape(window.shape) / delta / _POINTS
    forecast, at_base = predict(np.stack([window, base]))
    return ForecastExplanation(step, float(forecast), float(at_base), window, change * gradient)
