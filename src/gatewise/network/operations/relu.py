"""Relu (ONNX 14)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Relu(Elementwise):
    """max(x, 0). Its gradient at 0 is 0."""

    dtypes = NUMBERS

    def value(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (np.where(x <= 0, 0, grad),)
