"""The linear autoregression, a member of forecasters. Its fit is `gatewise.training.windows`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from gatewise.errors import InputError
from gatewise.members.member import Inputs, check_entry
from gatewise.members.windows import Scales, Transform, WindowMember, read_windows
from gatewise.types import Array


@dataclass(frozen=True, eq=False)
class Autoregression(WindowMember):
    """Predicts all steps at once (direct forecasts).

    weight (length C, steps), bias (steps,): from the transformed window. scales: (S, C) of the S series. Raises
    InputError for other shapes.
    """

    transform: Transform
    scales: Scales
    weight: Array
    bias: Array
    kind: ClassVar[str] = "autoregression"
    noun: ClassVar[str] = "autoregression"

    def __post_init__(self) -> None:
        needed = (self.transform.length * self.scales.mean.shape[1], len(self.bias))
        if self.weight.shape != needed:
            raise InputError(f"autoregression: the weights must be {needed}, not {self.weight.shape}")

    @property
    def outputs(self) -> int:
        return len(self.bias)

    def predict(self, x: Array, series: Array) -> Array:
        return np.asarray(x.reshape(len(x), -1) @ self.weight + self.bias)

    def arrays(self) -> dict[str, Array]:
        return {**super().arrays(), "weight": self.weight, "bias": self.bias}

    @classmethod
    def from_file(cls, entry: dict[str, Any], raw: bytes, inputs: Inputs, outputs: int, file: str) -> Self:
        check_entry(entry, ["transform", "series"], [], cls.kind)

        def shapes(transform: Transform) -> dict[str, Any]:
            return {
                "weight": ((transform.length * inputs.size, outputs), "float64"),
                "bias": ((outputs,), "float64"),
            }

        transform, scales, arrays = read_windows(entry, raw, inputs, file, shapes)
        return cls(transform, scales, arrays["weight"], arrays["bias"])
