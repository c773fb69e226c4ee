"""Sqrt (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Sqrt(Elementwise):
    """The square root. Its gradient at 0 is infinite."""

    def value(self, x: Array) -> Array:
        return np.sqrt(x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (grad / (2 * y),)
