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
        seasonal = self.transform.season > 1 or self.transform.profile > 1
        return "drift" if self.drift else "seasonal naive" if seasonal else "naive"

    @property
    def ragged(self) -> bool:  # type: ignore[override]
        """The drift reads as many values as there are."""
        return self.drift

    def predict(self, x: Array, series: Array) -> Array:
        step = np.arange(1, self.steps + 1)
        if not self.drift:
            return np.zeros((len(x), self.steps))
        known = ~np.isnan(x[:, :, 0])
        first = known.argmax(axis=1)
        count = np.maximum(x.shape[1] - 1 - first, 1)
        slope = (x[:, -1, 0] - x[np.arange(len(x)), first, 0]) / count
        return np.asarray(slope[:, None] * step)
