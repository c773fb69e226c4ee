"""ReduceMean (ONNX 18)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.reduction import Reduction
from gatewise.types import Array


@dataclass(frozen=True)
class ReduceMean(Reduction):
    """The mean along axes."""

    dtypes = ("float",)

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        y: Array = np.mean(x, axis=axes, keepdims=True)
        return y

    def gradient(self, grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return np.full_like(x, grad * (y.size / x.size))
