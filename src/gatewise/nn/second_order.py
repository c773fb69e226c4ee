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
    dgates = None if dpacked is None else _unpacked(dpacked, units)
    dh_now = torch.zeros_like(h0) if dh_T is None else dh_T
    dc_now = torch.zeros_like(c0) if dc_T is None else dc_T
    dweight_hh = torch.zeros_like(weight_hh)
    starts = lengths.cumsum(0) - lengths
    dpre = []
    for s in reversed(range(int(lengths.max()) if len(lengths) else 0)):
        active = (lengths > s)[:, None]  # (B, 1): the sequences that have this step; of the others, any row is computed
        rows = (starts + (lengths - 1 - s if reverse else s)).clamp(0, len(h) - 1)  # (B,)
        before = (rows + (1 if reverse else -1)).clamp(0, len(h) - 1)
        smooth = gates[rows]
        i, f, g, o = _applied(smooth, gate).unbind(1)
        h_prev, c_prev = (h[before], c[before]) if s else (h0, c0)
        h_prev = h_prev if mask is None else h_prev * mask
        dh_step = dh_now if dh is None else dh_now + dh[rows]
        tanh_c = c[rows].tanh()
        dc_step = (dc_now if dc is None else dc_now + dc[rows]) + dh_step * o * (1 - tanh_c * tanh_c)
        received = torch.stack([dc_step * g, dc_step * c_prev, dc_step * i, dh_step * tanh_c], 1)  # (B, 4, H)
        received = received if dgates is None else received + dgates[rows]
        slopes = smooth * (1 - smooth)
        slopes = torch.stack([slopes[:, 0], slopes[:, 1], 1 - g * g, slopes[:, 3]], 1)
        step = torch.where(active, (received * slopes).flatten(1), 0)  # (B, 4H)
        dh_prev = step @ weight_hh
        dh_now = torch.where(active, dh_prev if mask is None else dh_prev * mask, dh_now)
        dc_now = torch.where(active, dc_step * f, dc_now)
        dweight_hh = dweight_hh + step.T @ h_prev
        dpre.append(step)
    if not dpre:
        return h.new_zeros((pre_rows, 4 * units)), dweight_hh, dh_now, dc_now
    sequence = torch.repeat_interleave(torch.arange(len(lengths)), lengths)  # (N,) of each row
    within = torch.arange(len(h)) - starts[sequence]
    at = lengths[sequence] - 1 - within if reverse else within  # (N,) the step of each row
    every = torch.cat(dpre[::-1])[at * len(lengths) + sequence]  # (N, 4H)
    if index is not None:
        every = h.new_zeros((pre_rows, 4 * units)).index_put((index.long(),), every, accumulate=True)
    return every, dweight_hh, dh_now, dc_now


def _unpacked(packed: Tensor, units: int) -> Tensor:
    """(N, 4, H) from the kernel's layout (N, blocks, 4, lanes)."""
    return packed.transpose(1, 2).flatten(2)[:, :, :units]


def _applied(gates: Tensor, gate: Gate) -> Tensor:
    """The gates (A, 4, H) that the cell multiplies with; binary ones have the derivative of the sigmoid."""
    if gate == "sigmoid":
        return gates
    hard = torch.where(torch.tensor([True, True, False, True])[:, None], (gates > 0.5).to(gates.dtype), gates)
    return gates + (hard - gates).detach()
