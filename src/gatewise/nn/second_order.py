"""The backward pass of the recurrence in torch's operations, which torch can differentiate again.

`gatewise::lstm_backward` is faster and has no derivative of its own. This pass serves where its result may be
differentiated: `create_graph=True` and the transforms of `torch.func`.
"""

import torch
from torch import Tensor

from gatewise.types import Gate

Gradients = tuple[Tensor, Tensor, Tensor, Tensor]


def lstm_backward(
    saved: tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor, Tensor],
    gradients: tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None, Tensor | None],
    pre_rows: int,
    reverse: bool,
    gate: Gate,
) -> Gradients:
    """dpre (U, 4H), dweight_hh (4H, H), dh0, dc0 (B, H), by the equations of `gatewise.cell.step_backward`.

    saved: packed_gates, index, lengths, weight_hh, h0, c0, mask, h, c, as in `SavedActivations`
    (`gatewise.kernels.interface`).
    gradients: of h, c (N, H), h_T, c_T (B, H) and packed_gates; None stands for zeros. That of packed_gates comes from
    the second derivative. Binary gates have the straight-through gradient, and so has its derivative.
    """
    packed_gates, index, lengths, weight_hh, h0, c0, mask, h, c = saved
    dh, dc, dh_T, dc_T, dpacked = gradients
    units = weight_hh.shape[1]
    gates = _unpacked(packed_gates, units)  # (N, 4, H)
    dgates = None
    if dpacked is not None:
        dgates = _unpacked(dpacked, units)
    dh_now = torch.zeros_like(h0)  # (B, H): the gradients from later steps
    if dh_T is not None:
        dh_now = dh_T
    dc_now = torch.zeros_like(c0)
    if dc_T is not None:
        dc_now = dc_T
    dweight_hh = torch.zeros_like(weight_hh)
    starts = lengths.cumsum(0) - lengths
    steps = 0
    if len(lengths):
        steps = int(lengths.max())
    dpre_of_steps: list[Tensor] = []  # the last step first
    for s in reversed(range(steps)):
        active = (lengths > s)[:, None]  # (B, 1): the sequences that have this step; for the others any row is computed
        if reverse:
            rows = (starts + lengths - 1 - s).clamp(0, len(h) - 1)  # (B,)
            previous_rows = (rows + 1).clamp(0, len(h) - 1)
        else:
            rows = (starts + s).clamp(0, len(h) - 1)
            previous_rows = (rows - 1).clamp(0, len(h) - 1)
        if s == 0:
            h_prev = h0
            c_prev = c0
        else:
            h_prev = h[previous_rows]
            c_prev = c[previous_rows]
        if mask is not None:
            h_prev = h_prev * mask
        sigmoids = gates[rows]
        i, f, g, o = _applied(sigmoids, gate).unbind(1)
        tanh_c = c[rows].tanh()
        dh_step = dh_now
        if dh is not None:
            dh_step = dh_now + dh[rows]
        dc_step = dc_now
        if dc is not None:
            dc_step = dc_now + dc[rows]
        dc_step = dc_step + dh_step * o * (1 - tanh_c * tanh_c)
        dgates_step = torch.stack([dc_step * g, dc_step * c_prev, dc_step * i, dh_step * tanh_c], 1)  # (B, 4, H)
        if dgates is not None:
            dgates_step = dgates_step + dgates[rows]
        slopes = sigmoids * (1 - sigmoids)
        slopes = torch.stack([slopes[:, 0], slopes[:, 1], 1 - g * g, slopes[:, 3]], 1)
        dpre_step = torch.where(active, (dgates_step * slopes).flatten(1), 0)  # (B, 4H)
        dh_prev = dpre_step @ weight_hh
        if mask is not None:
            dh_prev = dh_prev * mask
        dh_now = torch.where(active, dh_prev, dh_now)
        dc_now = torch.where(active, dc_step * f, dc_now)
        dweight_hh = dweight_hh + dpre_step.T @ h_prev
        dpre_of_steps.append(dpre_step)
    if not dpre_of_steps:
        return h.new_zeros((pre_rows, 4 * units)), dweight_hh, dh_now, dc_now
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), lengths)  # (N,) of each row
    step = torch.arange(len(h)) - starts[sequence]  # (N,) of each row
    if reverse:
        step = lengths[sequence] - 1 - step
    dpre = torch.cat(dpre_of_steps[::-1])[step * len(lengths) + sequence]  # (N, 4H)
    if index is not None:
        dpre = h.new_zeros((pre_rows, 4 * units)).index_put((index.long(),), dpre, accumulate=True)
    return dpre, dweight_hh, dh_now, dc_now


def _unpacked(packed: Tensor, units: int) -> Tensor:
    """(N, 4, H) from the kernel's layout (N, blocks, 4, lanes)."""
    return packed.transpose(1, 2).flatten(2)[:, :, :units]


def _applied(gates: Tensor, gate: Gate) -> Tensor:
    """The gates (A, 4, H) that the cell multiplies with; binary ones have the derivative of the sigmoid."""
    if gate == "sigmoid":
        return gates
    hard = torch.where(torch.tensor([True, True, False, True])[:, None], (gates > 0.5).to(gates.dtype), gates)
    return gates + (hard - gates).detach()
