"""`Fitted`, everything that a fitted forecaster keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatewise.forecast.held_out import HeldOut
from gatewise.forecast.members import Autoregression, NetworkMember, roll_out
from gatewise.forecast.series import SeriesSet
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Fitted:
    """What `fit` found; `gatewise.forecast.files` writes and reads it.

    season: 1 for none. linear: the autoregressions, with weights (M,). network: the LSTM, with network_weight; all
    weights sum to 1. series: names, times, and the last values of each series.
    """

    season: int
    linear: tuple[Autoregression, ...]
    weights: Array
    network: NetworkMember
    network_weight: float
    held_out: HeldOut
    series: SeriesSet

    def forecast(self, windows: Array, owners: Sequence[int], horizon: int) -> Array:
        """(B, horizon) from windows (B, R, C) of the series with the numbers `owners` (B,)."""
        total = self.network_weight * roll_out(self.network, windows, owners, horizon)
        for weight, member in zip(self.weights.tolist(), self.linear, strict=True):
            total = total + weight * roll_out(member, windows, owners, horizon)
        return np.asarray(total)
