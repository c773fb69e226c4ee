"""Abs (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Abs(Elementwise):
    """|x|. Its gradient at 0 is 0."""

    dtypes = NUMBERS

    def value(self, x: Array) -> Array:
        return np.abs(x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (grad * np.sign(x),)
