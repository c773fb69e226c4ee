"""GroupNormalization (ONNX 21, whose scale and bias have a number per channel)."""

from dataclasses import dataclass

from gatewise.network.normalisation import channel_type, normalised, per_channel, scaled
from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.network.size import remainder
from gatewise.types import Array


@dataclass(frozen=True)
class GroupNormalization(Operation):
    """Each group of channels of each row of X (N, C, *spatial) normalised, times scale (C,), plus bias (C,).
    stash_type: 1, at least float32.
    """

    formal = ("X", "scale", "bias")
    needed = 3
    weights = ("scale", "bias")
    num_groups: int
    epsilon: float = 1e-5
    stash_type: int = 1

    def infer(self, x: ValueType, scale: ValueType, bias: ValueType) -> tuple[ValueType, ...]:
        self.require(self.stash_type == 1, f"stash_type {self.stash_type} would round the numbers")
        self.require(self.num_groups >= 1, f"num_groups {self.num_groups} must be at least 1")
        result = channel_type(self, x, 2, scale=scale, bias=bias)
        whole = remainder(x.shape[1], self.num_groups) == 0
        self.require(whole, f"{x.shape[1]} channels are no {self.num_groups} groups")
        return (result,)

    def forward(self, execution: Execution, x: Array, scale: Array, bias: Array) -> Computed:
        groups = x.reshape(x.shape[0], self.num_groups, -1)
        y, backward_groups = normalised(groups, (2,), self.epsilon)

        def backward(grad: Array) -> Array:
            return backward_groups(grad.reshape(groups.shape)).reshape(x.shape)

        return scaled(y.reshape(x.shape), backward, scale, bias, per_channel(x.ndim))
