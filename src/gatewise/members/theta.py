"""The Theta method (Assimakopoulos & Nikolopoulos 2000), a member of forecasters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from gatewise.members.ets import check_smoothing, smooth_from_back, start_state
from gatewise.members.member import Inputs, check_entry
from gatewise.members.windows import Scales, Transform, WindowMember, read_windows
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Theta(WindowMember):
    """Simple exponential smoothing with half the slope of the linear trend as drift (Hyndman & Billah 2003).

    smoothing (S,): alpha of each series, fitted (`gatewise.training.smoothing`).
    """

    transform: Transform
    scales: Scales
    steps: int
    smoothing: Array
    ragged: ClassVar[bool] = True
    kind: ClassVar[str] = "theta"
    noun: ClassVar[str] = "Theta"

    @property
    def outputs(self) -> int:
        return self.steps

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

    def summary(self) -> list[tuple[str, str, int]]:
        return [("Theta", f"({self.outputs},)", self.smoothing.size)]

    def arrays(self) -> dict[str, Array]:
        return {**super().arrays(), "smoothing": self.smoothing}

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        check_entry(entry, ["transform", "series"], [], cls.kind)
        forms = {"smoothing": ((entry["series"],), "float64")}
        transform, scales, arrays = read_windows(entry, raw, inputs, file, lambda _: forms)
        check_smoothing(arrays["smoothing"], file)
        return cls(transform, scales, outputs, arrays["smoothing"])
