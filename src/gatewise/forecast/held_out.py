"""Held-out windows of a forecaster, with their errors and the prediction intervals that follow from them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from gatewise.data.times import Time
from gatewise.errors import InputError, counted, number_text
from gatewise.markup import html_table
from gatewise.types import Array

LEAST_WINDOWS = 5  # behind an interval
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
    """Held-out windows of S series: actual, forecast and naive (S, W, steps) each; scale (S,): see `Scores`."""

    actual: Array
    forecast: Array
    naive: Array
    scale: Array

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

    @property
    def scores(self) -> Scores:
        """Of the forecaster."""
        return self._scores(self.forecast)

    @property
    def naive_scores(self) -> Scores:
        """Of the seasonal naive forecast on the same windows."""
        return self._scores(self.naive)

    def _scores(self, forecast: Array) -> Scores:
        error = forecast - self.actual
        mape = None if (self.actual == 0).any() else float(np.mean(np.abs(error / self.actual)))
        rmse = float(np.sqrt(np.mean(error**2))) if len(error) == 1 else None
        return Scores(float(np.mean(np.abs(error) / self.scale[:, None, None])), mape, rmse)

    def half_widths(self, forecast: Array, series: int, level: float) -> tuple[Array, int]:
        """Half the width (H,) of prediction intervals around `forecast` (H,) of one series, and the number of held-out
        windows behind them.

        Split conformal prediction by step (Vovk et al. 2005): the ceil((n + 1) level)-th smallest of the n held-out
        errors of the series at the step. Errors are relative to the forecast if all values of the series are above 0.
        If the level needs more windows than the series has, those of all series count, see `_pooled`. NaN after the
        last held-out step, and everywhere, with a warning, if they are too few as well. Raises InputError for a level
        outside 0..1.
        """
        if not 0 < level < 1:
            raise InputError(f"the level of an interval must lie between 0 and 1, got {level}")
        need = max(LEAST_WINDOWS, math.ceil(level / (1 - level) - 1e-9))
        errors, relative = self._errors(series, bool((forecast > 0).all()))  # (n, steps)
        if len(errors) < need:
            errors = self._pooled(errors)
        n = len(errors)
        out = np.full(len(forecast), np.nan)
        if n < need:
            text = f"no prediction intervals: a level of {100 * level:g}% needs {need} held-out windows, there are {n}"
            warnings.warn(text, UserWarning, stacklevel=3)
            return out, n
        rank = min(n, math.ceil((n + 1) * level - 1e-9))
        steps = min(self.steps, len(forecast))
        half = np.sort(errors, axis=0)[rank - 1, :steps]
        out[:steps] = half * forecast[:steps] if relative else half
        return out, n

    def _errors(self, series: int, relative: bool = True) -> tuple[Array, bool]:
        """Absolute errors (W, steps) of a series, and whether they are relative to the forecast: where `relative` is
        set and all values and all forecasts of them are above 0.
        """
        actual, forecast = self.actual[series], self.forecast[series]
        relative = relative and bool((actual > 0).all() and (forecast > 0).all())
        errors = np.abs(actual - forecast)
        return (errors / forecast if relative else errors), relative

    def _pooled(self, own: Array) -> Array:
        """Errors (n, steps) in the windows of all series, in the size of those of one series, `own` (W, steps).

        Each error is divided by the mean error in the other windows of its series: series that are easy to forecast do
        not shrink the interval of one that is not. Series without errors have no such mean and are left out. If `own`
        has none, it stays as it is.
        """
        if not own.any():
            return own
        ratios = []
        for series, actual in enumerate(self.actual):
            errors, relative = self._errors(series)
            means = errors.mean(axis=1)  # (W,)
            others = (means.sum() - means) / max(len(means) - 1, 1)
            if (others > _ROUNDING * (1.0 if relative else np.abs(actual).max())).all():
                ratios.append(errors / others[:, None])
        return np.concatenate(ratios) * own.mean() if ratios else own


def naive_scale(series: Array, season: int) -> float:
    """The mean absolute error of the seasonal naive forecast within the values (n,); 1 for a series that is constant or
    repeats its season, up to rounding.
    """
    scale = float(np.mean(np.abs(series[season:] - series[:-season])))
    return scale if scale > _ROUNDING * float(np.abs(series).max()) else 1.0


def seasonal_naive(history: Array, horizon: int, season: int) -> Array:
    """The last season repeated: (B, horizon) from (B, n) with n >= season."""
    step = np.arange(horizon) % season
    return np.asarray(history[:, history.shape[1] - season + step])


@dataclass(frozen=True, eq=False)
class Forecast:
    """H values of one series.

    mean (H,): the forecast. lower, upper (H,): the prediction interval of `level`, NaN where no held-out window
    reaches. seasonal_naive (H,): the last season again, for comparison. times: of the values, if the series had times.
    windows: the held-out windows behind the interval: those of the series, or of all series where these are too few for
    the level.
    """

    mean: Array
    lower: Array
    upper: Array
    seasonal_naive: Array
    times: list[Time] | None
    level: float
    windows: int

    def __len__(self) -> int:
        return len(self.mean)

    def _repr_html_(self) -> str:
        level = f"{100 * self.level:g}%"
        steps = range(1, len(self) + 1) if self.times is None else self.times
        numbers = zip(self.mean, self.lower, self.upper, self.seasonal_naive, strict=True)
        rows = [
            (str(step), *("" if math.isnan(x) else number_text(x) for x in row))
            for step, row in zip(steps, numbers, strict=True)
        ]
        noun = "step" if self.times is None else "time"
        head = (noun, "forecast", f"lower {level}", f"upper {level}", "seasonal naive")
        return f"<strong>Forecast of {counted(len(self), 'step')}</strong>{html_table(head, rows)}"
