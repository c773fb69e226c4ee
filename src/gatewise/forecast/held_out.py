"""Held-out windows of a forecaster, with their errors and the prediction intervals that follow from them."""

import math
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from gatewise.errors import InputError, counted
from gatewise.types import Array

LEAST_WINDOWS = 5  # of one series, for an interval from its own errors
# Of the windows that begin within the length of one, as many count as independent ones (docs/log/series.md, "Few
# windows that overlap").
_PER_LENGTH = 2
# The errors of the seasonal naive forecast count as so many windows (docs/log/series.md, "The naive error as half a
# window").
_OF_NAIVE = 0.5
_ROUNDING = 1e-9  # of the largest value: smaller differences come from rounding


@dataclass(frozen=True)
class Scores:
    """Errors on held-out windows. mase: mean absolute error over that of the seasonal naive forecast one step ahead in
    the data before the windows (Hyndman & Koehler 2006). mape: mean of |error / value|, None with values of 0. rmse: in
    the unit of the series, or None for several series.
    """

    mase: float
    mape: float | None
    rmse: float | None

    def __str__(self) -> str:
        parts = [f"MASE {self.mase:.3f}"]
        parts += [] if self.mape is None else [f"MAPE {self.mape:.2%}"]
        parts += [] if self.rmse is None else [f"RMSE {self.rmse:.4g}"]
        return "  ".join(parts)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out windows of S series: actual, forecast and naive (S, W, steps) each; scale (S,): see `Scores`. stride:
    the steps from the begin of one window to that of the next.
    """

    actual: Array
    forecast: Array
    naive: Array
    scale: Array
    stride: float = 1.0

    @property
    def windows(self) -> int:
        """The number of windows, of all series together."""
        count, origins, _ = self.actual.shape
        return int(count * origins)

    @property
    def steps(self) -> int:
        """The values that each window forecasts."""
        return int(self.actual.shape[2])

    def __str__(self) -> str:
        """The number of windows and of their steps."""
        return f"{counted(self.windows, 'held-out window')} of {counted(self.steps, 'step')}"

    def to_json(self) -> dict[str, Any]:
        """The windows and the errors on them, of the forecaster and of the seasonal naive forecast, as plain data."""
        return {
            "windows": self.windows,
            "steps": self.steps,
            "gatewise": asdict(self.scores),
            "seasonal_naive": asdict(self.naive_scores),
        }

    @property
    def scores(self) -> Scores:
        """The scores of the forecaster."""
        return self._scores(self.forecast)

    @property
    def naive_scores(self) -> Scores:
        """The scores of the seasonal naive forecast on the same windows."""
        return self._scores(self.naive)

    def _scores(self, forecast: Array) -> Scores:
        error = forecast - self.actual
        mase = float(np.mean(np.abs(error) / self.scale[:, None, None]))
        mape = None
        if not (self.actual == 0).any():
            mape = float(np.mean(np.abs(error / self.actual)))
        rmse = None
        if len(error) == 1:  # several series may have several units
            rmse = float(np.sqrt(np.mean(error**2)))
        return Scores(mase, mape, rmse)

    def half_widths(self, forecast: Array, series: int, level: float) -> Array:
        """Half the width (H,) of prediction intervals around `forecast` (H,) of one series. level: from 0 to 1.

        Split conformal prediction (Vovk et al. 2005) by step. Each error, relative to the forecast where all values are
        above 0, is divided by the mean size of the errors at its step (a size that does not fall with the step), so
        that all steps share one quantile of these ratios. Windows overlap, and few of them tell little about the size
        of the errors. So the errors of the seasonal naive forecast count as half a window, and the quantile is widened
        as Student's is against the normal one, with as many degrees of freedom as the windows of all series count
        (`_independent`). A series with fewer than five windows takes the ratios of all series. After the last held-out
        step the width grows with the square root of the step.
        """
        if not 0 < level < 1:
            raise InputError(f"the level of an interval must lie between 0 and 1, got {level}")
        sizes, ratios, relative = self._sizes(series, bool((forecast > 0).all()))
        if self.actual.shape[1] < LEAST_WINDOWS and len(self.actual) > 1:
            ratios = self._ratios_of_all
        quantile = 0.0
        if len(ratios):
            quantile = float(np.quantile(ratios, level)) * widening(level, self._independent)
        steps = np.arange(len(forecast))
        held_out_steps = np.minimum(steps, self.steps - 1)
        half = quantile * sizes[held_out_steps] * np.sqrt((steps + 1) / (held_out_steps + 1))
        if relative:
            half = half * forecast
        return np.asarray(half)

    def note(self, horizon: int, level: float) -> str:
        """What a user must know of the intervals: too few windows, or a horizon beyond them; "" if nothing."""
        windows = self.windows
        independent = self._independent
        need = math.ceil(level / (1 - level) - 1e-9)
        notes = []
        if independent < need - 1e-9:
            as_fewer = f", which overlap and count as {independent:.2g}," if independent < windows else ""
            notes.append(
                f"{counted(windows, 'held-out window')}{as_fewer} for a level of {100 * level:g}%, which needs {need}: "
                f"the intervals are {widening(level, independent):.2g} times as wide as the errors in them"
            )
        if horizon > self.steps:
            notes.append(
                f"the held-out windows end at step {self.steps}: after it the intervals widen with the square root of "
                "the step"
            )
        return "; ".join(notes)

    @cached_property
    def _ratios_of_all(self) -> Array:
        """The ratios of `_sizes` of all series."""
        return np.concatenate([self._sizes(series)[1] for series in range(len(self.actual))])

    @property
    def _independent(self) -> float:
        """The number of windows without an overlap that the windows of all series count as."""
        return min(self.windows, max(2.0, _PER_LENGTH * self.windows * self.stride / self.steps))

    def _sizes(self, series: int, relative: bool = True) -> tuple[Array, Array, bool]:
        """The size of the errors of a series at each step, which does not fall (steps,); the ratios (W steps,) of the
        errors to their mean size, none where the errors are rounding; and whether both are relative to the forecast:
        where `relative` is set and all values and all forecasts of them are above 0.
        """
        actual = self.actual[series]
        forecast = self.forecast[series]
        relative = relative and bool((actual > 0).all() and (forecast > 0).all())
        unit = forecast if relative else 1.0
        errors = np.abs(actual - forecast) / unit
        naive_errors = np.abs(actual - self.naive[series]) / unit
        means = _rising(errors.mean(axis=0))
        naive_means = _rising(naive_errors.mean(axis=0))
        sizes = (self._independent * means + _OF_NAIVE * naive_means) / (self._independent + _OF_NAIVE)
        largest = 1.0 if relative else float(np.abs(actual).max())
        if means[0] <= _ROUNDING * largest:
            return sizes, np.zeros(0), relative
        return sizes, (errors / means).ravel(), relative


@lru_cache(100)
def widening(level: float, freedom: float) -> float:
    """The width of a central interval of Student's distribution over that of the normal distribution. level: the
    probability of the interval. freedom: degrees of freedom.
    """
    width = math.pi / 2 / 20_000
    end = width * np.arange(1, 20_001)  # x = sqrt(freedom) tan(angle) has a density of cos(angle)^(freedom - 1)
    mass = np.cumsum(np.cos(end - width / 2) ** (freedom - 1))
    quantile = math.sqrt(freedom) * math.tan(float(np.interp(level, mass / mass[-1], end)))
    return quantile / NormalDist().inv_cdf((1 + level) / 2)


def _rising(sizes: Array) -> Array:
    """The nearest sizes (steps,) that do not fall (isotonic regression, by pooling adjacent violators)."""
    blocks: list[list[float]] = []
    for size in sizes.tolist():
        blocks.append([size, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2], blocks[-1]
            blocks[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    return np.array([size for size, count in blocks for _ in range(int(count))])


def naive_scale(series: Array, season: int) -> float:
    """The mean absolute error of the seasonal naive forecast within the values (n,); 1 for a series that is constant or
    repeats its season, up to rounding.
    """
    scale = float(np.mean(np.abs(series[season:] - series[:-season])))
    return scale if scale > _ROUNDING * float(np.abs(series).max()) else 1.0
