"""Equal (ONNX 19)."""

from dataclasses import dataclass

from gatewise.network.elementwise import NUMBERS, Predicate
from gatewise.types import Array


@dataclass(frozen=True)
class Equal(Predicate):
    """a equals b; NaN equals nothing."""

    formal = ("A", "B")
    needed = 2
    dtypes = (*NUMBERS, "bool")

    def value(self, a: Array, b: Array) -> Array:
        equal: Array = a == b
        return equal
