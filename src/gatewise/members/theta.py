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
        z, alpha = x[:, :, 0], self.smoothing[series]
        none = np.zeros_like(alpha)
        simple = np.stack([alpha, none, none, none])
        state, _ = smooth_from_back(np.ascontiguousarray(z.T), simple, start_state(z, 1))
        known = ~np.isnan(z)
        count = known.sum(axis=1)
        at = np.arange(z.shape[1]) - (known * np.arange(z.shape[1])).sum(axis=1, keepdims=True) / count[:, None]
        at = np.where(known, at, 0.0)
        slope = (at * np.nan_to_num(z)).sum(axis=1) / np.maximum((at * at).sum(axis=1), 1e-300)
        # The drift of the smoothed line at its end, after `count` values.
        begun = (1 - (1 - alpha) ** count) / np.maximum(alpha, 1e-3)
        return np.asarray(state.level[:, None] + slope[:, None] / 2 * (np.arange(self.steps) + begun[:, None]))
