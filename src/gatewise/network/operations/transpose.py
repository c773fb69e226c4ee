"""Transpose (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class Transpose(Operation):
    """The axes in another order. perm: the axis of the input for each axis of the output; reversed where left out."""

    formal = ("data",)
    perm: tuple[int, ...] | None = None

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        return (ValueType(x.dtype, tuple(x.shape[axis] for axis in self._order(len(x.shape)))),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        order = self._order(x.ndim)

        def backward(grad: Array) -> tuple[Array]:
            return (grad.transpose(np.argsort(order)),)

        return (x.transpose(order),), backward

    def _order(self, rank: int) -> tuple[int, ...]:
        if self.perm is None:
            return tuple(reversed(range(rank)))
        fits = sorted(self.perm) == list(range(rank))
        self.require(fits, f"perm {self.perm} is no order of the {rank} axes")
        return self.perm
