r"""The part of each channel of a series in what one step did.

A step reads its channels as a sum: pre = Σ_k x_tk W_k + b + h_{t-1} W_hhᵀ. Hold the previous state fixed and let the
step read a x_t instead of x_t. At a = 0 every channel is at its mean: this is the baseline term. From a = 0 to a = 1,
channel k changes the result y of the step (i g, or h) by

    part_tk = x_tk ∫_0^1 ∂y/∂x_tk da

which is integrated gradients of that one step (Aumann & Shapley's cost sharing), so y(x_t) = y(0) + Σ_k part_tk. The
sum is exact to the error of the integral, a smooth one at 16 points. How an interaction of channels is divided is a
convention. What x_t did to later steps is attributed to those steps, as in the method that uses these parts. Upper
layers do not read channels and binary gates have no slope, so they have no channel parts.
"""

import numpy as np

from gatewise.cell import sigmoid
from gatewise.members.gates import Gates
from gatewise.members.lstm import LSTM
from gatewise.types import Array

_POINTS = 16


def idle(net: LSTM, gates: Gates) -> tuple[Array, Array]:
    """The steps of one LSTM of the only layer with every channel at 0, in reading order: i g and h, (T, H) float64."""
    i, _, g, o, tanh_c = _step(*_without_channels(net, gates))
    return i * g, o * tanh_c


def channel_parts(net: LSTM, gates: Gates, x: Array, of_write: Array | None, of_h: Array | None) -> Array:
    """(T, C) in reading order: each channel's part of Σ_units of_write · (i g), or of Σ_units of_h · h.

    x (T, C): the steps in the order of the sequence. of_write or of_h (T, H): a weight for each unit and step.
    """
    weight_ih = net.parameters[f"lstm.0.{gates.direction}.weight_ih"].astype(np.float64)  # (4H, C)
    x = x[gates.reading_order].astype(np.float64)
    pre, c_prev = _without_channels(net, gates)
    from_channels = x @ weight_ih.T  # (T, 4H)
    slopes = np.zeros_like(pre)
    for place, weight in zip(*np.polynomial.legendre.leggauss(_POINTS), strict=True):
        i, f, g, o, tanh_c = _step(pre + (place + 1) / 2 * from_channels, c_prev)
        d_i = g * i * (1 - i)  # of i g, and so of c
        d_g = i * (1 - g**2)
        if of_write is not None:
            zero = np.zeros_like(d_i)
            slope = [of_write * d_i, zero, of_write * d_g, zero]
        else:
            through_c = of_h * o * (1 - tanh_c**2)
            d_f = c_prev * f * (1 - f)
            d_o = tanh_c * o * (1 - o)
            slope = [through_c * d_i, through_c * d_f, through_c * d_g, of_h * d_o]
        slopes += weight / 2 * np.concatenate(slope, axis=1)
    return np.asarray(x * (slopes @ weight_ih))


def _without_channels(net: LSTM, gates: Gates) -> tuple[Array, Array]:
    """Each step's pre-activations without the channels (T, 4H), and c_{t-1} (T, H), in reading order."""
    order = gates.reading_order
    h_prev = np.concatenate([gates.h0[None], gates.h[order]])[:-1].astype(np.float64)
    c_prev = np.concatenate([gates.c0[None], gates.c[order]])[:-1].astype(np.float64)
    weight_hh = net.parameters[f"lstm.0.{gates.direction}.weight_hh"].astype(np.float64)
    bias = net.parameters[f"lstm.0.{gates.direction}.bias"].astype(np.float64)
    return h_prev @ weight_hh.T + bias, c_prev


def _step(pre: Array, c_prev: Array) -> tuple[Array, Array, Array, Array, Array]:
    """i, f, g, o and tanh(c)."""
    pre_i, pre_f, pre_g, pre_o = np.split(pre, 4, axis=1)
    i = sigmoid(pre_i)
    f = sigmoid(pre_f)
    g = np.tanh(pre_g)
    o = sigmoid(pre_o)
    c = f * c_prev + i * g
    return i, f, g, o, np.tanh(c)
