"""Sizes: numbers that depend on the sizes of the inputs, where a network computes with them; no operator of ONNX."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.network.size import Shape


@dataclass(frozen=True)
class Sizes(Operation):
    """The sizes as a vector (n,) int64; scalar: the only one of them as a number without axes."""

    formal = ()
    needed = 0
    sizes: Shape = ()
    scalar: bool = False

    def infer(self) -> tuple[ValueType, ...]:
        self.require(not self.scalar or len(self.sizes) == 1, "a scalar is one size")
        return (ValueType("int64", () if self.scalar else (len(self.sizes),)),)

    def forward(self, execution: Execution) -> Computed:
        sizes = np.array(execution.shape(self.sizes), dtype=np.int64)
        return (sizes.reshape(()) if self.scalar else sizes,), lambda grad: ()
