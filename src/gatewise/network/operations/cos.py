"""Cos (ONNX 7)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Cos(Elementwise):
    """The cosine of an angle in radians."""

    formal = ("input",)

    def value(self, x: Array) -> Array:
        return np.cos(x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (-grad * np.sin(x),)
