"""IsNaN (ONNX 20)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Predicate
from gatewise.types import Array


@dataclass(frozen=True)
class IsNaN(Predicate):
    """True where x is not a number."""

    dtypes = ("float",)

    def value(self, x: Array) -> Array:
        return np.isnan(x)
