"""GlobalAveragePool (ONNX 1)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class GlobalAveragePool(Operation):
    """The mean over all spatial axes: (N, C, *spatial) -> (N, C, 1, ...)."""

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require_float(x)
        self.require(len(x.shape) >= 3, f"{x} has no spatial axis after the batch and the channels")
        self.require(0 not in x.shape[2:], f"{x} has no number to pool")
        return (ValueType("float", (*x.shape[:2], *[1] * (len(x.shape) - 2))),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        self.require(0 not in x.shape[2:], f"an array {x.shape} has no number to pool")
        number = int(np.prod(x.shape[2:]))

        def backward(grad: Array) -> tuple[Array]:
            return (np.broadcast_to(grad / number, x.shape),)

        return (x.mean(axis=tuple(range(2, x.ndim)), keepdims=True),), backward
