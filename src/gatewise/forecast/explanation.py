"""`ForecastExplanation`: one forecast value as a sum of contributions."""

from dataclasses import dataclass
from typing import Any

from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class ForecastExplanation:
    """One forecast value as a sum: forecast = base + Σ contributions, up to `error`.

    values, contributions (R, C): the last R values of the series and of its exogenous columns, oldest first, and their
    parts of the forecast in its unit. base: the forecast for a window in which every column has its mean. step: from 1.
    columns: the names of the C columns.
    """

    step: int
    forecast: float
    base: float
    values: Array
    contributions: Array
    columns: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data, the contributions by column."""
        by_column = dict(zip(self.columns, self.contributions.T.tolist(), strict=True))
        return {"step": self.step, "forecast": self.forecast, "base": self.base, "contributions": by_column}

    @property
    def error(self) -> float:
        """What the integral leaves over."""
        return self.forecast - self.base - float(self.contributions.sum())
