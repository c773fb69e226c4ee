"""Add (ONNX 14)."""

from collections.abc import Sequence
from dataclasses import dataclass

from gatewise.network.elementwise import NUMBERS, Elementwise
from gatewise.network.operation import ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class Add(Elementwise):
    """a + b."""

    formal = ("A", "B")
    needed = 2
    dtypes = NUMBERS

    def value(self, a: Array, b: Array) -> Array:
        return a + b

    def gradients(self, grad: Array, c: Array, a: Array, b: Array) -> tuple[Array, Array]:
        return grad, grad

    def weight_inputs(self, inputs: Sequence[ValueType | None]) -> list[int]:
        """A vector, such as a bias; a constant with more axes is more often a mask."""
        return [place for place, value in enumerate(inputs) if value is not None and len(value.shape) == 1]
