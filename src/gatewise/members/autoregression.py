"""The linear autoregression, a member of forecasters. Its fit is `gatewise.training.forecast_members`."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.members.windows import StatisticalMember
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Autoregression(StatisticalMember):
    """Predicts all steps at once (direct forecasts).

    weight (length C, steps), bias (steps,): from the transformed window. scales: (S, C) of the S series.
    """

    weight: Array
    bias: Array
    kind: ClassVar[str] = "autoregression"
    noun: ClassVar[str] = "autoregression"

    @staticmethod
    def shapes(series: int, inputs: int, steps: int) -> dict[str, Any]:
        return {"weight": ((inputs, steps), "float64"), "bias": ((steps,), "float64")}

    def predict(self, x: Array, series: Array) -> Array:
        return np.asarray(x.reshape(len(x), -1) @ self.weight + self.bias)
