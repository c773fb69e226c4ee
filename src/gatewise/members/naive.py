"""The naive, seasonal naive and drift forecasts, members of forecasters."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gatewise.members.windows import StatisticalMember
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Naive(StatisticalMember):
    """Adds nothing to the base of the transform: the last value, the last season, or the seasonal profile around the
    last value or the mean of the series. drift: adds the mean change per step between the first and the last value of
    the window (Hyndman & Athanasopoulos 2021, section 5.2).
    """

    drift: bool = False
    kind: ClassVar[str] = "naive"
    options: ClassVar[tuple[str, ...]] = ("drift",)

    @property
    def noun(self) -> str:  # type: ignore[override]
        """The name of the forecast in the literature."""
        if self.drift:
            return "drift"
        if self.transform.season > 1 or self.transform.profile > 1:
            return "seasonal naive"
        return "naive"

    @property
    def ragged(self) -> bool:  # type: ignore[override]
        """The drift reads all values, however few there are."""
        return self.drift

    def predict(self, x: Array, series: Array) -> Array:
        if not self.drift:
            return np.zeros((len(x), self.steps))
        values = x[:, :, 0]
        first = (~np.isnan(values)).argmax(axis=1)  # the place of the first value of each window
        steps_between = np.maximum(values.shape[1] - 1 - first, 1)
        slope = (values[:, -1] - values[np.arange(len(x)), first]) / steps_between
        return np.asarray(slope[:, None] * np.arange(1, self.steps + 1))
