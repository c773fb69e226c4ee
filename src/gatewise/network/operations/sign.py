"""Sign (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Sign(Elementwise):
    """-1, 0 or 1, and NaN for NaN. Its gradient is 0."""

    formal = ("input",)
    dtypes = NUMBERS

    def value(self, x: Array) -> Array:
        return np.sign(x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[None]:
        return (None,)
