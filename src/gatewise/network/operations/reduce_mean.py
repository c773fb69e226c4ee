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
        if any(x.shape[axis] == 0 for axis in axes):
            # The mean of nothing is NaN, of which NumPy also warns.
            return np.full_like(np.sum(x, axis=axes, keepdims=True), np.nan)
        y: Array = np.mean(x, axis=axes, keepdims=True)
        return y

    def gradient(self, grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return np.full_like(x, grad * (y.size / x.size))
