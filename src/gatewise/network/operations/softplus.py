"""Softplus (ONNX 1)."""

from dataclasses import dataclass

import numpy as np

from gatewise.cell import sigmoid
from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Softplus(Elementwise):
    """log(1 + exp(x))."""

    def value(self, x: Array) -> Array:
        return np.logaddexp(x, 0)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (grad * sigmoid(x),)
