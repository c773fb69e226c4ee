"""InstanceNormalization (ONNX 6)."""

from dataclasses import dataclass

from gatewise.network.normalisation import channel_type, normalised, per_channel, scaled
from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class InstanceNormalization(Operation):
    """Each channel of each row of X (N, C, *spatial) normalised, times scale (C,), plus B (C,)."""

    formal = ("input", "scale", "B")
    needed = 3
    weights = ("scale", "B")
    epsilon: float = 1e-5

    def infer(self, x: ValueType, scale: ValueType, bias: ValueType) -> tuple[ValueType, ...]:
        return (channel_type(self, x, 3, scale=scale, B=bias),)

    def forward(self, execution: Execution, x: Array, scale: Array, bias: Array) -> Computed:
        y, backward = normalised(x, tuple(range(2, x.ndim)), self.epsilon)
        return scaled(y, backward, scale, bias, per_channel(x.ndim))
