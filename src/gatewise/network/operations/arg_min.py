"""ArgMin (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.reduction import ArgReduction
from gatewise.types import Array


@dataclass(frozen=True)
class ArgMin(ArgReduction):
    """The index of the smallest number along an axis, of NaN if there is one."""

    def index(self, x: Array, axis: int) -> Array:
        index: Array = np.argmin(x, axis=axis, keepdims=True)
        return index
