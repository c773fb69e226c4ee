r"""A channel's part of what a step did, by way of the input product.

A step reads its channels as a sum: pre = Σ_k x_tk W_k + b + h_{t-1} W_hhᵀ. Let the state before it be what it was, and
let it read a x_t in the place of x_t. At a = 0 it does what it would have done with every channel at its mean: that is
its idle part. From there to a = 1 channel k moves what the step did, y, by

    part_tk = x_tk ∫_0^1 ∂y/∂x_tk da

which is integrated gradients of that one step (Aumann & Shapley's way of sharing a cost), so that y(x_t) = y(0) + Σ_k
part_tk. Exact: that sum, but for the error of the integral, a smooth one taken at 16 points. Not exact in any sense:
how much of y is whose where the channels act together; and what x_t did to later steps is booked there, as these
accounts have it. Of several layers the upper ones do not read channels, and a gate of 0 or 1 has no slope: for those
there is no such part.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gatewise.cell import sigmoid
from gatewise.explain.gates import Gates
from gatewise.explain.net import ExplainedNetwork
from gatewise.network.architecture import Architecture
from gatewise.types import Array

__all__ = ["Idle", "idle", "parts", "told_by_channel"]

_POINTS = 16


def told_by_channel(arch: Architecture) -> bool:
    """Whether a step of this network can be told by channel."""
    return arch.inputs == "channels" and arch.layers == 1 and arch.gate == "sigmoid"


class Idle(NamedTuple):
    """What the steps would have done with every channel at 0, in their order of reading: i g and h, (T, H) float64."""

    write: Array
    h: Array


class _At(NamedTuple):
    i: Array
    f: Array
    g: Array
    o: Array
    tanh_c: Array


def idle(net: ExplainedNetwork, gates: Gates) -> Idle:
    """The idle steps of one LSTM of the only layer."""
    at = _gates_at(*_before(net, gates))
    return Idle(at.i * at.g, at.o * at.tanh_c)


def parts(net: ExplainedNetwork, gates: Gates, x: Array, of_write: Array | None, of_h: Array | None) -> Array:
    """(T, C) in the order of reading: each channel's part of Σ_units of_write · (i g), or of Σ_units of_h · h.

    x (T, C): what was read, in the order of the sequence. of_write or of_h (T, H): a weight for each unit and step.
    """
    weight_ih = net.parameters[f"lstm.0.{gates.direction}.weight_ih"].astype(np.float64)  # (4H, C)
    x = x[gates.reading].astype(np.float64)
    pre, c_prev = _before(net, gates)
    moved = x @ weight_ih.T  # (T, 4H)
    slopes = np.zeros_like(pre)
    for place, weight in zip(*np.polynomial.legendre.leggauss(_POINTS), strict=True):
        at = _gates_at(pre + (place + 1) / 2 * moved, c_prev)
        d_i, d_g = at.g * at.i * (1 - at.i), at.i * (1 - at.g**2)  # of i g, and of c
        if of_write is not None:
            nothing = np.zeros_like(d_i)
            slope = [of_write * d_i, nothing, of_write * d_g, nothing]
        else:
            through_c = of_h * at.o * (1 - at.tanh_c**2)
            d_f, d_o = c_prev * at.f * (1 - at.f), at.tanh_c * at.o * (1 - at.o)
            slope = [through_c * d_i, through_c * d_f, through_c * d_g, of_h * d_o]
        slopes += weight / 2 * np.concatenate(slope, axis=1)
    return np.asarray(x * (slopes @ weight_ih))


def _before(net: ExplainedNetwork, gates: Gates) -> tuple[Array, Array]:
    """What each step adds its channels to (T, 4H), and c_{t-1} (T, H), in the order of reading."""
    name, order = f"lstm.0.{gates.direction}", gates.reading
    h, c = (
        np.concatenate([start[None], states[order]])[:-1].astype(np.float64)
        for start, states in ((gates.h0, gates.h), (gates.c0, gates.c))
    )
    weight_hh, bias = (net.parameters[f"{name}.{part}"].astype(np.float64) for part in ("weight_hh", "bias"))
    return h @ weight_hh.T + bias, c


def _gates_at(pre: Array, c_prev: Array) -> _At:
    pre_i, pre_f, pre_g, pre_o = np.split(pre, 4, axis=1)
    i, f, g, o = sigmoid(pre_i), sigmoid(pre_f), np.tanh(pre_g), sigmoid(pre_o)
    return _At(i, f, g, o, np.tanh(f * c_prev + i * g))
