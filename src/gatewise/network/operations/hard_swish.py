"""HardSwish (ONNX 14)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class HardSwish(Elementwise):
    """x max(0, min(1, x / 6 + 1/2)). Its gradient is 0 at -3, and 1 at 3."""

    def value(self, x: Array) -> Array:
        return x * np.clip(x / 6 + 0.5, 0, 1)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        slope = np.where(x >= 3, 1, x / 3 + 0.5)
        return (np.where(x <= -3, 0, grad * slope),)
