"""ReduceLogSumExp (ONNX 18)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.reduction import Reduction
from gatewise.types import Array


@dataclass(frozen=True)
class ReduceLogSumExp(Reduction):
    """The logarithm of the sum of exp(x) along axes."""

    dtypes = ("float",)

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        shift, shares = _shifted(x, axes)
        y: Array = np.log(np.sum(shares, axis=axes, keepdims=True)) + shift
        return y

    def gradient(self, grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        _, shares = _shifted(x, axes)
        dx: Array = grad * shares / np.sum(shares, axis=axes, keepdims=True)
        return dx


def _shifted(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """A number along the axes, and exp(x - number), which cannot overflow."""
    largest = np.max(x, axis=axes, keepdims=True, initial=-np.inf)
    # An infinite number would leave NaN.
    shift = np.where(np.isinf(largest), 0, largest)
    return shift, np.exp(x - shift)
