"""RMSNormalization (ONNX 23; older versions have none)."""

from dataclasses import dataclass

from gatewise.network.normalisation import normalised, scaled
from gatewise.network.operation import Computed, Execution, Operation, ValueType, broadcast_shape, shown
from gatewise.types import Array


@dataclass(frozen=True)
class RMSNormalization(Operation):
    """X divided by the root of its mean square over the axes from `axis` on, times scale. stash_type: 1, at least
    float32.
    """

    formal = ("X", "scale")
    needed = 2
    weights = ("scale",)
    axis: int = -1
    epsilon: float = 1e-5
    stash_type: int = 1

    def infer(self, x: ValueType, scale: ValueType) -> tuple[ValueType, ...]:
        self.require_float(x, scale)
        self.axis_of(self.axis, len(x.shape))
        self.require(self.stash_type == 1, f"stash_type {self.stash_type} would round the numbers")
        fits = broadcast_shape(self, [x.shape, scale.shape]) == x.shape
        self.require(fits, f"{shown(scale.shape)} cannot be broadcast to X {shown(x.shape)}")
        return (x,)

    def forward(self, execution: Execution, x: Array, scale: Array) -> Computed:
        axes = tuple(range(self.axis_of(self.axis, x.ndim), x.ndim))
        y, backward = normalised(x, axes, self.epsilon, centred=False)
        return scaled(y, backward, scale, None)
