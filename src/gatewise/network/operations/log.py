"""Log (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Log(Elementwise):
    """The natural logarithm."""

    formal = ("input",)

    def value(self, x: Array) -> Array:
        return np.log(x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (grad / x,)
