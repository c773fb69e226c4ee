"""One LSTM layer in one direction as a single autograd function, for calls that torch does not record.

The operators `gatewise::project` and `gatewise::lstm` (`gatewise.nn.kernel_ops`) are what torch.compile, torch.export,
torch.jit.trace and torch.func see. The dispatcher of torch takes 0.1 ms for each call of them and 0.2 ms for each
gradient, more than the kernel takes for a short batch. An autograd function has the same results without it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gatewise.kernels import LSTMCall, get
from gatewise.kernels.call import InputProduct
from gatewise.kernels.interface import Kernel
from gatewise.kernels.native import Native
from gatewise.kernels.saved_activations import SavedActivations
from gatewise.nn import second_order
from gatewise.nn.kernel_ops import (
    arrays_of,
    check_on_cpu,
    graph_is_kept,
    is_transformed,
    kernel_for,
    lstm,
    project,
)
from gatewise.types import Array, Gate

ARGUMENTS = ("x", "index", "lengths", "weight_ih", "bias", "weight_hh", "h0", "c0", "mask")
"""The tensors of a layer, in the order in which `_Layer` takes them and returns their gradients."""


class LayerStates(NamedTuple):
    """Result of `run_layer`: h of every step (N, H); h_T and c_T, the states after the last step (B, H)."""

    h: Tensor
    h_T: Tensor
    c_T: Tensor


class Settings(NamedTuple):
    """What a layer needs besides tensors. kernel: one of `gatewise.kernels.NAMES`."""

    reverse: bool
    gate: Gate
    kernel: str


def run_layer(
    x: Tensor,
    index: Tensor | None,
    lengths: Tensor,
    weight_ih: Tensor,
    bias: Tensor,
    weight_hh: Tensor,
    h0: Tensor,
    c0: Tensor,
    *,
    reverse: bool = False,
    gate: Gate = "sigmoid",
    mask: Tensor | None = None,
    kernel: str | None = None,
) -> LayerStates:
    """`project` and `lstm` (`gatewise.nn.kernel_ops`) of a layer: x (U, D), weight_ih (4H, D), bias (4H,); the other
    arguments are those of `lstm`. Raises InputError as they do.
    """
    tensors = {"x": x, "weight_ih": weight_ih, "bias": bias, "weight_hh": weight_hh, "h0": h0, "c0": c0}
    if mask is not None:
        tensors["mask"] = mask
    if torch.compiler.is_compiling() or not _is_eager(tensors):
        pre = project(x, weight_ih, bias, kernel=kernel)  # (U, 4H)
        h, _, h_T, c_T = lstm(
            pre, index, lengths, weight_hh, h0, c0, reverse=reverse, gate=gate, return_c=False, mask=mask, kernel=kernel
        )
        return LayerStates(h, h_T, c_T)
    settings = Settings(reverse, gate, kernel_for(kernel, tensors))
    check_on_cpu({"index": index, "lengths": lengths})
    arguments: dict[str, Tensor | None] = {**tensors, "index": index, "lengths": lengths, "mask": mask}
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors.values()):
        h, _, h_T, c_T, _ = _Layer.apply(settings, *(arguments[name] for name in ARGUMENTS))  # type: ignore[no-untyped-call]
        return LayerStates(h, h_T, c_T)
    result = _run(arrays_of(**arguments), settings, keep=False)
    return LayerStates(torch.from_numpy(result.h), torch.from_numpy(result.h_T), torch.from_numpy(result.c_T))


def _is_eager(tensors: dict[str, Tensor]) -> bool:
    """Whether nothing but autograd records this call: no transform of torch.func, no trace, no dispatch mode (fake
    tensors, make_fx, counters of operations), no subclass of Tensor.
    """
    if is_transformed() or torch._C._get_tracing_state() is not None or torch._C._len_torch_dispatch_stack() > 0:
        return False
    return all(type(tensor) in (Tensor, torch.nn.Parameter) for tensor in tensors.values())


def _fused(kernel: Kernel, index: Array | None) -> Native | None:
    """The kernel if it computes the input product and its gradients with the recurrence, some steps at a time.

    The rows of a PackedSequence come in another order, by an index, with which it does not.
    """
    if isinstance(kernel, Native) and index is None:
        return kernel
    return None


def _run(arrays: dict[str, Array], settings: Settings, *, keep: bool) -> Any:
    """The input product and the recurrence."""
    kernel = get(settings.kernel)
    pre: Any = InputProduct(arrays["x"], arrays["weight_ih"], arrays["bias"])
    if _fused(kernel, arrays["index"]) is None:
        pre = kernel.project(*pre)
    call = LSTMCall(
        pre=pre,
        index=arrays["index"],
        lengths=arrays["lengths"],
        weight_hh=arrays["weight_hh"],
        h0=arrays["h0"],
        c0=arrays["c0"],
        reverse=settings.reverse,
        gate=settings.gate,
        mask=arrays["mask"],
    )
    return kernel.forward(call, keep=keep)


class _Layer(torch.autograd.Function):
    """h, c (N, H), h_T, c_T (B, H) and the gates in the kernel's layout. c and the gates are outputs because a second
    derivative differentiates them.
    """

    @staticmethod
    def forward(ctx: Any, settings: Settings, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        arguments = dict(zip(ARGUMENTS, tensors, strict=True))
        result = _run(arrays_of(**arguments), settings, keep=True)
        h = torch.from_numpy(result.h)
        c = torch.from_numpy(result.saved.c)
        packed_gates = torch.from_numpy(result.saved.packed_gates)
        ctx.set_materialize_grads(False)  # a head that reads only h_T must not cost a dh (N, H) of zeros
        ctx.settings = settings
        del arguments["bias"]  # no gradient depends on it
        ctx.save_for_backward(*arguments.values(), packed_gates, h, c)
        return h, c, torch.from_numpy(result.h_T), torch.from_numpy(result.c_T), packed_gates

    @staticmethod
    def backward(
        ctx: Any,
        dh: Tensor | None,
        dc: Tensor | None,  # of a second derivative alone, as dgates: `run_layer` returns neither c nor the gates
        dh_T: Tensor | None,
        dc_T: Tensor | None,
        dgates: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        settings: Settings = ctx.settings
        needed = dict(zip(ARGUMENTS, ctx.needs_input_grad[1:], strict=True))  # the first is that of the settings
        x, index, lengths, weight_ih, weight_hh, h0, c0, mask, packed_gates, h, c = ctx.saved_tensors
        if torch.is_grad_enabled() or is_transformed() or dgates is not None:
            saved = (packed_gates, index, lengths, weight_hh, h0, c0, mask, h, c)
            gradients = (dh, dc, dh_T, dc_T, dgates)
            dpre, dweight_hh, dh0, dc0 = second_order.lstm_backward(
                saved, gradients, len(x), settings.reverse, settings.gate
            )
            dx = None
            if needed["x"]:
                dx = dpre @ weight_ih
            return None, dx, None, None, dpre.T @ x, dpre.sum(0), dweight_hh, dh0, dc0, None
        if dh_T is None:
            dh_T = torch.zeros_like(h0)
        if dc_T is None:
            dc_T = torch.zeros_like(c0)
        arrays = arrays_of(x=x, weight_ih=weight_ih, dh=dh, dh_T=dh_T, dc_T=dc_T, dc=dc)
        run = arrays_of(
            packed_gates=packed_gates,
            index=index,
            lengths=lengths,
            weight_hh=weight_hh,
            h0=h0,
            c0=c0,
            mask=mask,
            h=h,
            c=c,
        )
        activations = SavedActivations(**run, pre_rows=len(x), reverse=settings.reverse, gate=settings.gate)
        results = _kernel_gradients(activations, arrays, settings, needed)
        of_x, of_weight_ih, of_bias, *of_recurrence = (_tensor(array) for array in results)
        return None, of_x, None, None, of_weight_ih, of_bias, *of_recurrence, None


def _kernel_gradients(
    saved: SavedActivations, arrays: Mapping[str, Array], settings: Settings, needed: Mapping[str, bool]
) -> tuple[Array | None, ...]:
    """The fields of `InputGradients`; None for some that are not needed. needed: whether torch wants the gradient of
    each of `ARGUMENTS`.
    """
    with_dx = needed["x"]
    with_dweight_hh = needed["weight_hh"]
    kernel = get(settings.kernel)
    fused = _fused(kernel, saved.index)
    if fused is not None:
        return fused.backward_inputs(saved, **arrays, with_dx=with_dx, with_dweight=with_dweight_hh)
    if kernel.consumes_saved and graph_is_kept():
        saved = saved.copy()
    dh, dh_T, dc_T, dc = (arrays[name] for name in ("dh", "dh_T", "dc_T", "dc"))
    dpre, dweight_hh, dh0, dc0 = kernel.backward(saved, dh, dh_T, dc_T, dc, with_dweight=with_dweight_hh)
    if not (with_dx or needed["weight_ih"] or needed["bias"]):
        return None, None, None, dweight_hh, dh0, dc0
    dx, dweight_ih, dbias = kernel.project_backward(arrays["x"], arrays["weight_ih"], dpre, with_dx=with_dx)
    return dx, dweight_ih, dbias, dweight_hh, dh0, dc0


def _tensor(array: Array | None) -> Tensor | None:
    if array is None:
        return None
    return torch.from_numpy(array)
