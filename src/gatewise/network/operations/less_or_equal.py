"""LessOrEqual (ONNX 16)."""

from dataclasses import dataclass

from gatewise.network.elementwise import Predicate
from gatewise.types import Array


@dataclass(frozen=True)
class LessOrEqual(Predicate):
    """a <= b."""

    formal = ("A", "B")
    needed = 2

    def value(self, a: Array, b: Array) -> Array:
        return a <= b
