"""The Theta method (Assimakopoulos & Nikolopoulos 2000), a member of forecasters."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.members.ets import check_smoothing, smooth_from_back, start_state
from gatewise.members.windows import StatisticalMember
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Theta(StatisticalMember):
    """Simple exponential smoothing with half the slope of the linear trend as drift (Hyndman & Billah 2003).

    smoothing (S,): alpha of each series, fitted (`gatewise.training.forecast_members`).
    """

    smoothing: Array
    ragged: ClassVar[bool] = True
    extrapolates: ClassVar[bool] = True
    kind: ClassVar[str] = "theta"
    noun: ClassVar[str] = "Theta"

    def check_arrays(self) -> None:
        check_smoothing(self.smoothing)

    @staticmethod
    def shapes(series: int, inputs: int, steps: int) -> dict[str, Any]:
        return {"smoothing": ((series,), "float64")}

    def predict(self, x: Array, series: Array) -> Array:
        z = x[:, :, 0]
        alpha = self.smoothing[series]
        zero = np.zeros_like(alpha)
        simple_smoothing = np.stack([alpha, zero, zero, zero])
        state, _ = smooth_from_back(np.ascontiguousarray(z.T), simple_smoothing, start_state(z, 1))
        known = ~np.isnan(z)
        count = known.sum(axis=1)
        # The slope of the least-squares line through the known values.
        times = np.arange(z.shape[1])
        mean_time = (known * times).sum(axis=1, keepdims=True) / count[:, None]
        centred = np.where(known, times - mean_time, 0.0)
        slope = (centred * np.nan_to_num(z)).sum(axis=1) / np.maximum((centred * centred).sum(axis=1), 1e-300)
        # Half of the slope is the drift, which has run for this many steps at the end of the smoothed line.
        drift_steps = (1 - (1 - alpha) ** count) / np.maximum(alpha, 1e-3)
        return np.asarray(state.level[:, None] + slope[:, None] / 2 * (np.arange(self.steps) + drift_steps[:, None]))
