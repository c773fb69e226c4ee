"""Validation of a kernel's arguments, before anything runs; an error names the array."""

from __future__ import annotations

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.kernels.interface import Kernel, LSTMCall, SavedActivations
from gatewise.kernels.ragged import total_steps
from gatewise.types import Array


def check_forward(kernel: Kernel, call: LSTMCall[Array]) -> int:
    """The number N of steps. Raises InputError, naming the array, unless the arguments fit together. Kernels rely on
    this check.
    """
    pre, index = call.pre, call.index
    units, steps = _check_sizes(call)
    batch = len(call.lengths)
    if index is None:
        _expect("pre", pre, (steps, 4 * units))
    else:
        if pre.ndim != 2 or pre.shape[1] != 4 * units:
            raise InputError(f"pre: expected (U, {4 * units}), got {pre.shape}")
        _check_rows("index", index, (steps,), len(pre))
    named = {"weight_hh": call.weight_hh, "pre": pre, "h0": call.h0, "c0": call.c0}
    if call.mask is not None:
        named["mask"] = call.mask
    if call.interpolation is not None:
        base, alpha = call.interpolation
        _check_rows("base", base, (batch,), len(pre))
        _expect("alpha", alpha, (batch,))
        named["alpha"] = alpha
    _same_kind(kernel, named)
    return steps


def check_project(kernel: Kernel, x: Array, weight_ih: Array, bias: Array | None, dpre: Array | None) -> None:
    """Raise InputError, naming the array, unless the arguments of `project` or `project_backward` fit together."""
    if weight_ih.ndim != 2 or 0 in weight_ih.shape:
        raise InputError(f"weight_ih: expected (4H, D), got {weight_ih.shape}")
    outputs, inputs = weight_ih.shape
    if x.ndim != 2 or x.shape[1] != inputs:
        raise InputError(f"x: expected (U, {inputs}), got {x.shape}")
    named = {"weight_ih": weight_ih, "x": x}
    if bias is not None:
        _expect("bias", bias, (outputs,))
        named["bias"] = bias
    if dpre is not None:
        _expect("dpre", dpre, (len(x), outputs))
        named["dpre"] = dpre
    _same_kind(kernel, named)


def check_backward(
    kernel: Kernel, saved: SavedActivations, dh: Array | None, dh_T: Array, dc_T: Array, dc: Array | None
) -> None:
    """Raise InputError, naming the array, unless the gradients fit the saved activations and these are what `forward`
    returns: the torch operator, and programs that keep activations, build them anew. Kernels rely on this check.
    """
    units, steps = _check_sizes(saved)
    rows = steps, units
    lanes = kernel.lanes(units)
    _expect("saved: h", saved.h, rows)
    _expect("saved: c", saved.c, rows)
    shape = (steps, -(-units // lanes), 4, lanes)
    if saved.packed_gates.shape != shape:
        raise InputError(f"saved: gates {saved.packed_gates.shape}, but this kernel stores them as {shape}")
    if saved.index is not None:
        _check_rows("saved: index", saved.index, (steps,), saved.pre_rows)
    elif saved.pre_rows != steps:
        raise InputError(f"saved: {steps} steps, {saved.pre_rows} rows of pre and no index")
    named = {"weight_hh": saved.weight_hh, "h0": saved.h0, "c0": saved.c0, "h": saved.h, "c": saved.c}
    named |= {"packed_gates": saved.packed_gates, "dh_T": dh_T, "dc_T": dc_T}
    if saved.mask is not None:
        named["mask"] = saved.mask
    for name, array in (("dh", dh), ("dc", dc)):
        if array is not None:
            _expect(name, array, rows)
            named[name] = array
    _expect("dh_T", dh_T, saved.h0.shape)
    _expect("dc_T", dc_T, saved.h0.shape)
    _same_kind(kernel, named)
    if kernel.consumes_saved and not saved.packed_gates.flags.writeable:
        raise InputError("saved: read-only after its backward pass; for a second pass keep SavedActivations.copy()")


def _check_sizes(run: LSTMCall[Array] | SavedActivations) -> tuple[int, int]:
    """H and N of what a call and its saved activations have in common."""
    weight_hh = run.weight_hh
    if weight_hh.ndim != 2 or weight_hh.shape[0] != 4 * weight_hh.shape[1] or weight_hh.shape[1] == 0:
        raise InputError(f"weight_hh: expected (4H, H), got {weight_hh.shape}")
    if run.gate not in ("sigmoid", "binary"):
        raise InputError(f"gate must be 'sigmoid' or 'binary', not {quote(run.gate)}")
    units, steps = weight_hh.shape[1], total_steps(run.lengths)
    states = len(run.lengths), units
    _expect("h0", run.h0, states)
    _expect("c0", run.c0, states)
    if run.mask is not None:
        _expect("mask", run.mask, states)
    return units, steps


def _check_rows(name: str, index: Array, shape: tuple[int], rows: int) -> None:
    """index: int32 row numbers, from 0 to below `rows`."""
    if index.shape != shape or index.dtype != np.int32:
        raise InputError(f"{name}: expected {shape} int32, got {index.shape} {index.dtype}")
    if len(index) and not (int(index.min()) >= 0 and int(index.max()) < rows):
        raise InputError(f"{name}: rows must be from 0 to {rows - 1}, found {int(index.min())} to {int(index.max())}")


def _expect(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise InputError(f"{name}: expected {shape}, got {array.shape}")


def _same_kind(kernel: Kernel, named: dict[str, Array]) -> None:
    first, weight = next(iter(named.items()))
    dtype = weight.dtype
    if dtype.name not in kernel.dtypes:
        raise InputError(f"kernel '{kernel.name}' computes in {' or '.join(kernel.dtypes)}, not {dtype.name}")
    for name, array in named.items():
        if array.dtype != dtype:
            raise InputError(f"{name} is {array.dtype.name}, {first} is {dtype.name}: their dtypes must be equal")
        if not array.flags.c_contiguous or not array.flags.aligned:
            raise InputError(f"{name} must be C-contiguous and aligned")
