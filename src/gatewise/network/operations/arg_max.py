"""ArgMax (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.reduction import ArgReduction
from gatewise.types import Array


@dataclass(frozen=True)
class ArgMax(ArgReduction):
    """The index of the largest number along an axis, of NaN if there is one."""

    def index(self, x: Array, axis: int) -> Array:
        index: Array = np.argmax(x, axis=axis, keepdims=True)
        return index
