"""The recurrence as a torch operator: `gatewise::lstm` and, right under it, `gatewise::lstm_backward`.

Tensors become NumPy views and go to the kernel; nothing is copied on the way. float32 runs `gatewise.kernels.get()`,
float64 the reference. The backward operator declares that it writes over the tape, so torch itself notices a tape
that is used twice; where the graph is kept for another backward pass, it works on a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, library

from gatewise.errors import InputError
from gatewise.kernels import Kernel, SavedActivations, get
from gatewise.types import Array, Gate

__all__ = ["LstmStates", "as_array", "kernel_for", "lstm"]


class LstmStates(NamedTuple):
    """h, c of every step (N, H); h_T, c_T, the states after the last (B, H)."""

    h: Tensor
    c: Tensor
    h_T: Tensor
    c_T: Tensor


def lstm(
    pre: Tensor,
    index: Tensor | None,
    lengths: Tensor,
    weight_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    *,
    reverse: bool = False,
    gate: Gate = "sigmoid",
    cells: bool = True,
    mask: Tensor | None = None,
    kernel: str | None = None,
) -> LstmStates:
    """The LSTM recurrence over a ragged batch, with gradients for pre, weight_hh, h0 and c0 from all four results.

    pre (U, 4H) = x W_ihᵀ + b in the gate order i, f, g, o; index (N,) int32: which row of `pre` each step takes, None
    where every step has its own (U = N); lengths (B,) int64 with sum N; weight_hh (4H, H); h0, c0 (B, H). All on the
    CPU, float32 or float64. reverse: each sequence from its last row to its first. gate: "sigmoid", or "binary" with
    a straight-through gradient. Without `cells`, c may come back empty (0, H): where no gradient is recorded, it then
    need not be stored. mask (B, H): recurrent dropout, times h_{t-1} where weight_hh multiplies it, without a
    gradient. kernel: one of `gatewise.kernels.NAMES`, for float32; None: the one to use here.

    There are gradients of first order only. Raises InputError for arguments that do not fit together.

    >>> lengths = torch.tensor([2, 1])
    >>> h, c, h_T, c_T = lstm(torch.ones(3, 8), None, lengths, torch.ones(8, 2), torch.zeros(2, 2), torch.zeros(2, 2))
    >>> torch.equal(h[1], h_T[0]), torch.equal(h[2], h_T[1]), torch.equal(h[0], h[2])
    (True, True, True)
    """
    named = {"pre": pre, "weight_hh": weight_hh, "h0": h0, "c0": c0} | ({} if mask is None else {"mask": mask})
    kernel = kernel_for(kernel, named)
    for name, tensor in (("index", index), ("lengths", lengths)):
        if tensor is not None and tensor.device.type != "cpu":
            raise InputError(f"{name} is on '{tensor.device}': gatewise's kernels run on the CPU")
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (pre, weight_hh, h0, c0))
    h, c, h_T, c_T, _ = _forward(pre, index, lengths, weight_hh, h0, c0, mask, reverse, gate, keep, cells, kernel)
    return LstmStates(h, c, h_T, c_T)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _default_kernel() -> str:
    return get().name


def kernel_for(wanted: str | None, named: Mapping[str, Tensor]) -> str:
    """The name of the kernel for these tensors. Raises InputError where there is none."""
    first, dtype = next((name, tensor.dtype) for name, tensor in named.items())
    for name, tensor in named.items():
        if tensor.device.type != "cpu":
            raise InputError(f"{name} is on '{tensor.device}': gatewise's kernels run on the CPU")
        if tensor.dtype not in (torch.float32, torch.float64):
            raise InputError(f"{name} is {tensor.dtype}: gatewise's kernels compute in float32 or float64")
        if tensor.dtype != dtype:
            raise InputError(f"{name} is {tensor.dtype}, {first} is {dtype}: they must be the same")
    if dtype == torch.float64:
        if wanted not in (None, "reference"):
            raise InputError(f"kernel '{wanted}' computes in float32, {first} is {dtype}")
        return "reference"
    return wanted or _default_kernel()


def as_array(tensor: Tensor) -> Array:
    """The tensor's memory as an array; copied only where it is not contiguous."""
    array: Array = tensor.detach().contiguous().numpy()
    return array


@library.custom_op("gatewise::lstm", mutates_args=(), device_types="cpu")
def _forward(
    pre: Tensor,
    index: Tensor | None,
    lengths: Tensor,
    weight_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    mask: Tensor | None,
    reverse: bool,
    gate: str,
    keep: bool,
    cells: bool,
    kernel: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """h, c (N, H), h_T, c_T (B, H), packed gates; without `keep` no gates, and without `cells` either no c."""
    arrays = [None if tensor is None else as_array(tensor) for tensor in (pre, index, lengths, weight_hh, h0, c0)]
    dropped = None if mask is None else as_array(mask)
    run = get(kernel).forward(*arrays, reverse=reverse, gate=gate, keep=keep or cells, mask=dropped)  # type: ignore[arg-type]
    gates = torch.from_numpy(run.saved.packed_gates) if keep and run.saved else pre.new_empty(0)
    c = torch.from_numpy(run.saved.c) if run.saved else pre.new_empty((0, weight_hh.shape[1]))
    return torch.from_numpy(run.h), c, torch.from_numpy(run.h_T), torch.from_numpy(run.c_T), gates


@library.custom_op("gatewise::lstm_backward", mutates_args=("packed_gates",), device_types="cpu")
def _backward(
    packed_gates: Tensor,
    index: Tensor | None,
    lengths: Tensor,
    weight_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    mask: Tensor | None,
    h: Tensor,
    c: Tensor,
    dh: Tensor | None,
    dc: Tensor | None,
    dh_T: Tensor | None,
    dc_T: Tensor | None,
    pre_rows: int,
    reverse: bool,
    gate: str,
    kernel: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """dpre (U, 4H), dweight_hh (4H, H), dh0, dc0 (B, H). None is a gradient of zeros. Writes over packed_gates."""
    saved = SavedActivations(
        pre_rows=pre_rows,
        index=None if index is None else as_array(index),
        lengths=as_array(lengths),
        weight_hh=as_array(weight_hh),
        h0=as_array(h0),
        c0=as_array(c0),
        h=as_array(h),
        c=as_array(c),
        packed_gates=as_array(packed_gates),  # the kernel made it, so it is contiguous and this is no copy
        reverse=reverse,
        gate=cast(Gate, gate),
        mask=None if mask is None else as_array(mask),
    )
    every = [None if tensor is None else as_array(tensor) for tensor in (dh, dc)]
    last = [as_array(torch.zeros_like(h0) if tensor is None else tensor) for tensor in (dh_T, dc_T)]
    gradients = get(kernel).backward(saved, every[0], last[0], last[1], every[1])
    dpre, dweight_hh, dh0, dc0 = (torch.from_numpy(array) for array in gradients)
    return dpre, dweight_hh, dh0, dc0


def _lanes(kernel: Kernel, units: int) -> tuple[int, int]:
    lanes = kernel.lanes(units)
    return -(-units // lanes), lanes


@_forward.register_fake
def _(
    pre: Tensor,
    index: Tensor | None,
    lengths: Tensor,
    weight_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    mask: Tensor | None,
    reverse: bool,
    gate: str,
    keep: bool,
    cells: bool,
    kernel: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    steps, units = (pre if index is None else index).shape[0], int(weight_hh.shape[1])
    blocks, lanes = _lanes(get(kernel), units)
    h = pre.new_empty((steps, units))
    c = pre.new_empty((steps if keep or cells else 0, units))
    gates = pre.new_empty((steps, blocks, 4, lanes) if keep else (0,))
    return h, c, pre.new_empty(h0.shape), pre.new_empty(c0.shape), gates


@_backward.register_fake
def _(
    packed_gates: Tensor,
    index: Tensor | None,
    lengths: Tensor,
    weight_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    mask: Tensor | None,
    h: Tensor,
    c: Tensor,
    dh: Tensor | None,
    dc: Tensor | None,
    dh_T: Tensor | None,
    dc_T: Tensor | None,
    pre_rows: int,
    reverse: bool,
    gate: str,
    kernel: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dpre = weight_hh.new_empty((pre_rows, weight_hh.shape[0]))
    return dpre, weight_hh.new_empty(weight_hh.shape), h0.new_empty(h0.shape), c0.new_empty(c0.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    pre, index, lengths, weight_hh, h0, c0, mask, reverse, gate, keep, _, kernel = inputs
    h, c, _, _, packed_gates = output
    ctx.set_materialize_grads(False)  # a head that reads only h_T must not cost a dh (N, H) of zeros
    ctx.mark_non_differentiable(packed_gates)
    ctx.settings = pre.shape[0], reverse, gate, kernel
    ctx.keep = keep
    if keep:
        ctx.save_for_backward(packed_gates, index, lengths, weight_hh, h0, c0, mask, h, c)


def _differentiate(
    ctx: Any, dh: Tensor | None, dc: Tensor | None, dh_T: Tensor | None, dc_T: Tensor | None, _: Any
) -> tuple[Tensor | None, ...]:
    if not ctx.keep:
        raise InputError("gatewise::lstm ran with keep=False: there is no tape to differentiate")
    packed_gates, *saved = ctx.saved_tensors
    pre_rows, reverse, gate, kernel = ctx.settings
    if _graph_is_kept() or type(packed_gates) is not Tensor:  # a tracer cannot see a forward result change in backward
        packed_gates = packed_gates.clone()
    gradients = _backward(packed_gates, *saved, dh, dc, dh_T, dc_T, pre_rows, reverse, gate, kernel)
    dpre, dweight_hh, dh0, dc0 = gradients
    return dpre, None, None, dweight_hh, dh0, dc0, None, None, None, None, None, None


def _graph_is_kept() -> bool:
    """Whether this backward pass runs with retain_graph=True; True where this torch cannot tell: a copy is safe."""
    ask = getattr(torch._C._autograd, "_get_current_graph_task_keep_graph", None)
    return True if ask is None else bool(ask())


_forward.register_autograd(_differentiate, setup_context=_setup_context)
