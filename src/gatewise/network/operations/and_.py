"""And (ONNX 7)."""

from dataclasses import dataclass

from gatewise.network.elementwise import Predicate
from gatewise.types import Array


@dataclass(frozen=True)
class And(Predicate):
    """a and b."""

    formal = ("A", "B")
    needed = 2
    dtypes = ("bool",)

    def value(self, a: Array, b: Array) -> Array:
        return a & b
