"""`Forecast`, what a forecaster says about one series."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.data.times import Time
from gatewise.types import Array


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
