"""What MaxPool and AveragePool share: the shape rule, and the windows of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import ValueType
from gatewise.network.size import Dim, Shape
from gatewise.network.windows import WindowOperation, Windows
from gatewise.types import Array


@dataclass(frozen=True)
class PoolOperation(WindowOperation):
    """One number per window and channel. ceil_mode: whether a last window may end beyond the pads."""

    ceil_mode: int = 0

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require_float(x)
        self.require(len(x.shape) >= 3, f"{x} has no spatial axis after the batch and the channels")
        counts: list[Dim] = [along.count for along in self.pool_windows(x.shape[2:])]
        return (ValueType("float", (*x.shape[:2], *counts)),)

    def pool_windows(self, spatial: Shape) -> list[Windows]:
        """The windows along each spatial axis."""
        if self.kernel_shape is None:
            self.refuse("kernel_shape is missing")
        # ONNX Runtime pads without regard to the dilations there, other than the specification says.
        dilated = self.dilations is not None and any(dilation != 1 for dilation in self.dilations)
        self.require(not (dilated and self.auto_pad.startswith("SAME")), f"auto_pad {self.auto_pad} with dilations")
        return self.windows(spatial, self.kernel_shape, bool(self.ceil_mode))

    def require_numbers(self, counts: Array) -> None:
        """Refuse windows that have only pads, of the number of places of each window that are within the array."""
        self.require(bool(np.all(counts > 0)), "a window has only pads")
