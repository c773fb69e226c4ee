"""LayerNormalization (ONNX 17), without the outputs Mean and InvStdDev."""

from dataclasses import dataclass

from gatewise.network.normalisation import normalised, scaled
from gatewise.network.operation import Computed, Execution, Operation, ValueType, broadcast_shape, shown
from gatewise.types import Array


@dataclass(frozen=True)
class LayerNormalization(Operation):
    """X normalised over the axes from `axis` on, times Scale, plus B. stash_type: 1, at least float32."""

    formal = ("X", "Scale", "B")
    needed = 2
    weights = ("Scale", "B")
    axis: int = -1
    epsilon: float = 1e-5
    stash_type: int = 1

    def infer(self, x: ValueType, scale: ValueType, bias: ValueType | None = None) -> tuple[ValueType, ...]:
        self.require_float(x, scale, bias)
        self.axis_of(self.axis, len(x.shape))
        self.require(self.stash_type == 1, f"stash_type {self.stash_type} would round the numbers")
        for factor in (scale, bias):
            if factor is not None:
                fits = broadcast_shape(self, [x.shape, factor.shape]) == x.shape
                self.require(fits, f"{shown(factor.shape)} cannot be broadcast to X {shown(x.shape)}")
        return (x,)

    def forward(self, execution: Execution, x: Array, scale: Array, bias: Array | None = None) -> Computed:
        axes = tuple(range(self.axis_of(self.axis, x.ndim), x.ndim))
        y, backward = normalised(x, axes, self.epsilon)
        return scaled(y, backward, scale, bias)
