"""ReduceMax (ONNX 20)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import NUMBERS
from gatewise.network.reduction import Reduction, divided_along, lowest
from gatewise.types import Array


@dataclass(frozen=True)
class ReduceMax(Reduction):
    """The largest number along axes, NaN if one of them is. Numbers that equal it have equal parts of the gradient."""

    dtypes = (*NUMBERS, "bool")

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        y: Array = np.max(x, axis=axes, keepdims=True, initial=lowest(x.dtype))
        return y

    def gradient(self, grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return divided_along(grad, y, x, axes)
