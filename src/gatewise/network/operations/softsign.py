"""Softsign (ONNX 1)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Softsign(Elementwise):
    """x / (1 + |x|)."""

    formal = ("input",)

    def value(self, x: Array) -> Array:
        y: Array = x / (1 + np.abs(x))
        return y

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (grad / (1 + np.abs(x)) ** 2,)
