"""Not (ONNX 1)."""

from dataclasses import dataclass

from gatewise.network.elementwise import Predicate
from gatewise.types import Array


@dataclass(frozen=True)
class Not(Predicate):
    """True where x is false."""

    dtypes = ("bool",)

    def value(self, x: Array) -> Array:
        return ~x
