"""ReduceProd (ONNX 18)."""

import math
from dataclasses import dataclass

import numpy as np

from gatewise.network.reduction import Reduction
from gatewise.types import Array


@dataclass(frozen=True)
class ReduceProd(Reduction):
    """The product along axes."""

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        y: Array = np.prod(x, axis=axes, keepdims=True, dtype=x.dtype)
        return y

    def gradient(self, grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        order = [*kept, *axes]
        ordered = x.transpose(order)
        count = math.prod(x.shape[axis] for axis in axes)
        factors = ordered.reshape(*ordered.shape[: len(kept)], count)  # (..., N)
        # The product of the other factors: the result divided by each would be undefined at 0.
        others = _product_before(factors) * _product_before(factors[..., ::-1])[..., ::-1]
        dx: Array = grad * others.reshape(ordered.shape).transpose(np.argsort(order))
        return dx


def _product_before(factors: Array) -> Array:
    """The product of the factors that precede each one (..., N)."""
    products = np.ones_like(factors)
    np.cumprod(factors[..., :-1], axis=-1, out=products[..., 1:])
    return products
