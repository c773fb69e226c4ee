"""ReduceSumSquare (ONNX 18)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.reduction import Reduction
from gatewise.types import Array


@dataclass(frozen=True)
class ReduceSumSquare(Reduction):
    """The sum of the squares along axes."""

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.sum(x * x, axis=axes, keepdims=True, dtype=x.dtype)

    def gradient(self, grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return grad * 2 * x
