"""Ceil (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Ceil(Elementwise):
    """The smallest whole number that is not below x. Its gradient is 0."""

    def value(self, x: Array) -> Array:
        return np.ceil(x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[None]:
        return (None,)
