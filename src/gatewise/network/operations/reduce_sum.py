"""ReduceSum (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.reduction import Reduction
from gatewise.types import Array


@dataclass(frozen=True)
class ReduceSum(Reduction):
    """The sum along axes."""

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.sum(x, axis=axes, keepdims=True, dtype=x.dtype)

    def gradient(self, grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return np.full_like(x, grad)
