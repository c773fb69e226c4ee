"""GlobalMaxPool (ONNX 1)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class GlobalMaxPool(Operation):
    """The maximum over all spatial axes: (N, C, *spatial) -> (N, C, 1, ...). The gradient goes to the first maximum."""

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require_float(x)
        self.require(len(x.shape) >= 3, f"{x} has no spatial axis after the batch and the channels")
        self.require(0 not in x.shape[2:], f"{x} has no number to pool")
        return (ValueType("float", (*x.shape[:2], *[1] * (len(x.shape) - 2))),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        self.require(0 not in x.shape[2:], f"an array {x.shape} has no number to pool")
        flat = x.reshape(*x.shape[:2], -1)
        first = flat.argmax(axis=-1, keepdims=True)
        shape = (*x.shape[:2], *[1] * (x.ndim - 2))

        def backward(grad: Array) -> tuple[Array]:
            dflat = np.zeros_like(flat)
            np.put_along_axis(dflat, first, grad.reshape(first.shape), axis=-1)
            return (dflat.reshape(x.shape),)

        return (np.take_along_axis(flat, first, axis=-1).reshape(shape),), backward
