"""Floor (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Floor(Elementwise):
    """The largest whole number that is not above x. Its gradient is 0."""

    def value(self, x: Array) -> Array:
        return np.floor(x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[None]:
        return (None,)
