"""Validation of a kernel's arguments, before anything runs; an error names the array."""

from __future__ import annotations

import numpy as np

from gatewise.errors import InputError
from gatewise.kernels.interface import Kernel, LSTMCall, SavedActivations
from gatewise.types import Array


def check_forward(kernel: Kernel, call: LSTMCall[Array]) -> None:
    """Raise InputError, naming the array, unless the arguments fit together. Kernels rely on this check."""
    pre, index, lengths, weight_hh = call.pre, call.index, call.lengths, call.weight_hh
    if weight_hh.ndim != 2 or weight_hh.shape[0] != 4 * weight_hh.shape[1] or weight_hh.shape[1] == 0:
        raise InputError(f"weight_hh: expected (4H, H), got {weight_hh.shape}")
    units, batch = weight_hh.shape[1], len(lengths)
    if call.gate not in ("sigmoid", "binary"):
        raise InputError(f"gate must be 'sigmoid' or 'binary', not {call.gate!r}")
    if lengths.ndim != 1 or lengths.dtype != np.int64:
        raise InputError(f"lengths: expected (B,) int64, got {lengths.shape} {lengths.dtype}")
    if batch and int(lengths.min()) < 0:
        raise InputError(f"lengths: sequence {int(lengths.argmin())} has a negative length")
    steps = int(lengths.sum())
    if index is None:
        _expect("pre", pre, (steps, 4 * units))
    else:
        if pre.ndim != 2 or pre.shape[1] != 4 * units:
            raise InputError(f"pre: expected (U, {4 * units}), got {pre.shape}")
        if index.shape != (steps,) or index.dtype != np.int32:
            raise InputError(f"index: expected ({steps},) int32, got {index.shape} {index.dtype}")
        if steps and not (int(index.min()) >= 0 and int(index.max()) < len(pre)):
            raise InputError(
                f"index: rows must be from 0 to {len(pre) - 1}, found {int(index.min())} to {int(index.max())}"
            )
    named = {"weight_hh": weight_hh, "pre": pre, "h0": call.h0, "c0": call.c0}
    if call.mask is not None:
        named["mask"] = call.mask
    for name in ("h0", "c0", "mask"):
        if name in named:
            _expect(name, named[name], (batch, units))
    if call.interpolation is not None:
        base, alpha = call.interpolation
        if base.shape != (batch,) or base.dtype != np.int32:
            raise InputError(f"base: expected ({batch},) int32, got {base.shape} {base.dtype}")
        if batch and not (int(base.min()) >= 0 and int(base.max()) < len(pre)):
            raise InputError(f"base: rows must be from 0 to {len(pre) - 1}")
        _expect("alpha", alpha, (batch,))
        named["alpha"] = alpha
    _same_kind(kernel, named)


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
    """Raise InputError, naming the array, unless the gradients fit the saved activations."""
    named = {"weight_hh": saved.weight_hh, "dh_T": dh_T, "dc_T": dc_T}
    for name, array in (("dh", dh), ("dc", dc)):
        if array is not None:
            _expect(name, array, saved.h.shape)
            named[name] = array
    _expect("dh_T", dh_T, saved.h0.shape)
    _expect("dc_T", dc_T, saved.h0.shape)
    if saved.mask is not None:
        _expect("mask", saved.mask, saved.h0.shape)
        named["mask"] = saved.mask
    _same_kind(kernel, named)


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
        if not array.flags.c_contiguous:
            raise InputError(f"{name} must be C-contiguous")


def check_saved(saved: SavedActivations, name: str, lanes: int) -> None:
    """Raise InputError unless `saved` is what `forward` returns: the torch operator builds it anew from its tensors."""
    rows, units = saved.h.shape
    shape = (rows, -(-units // lanes), 4, lanes)
    if saved.packed_gates.shape != shape:
        raise InputError(f"saved: gates {saved.packed_gates.shape}, but instruction set {name} stores them as {shape}")
    if int(saved.lengths.sum()) != rows or saved.c.shape != saved.h.shape:
        raise InputError(f"saved: {rows} rows of h, {len(saved.c)} of c, {int(saved.lengths.sum())} steps")
    if saved.index is None:
        if saved.pre_rows != rows:
            raise InputError(f"saved: {rows} steps, {saved.pre_rows} rows of pre and no index")
    elif saved.index.shape != (rows,) or (rows and not 0 <= saved.index.min() <= saved.index.max() < saved.pre_rows):
        raise InputError(f"saved: the index does not fit {rows} steps and {saved.pre_rows} rows of pre")
    if not saved.packed_gates.flags.writeable:
        raise InputError("saved: read-only after its backward pass; for a second pass keep SavedActivations.copy()")
