"""What the normalisations share: x less its mean, divided by its standard deviation, then scaled and shifted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gatewise.network.operation import Computed, Operation, ValueType, shown, summed_to
from gatewise.types import Array


def normalised(
    x: Array, axes: tuple[int, ...], epsilon: float, *, centred: bool = True
) -> tuple[Array, Callable[[Array], Array]]:
    """x divided by the root of the mean of its squares over the axes plus epsilon, less its mean before where it is
    centred; and the gradient of x, of that of the result.
    """
    deviation = x - x.mean(axis=axes, keepdims=True) if centred else x
    inverse = 1 / np.sqrt((deviation * deviation).mean(axis=axes, keepdims=True) + epsilon)
    y = deviation * inverse

    def backward(grad: Array) -> Array:
        grad_deviation = grad - y * (grad * y).mean(axis=axes, keepdims=True)
        if centred:
            grad_deviation = grad_deviation - grad.mean(axis=axes, keepdims=True)
        grad_x: Array = grad_deviation * inverse
        return grad_x

    return y, backward


def scaled(
    y: Array,
    backward_y: Callable[[Array], Array],
    scale: Array,
    bias: Array | None,
    shape: tuple[int, ...] | None = None,
) -> Computed:
    """y · scale + bias. backward_y: the gradient of the input of y. shape: in which scale and bias are broadcast, their
    own where it is left out.
    """
    factor = scale if shape is None else scale.reshape(shape)
    result = y * factor
    if bias is not None:
        result = result + (bias if shape is None else bias.reshape(shape))

    def backward(grad: Array) -> tuple[Array, Array, Array | None]:
        dscale = summed_to(grad * y, factor.shape).reshape(scale.shape)
        dbias = None
        if bias is not None:
            own = bias.shape if shape is None else factor.shape
            dbias = summed_to(grad, own).reshape(bias.shape)
        return backward_y(grad * factor), dscale, dbias

    return (result,), backward


def per_channel(rank: int) -> tuple[int, ...]:
    """The shape of a number per channel, for an array (N, C, *spatial) of this rank."""
    return (-1, *[1] * (rank - 2))


def channel_type(operation: Operation, x: ValueType, least_rank: int, **of_channels: ValueType) -> ValueType:
    """The type of a normalisation of X (N, C, *spatial), which is that of X. Refuses values that are not (C,)."""
    operation.require_float(x, *of_channels.values())
    operation.require(len(x.shape) >= least_rank, f"X must have {least_rank} axes at least, not {shown(x.shape)}")
    for name, value_type in of_channels.items():
        fits = value_type.shape == (x.shape[1],)
        operation.require(fits, f"{name} must be ({x.shape[1]},), not {shown(value_type.shape)}")
    return x
