r"""The LSTM cell: one step forward and one step backward. The kernels compute the same, faster.

Notation of the whole project:

    B  sequences of a batch            x_t (B, D)   the input of step t
    D  inputs per step                 h_t (B, H)   the hidden state, the output of the cell
    H  units                           c_t (B, H)   the memory cell, internal

The gates of Hochreiter & Schmidhuber (1997) with the forget gate of Gers et al. (2000), in the order i, f, g, o:

    pre = x_t W_ihᵀ + b + h_{t-1} W_hhᵀ                      (B, 4H), W_ih (4H, D), W_hh (4H, H), b (4H,)
    i = σ(pre_i)      input gate      share of the candidate that is written
    f = σ(pre_f)      forget gate     share of the old memory that is kept
    g = tanh(pre_g)   candidate       between -1 and 1
    o = σ(pre_o)      output gate     share of the memory that is output
    c_t = f c_{t-1} + i g
    h_t = o tanh(c_t)

Example for one unit: pre = (0, 2, 0.5, 1), c_{t-1} = 0.4 gives i 0.5, f 0.8808, g 0.4621, o 0.7311,
c_t = 0.8808 · 0.4 + 0.5 · 0.4621 = 0.5834 and h_t = 0.7311 · tanh 0.5834 = 0.3839.

The gates lie strictly between 0 and 1. With `gate="binary"` i, f and o become [σ(pre) > ½], and the gradient
treats this step function as the identity ("straight-through", Bengio et al. 2013; why such gates: Li et al. 2018).

NumPy, any float dtype; the oracle for every kernel. docs/cell.md has the derivation.
"""

from typing import NamedTuple

import numpy as np

from gatewise.types import Array, Gate


class Step(NamedTuple):
    """Result of one step, with all that backward needs.

    gates (B, 4H): σ(pre_i), σ(pre_f), tanh(pre_g), σ(pre_o) concatenated; c (B, H): c_t; h (B, H): h_t.
    With gate="binary" the gates hold the σ values, which the gradient needs; `applied_gates` rounds them.
    """

    gates: Array
    c: Array
    h: Array


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), computed from exp(-|x|), which cannot overflow."""
    small = np.exp(-np.abs(x))
    y: Array = np.where(x >= 0, 1, small) / (1 + small)
    return y


def applied_gates(gates: Array, gate: Gate = "sigmoid") -> Array:
    """The gates (..., 4H) that the step applies: unchanged, or for "binary" i, f, o rounded to 0 or 1 (g unchanged)."""
    if gate == "sigmoid":
        return gates
    i, f, g, o = np.split(gates, 4, axis=-1)
    hard = [(s > 0.5).astype(gates.dtype) for s in (i, f, o)]
    return np.concatenate([hard[0], hard[1], g, hard[2]], axis=-1)


def step_forward(
    pre_x: Array, h_prev: Array, c_prev: Array, weight_hh: Array, gate: Gate = "sigmoid", held: Array | None = None
) -> Step:
    """One step. pre_x (B, 4H) = x_t W_ihᵀ + b; h_prev, c_prev (B, H); weight_hh (4H, H).

    held (B, 4H): values at which gates are held; NaN where a gate is computed.
    """
    pre = pre_x + h_prev @ weight_hh.T  # (B, 4H)
    pre_i, pre_f, pre_g, pre_o = np.split(pre, 4, axis=-1)  # (B, H) each
    gates = np.concatenate([sigmoid(pre_i), sigmoid(pre_f), np.tanh(pre_g), sigmoid(pre_o)], axis=-1)  # (B, 4H)
    if held is not None:
        gates = np.where(np.isnan(held), gates, held)
    i, f, g, o = np.split(applied_gates(gates, gate), 4, axis=-1)
    c = f * c_prev + i * g
    h = o * np.tanh(c)
    return Step(gates, c, h)


def step_backward(
    step: Step, c_prev: Array, dh: Array, dc: Array, weight_hh: Array, gate: Gate = "sigmoid"
) -> tuple[Array, Array, Array]:
    """Gradients of the arguments of `step_forward` from dh, dc (B, H), the loss gradients of h_t and c_t.

    dc is the gradient from later steps; the part through h_t is added here. Returns dpre (B, 4H), which is also the
    gradient of pre_x, then dh_prev and dc_prev (B, H). The gradient of W_hh is dpreᵀ h_{t-1}, summed over the steps.
    """
    s_i, s_f, _, s_o = np.split(step.gates, 4, axis=-1)
    i, f, g, o = np.split(applied_gates(step.gates, gate), 4, axis=-1)
    tanh_c = np.tanh(step.c)
    dc = dc + dh * o * (1 - tanh_c * tanh_c)  # d tanh = 1 - tanh²
    dpre_i = dc * g * s_i * (1 - s_i)  # dσ = σ(1 - σ), also for binary gates
    dpre_f = dc * c_prev * s_f * (1 - s_f)
    dpre_g = dc * i * (1 - g * g)
    dpre_o = dh * tanh_c * s_o * (1 - s_o)
    dpre = np.concatenate([dpre_i, dpre_f, dpre_g, dpre_o], axis=-1)  # (B, 4H)
    return dpre, dpre @ weight_hh, dc * f
