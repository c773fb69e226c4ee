"""ReduceL2 (ONNX 18)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.reduction import Reduction
from gatewise.types import Array


@dataclass(frozen=True)
class ReduceL2(Reduction):
    """The square root of the sum of the squares along axes. Its gradient where it is 0 is 0."""

    dtypes = ("float",)

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        y: Array = np.sqrt(np.sum(x * x, axis=axes, keepdims=True))
        return y

    def gradient(self, grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return np.where(y == 0, 0, grad * x / y)
