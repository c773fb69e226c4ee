"""The linear autoregression, a member of forecasters. Its fit is `gatewise.training.forecast_members`."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.errors import InputError
from gatewise.members.windows import StatisticalMember
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Autoregression(StatisticalMember):
    """Predicts all steps at once (direct forecasts).

    weight (length C, steps), bias (steps,): from the transformed window. scales: (S, C) of the S series. Raises
    InputError for other shapes.
    """

    weight: Array
    bias: Array
    kind: ClassVar[str] = "autoregression"
    noun: ClassVar[str] = "autoregression"

    def __post_init__(self) -> None:
        needed = (self.transform.length * self.scales.mean.shape[1], self.steps)
        if self.weight.shape != needed:
            raise InputError(f"autoregression: the weights must be {needed}, not {self.weight.shape}")

    @staticmethod
    def shapes(series: int, inputs: int, steps: int) -> dict[str, Any]:
        return {"weight": ((inputs, steps), "float64"), "bias": ((steps,), "float64")}

    def predict(self, x: Array, series: Array) -> Array:
        return np.asarray(x.reshape(len(x), -1) @ self.weight + self.bias)
