"""ReduceL1 (ONNX 18)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.reduction import Reduction
from gatewise.types import Array


@dataclass(frozen=True)
class ReduceL1(Reduction):
    """The sum of the absolute values along axes. The gradient at 0 is 0."""

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.sum(np.abs(x), axis=axes, keepdims=True, dtype=x.dtype)

    def gradient(self, grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return grad * np.sign(x)
