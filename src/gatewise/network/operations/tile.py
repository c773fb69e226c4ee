"""Tile (ONNX 13), with repeats that are sizes."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.network.size import Dim, Shape, at_least
from gatewise.types import Array


@dataclass(frozen=True)
class Tile(Operation):
    """The value repeated along each axis: repeats[axis] times, one copy after the other."""

    formal = ("input", "repeats")
    repeats: Shape = ()

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require(len(self.repeats) == len(x.shape), f"{len(self.repeats)} repeats for {len(x.shape)} axes")
        self._check(self.repeats)
        return (ValueType(x.dtype, tuple(size * times for size, times in zip(x.shape, self.repeats, strict=True))),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        repeats = execution.shape(self.repeats)
        self._check(repeats)

        def backward(grad: Array) -> tuple[Array]:
            # Each axis becomes two: the number of the copy, and the place in it.
            pairs = [size for pair in zip(repeats, x.shape, strict=True) for size in pair]
            return (grad.reshape(pairs).sum(axis=tuple(range(0, 2 * x.ndim, 2))),)

        return (np.tile(x, repeats),), backward

    def _check(self, repeats: tuple[Dim, ...]) -> None:
        for times in repeats:
            self.require(not at_least(-1, times), f"an axis may not be repeated {times} times")
