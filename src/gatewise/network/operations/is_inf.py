"""IsInf (ONNX 20)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Predicate
from gatewise.types import Array


@dataclass(frozen=True)
class IsInf(Predicate):
    """True where x is infinite: below 0 if detect_negative, above 0 if detect_positive."""

    dtypes = ("float",)
    detect_negative: int = 1
    detect_positive: int = 1

    def value(self, x: Array) -> Array:
        below = np.isneginf(x) & bool(self.detect_negative)
        above = np.isposinf(x) & bool(self.detect_positive)
        return below | above
