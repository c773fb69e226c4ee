"""BatchNormalization (ONNX 15), as at inference."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.normalisation import channel_type, per_channel, scaled
from gatewise.network.operation import Computed, Execution, Operation, ValueType, summed_to
from gatewise.types import Array


@dataclass(frozen=True)
class BatchNormalization(Operation):
    """X (N, C, *spatial) less input_mean (C,), divided by the root of input_var (C,) plus epsilon, times scale (C,),
    plus B (C,). momentum: of the training, without effect here.
    """

    formal = ("X", "scale", "B", "input_mean", "input_var")
    needed = 5
    weights = ("scale", "B")
    epsilon: float = 1e-5
    momentum: float = 0.9
    training_mode: int = 0

    def infer(
        self, x: ValueType, scale: ValueType, bias: ValueType, mean: ValueType, var: ValueType
    ) -> tuple[ValueType, ...]:
        self.require(not self.training_mode, "training_mode is not known here: set the network to inference")
        return (channel_type(self, x, 2, scale=scale, B=bias, input_mean=mean, input_var=var),)

    def forward(self, execution: Execution, x: Array, scale: Array, bias: Array, mean: Array, var: Array) -> Computed:
        shape = per_channel(x.ndim)
        inverse = (1 / np.sqrt(var + self.epsilon)).reshape(shape)
        deviation = x - mean.reshape(shape)
        result, backward_scaled = scaled(deviation * inverse, lambda grad: grad * inverse, scale, bias, shape)

        def backward(grad: Array) -> tuple[Array | None, ...]:
            _, dscale, dbias = backward_scaled(grad)
            dx = grad * scale.reshape(shape) * inverse
            dmean = -summed_to(dx, inverse.shape).reshape(mean.shape)
            dvar = -summed_to(dx * deviation * inverse**2, inverse.shape).reshape(var.shape) / 2
            return dx, dscale, dbias, dmean, dvar

        return result, backward
