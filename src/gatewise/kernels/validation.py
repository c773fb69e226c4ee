"""Validation of a kernel's arguments, before anything runs; an error names the array."""

from __future__ import annotations

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.kernels.interface import Kernel, LSTMCall, SavedActivations
from gatewise.kernels.ragged import total_steps
from gatewise.types import Array

Named = dict[str, tuple[Array | None, tuple[int, ...]]]  # arrays with their expected shapes; None: not given


def check_forward(kernel: Kernel, call: LSTMCall[Array]) -> int:
    """The number N of steps. Raises InputError, naming the array, unless the arguments fit together. Kernels rely on
    this check.
    """
    pre, index = call.pre, call.index
    units, steps, named = _check_sizes(call)
    batch = len(call.lengths)
    if index is not None:
        if pre.ndim != 2 or pre.shape[1] != 4 * units:
            raise InputError(f"pre: expected (U, {4 * units}), got {pre.shape}")
        _check_rows("index", index, (steps,), len(pre))
    named["pre"] = pre, (steps if index is None else len(pre), 4 * units)
    if call.interpolation is not None:
        base, alpha = call.interpolation
        _check_rows("base", base, (batch,), len(pre))
        named["alpha"] = alpha, (batch,)
    _check_arrays(kernel, named)
    return steps


def check_project(kernel: Kernel, x: Array, weight_ih: Array, bias: Array | None, dpre: Array | None) -> None:
    """Raise InputError, naming the array, unless the arguments of `project` or `project_backward` fit together."""
    if weight_ih.ndim != 2 or 0 in weight_ih.shape:
        raise InputError(f"weight_ih: expected (4H, D), got {weight_ih.shape}")
    outputs, inputs = weight_ih.shape
    if x.ndim != 2 or x.shape[1] != inputs:
        raise InputError(f"x: expected (U, {inputs}), got {x.shape}")
    named: Named = {"weight_ih": (weight_ih, weight_ih.shape), "x": (x, x.shape)}
    _check_arrays(kernel, named | {"bias": (bias, (outputs,)), "dpre": (dpre, (len(x), outputs))})


def check_backward(
    kernel: Kernel, saved: SavedActivations, dh: Array | None, dh_T: Array, dc_T: Array, dc: Array | None
) -> None:
    """Raise InputError, naming the array, unless the gradients fit the saved activations and these are what `forward`
    returns: the torch operator, and programs that keep activations, build them anew. Kernels rely on this check.
    """
    units, steps, named = _check_sizes(saved)
    if saved.index is not None:
        _check_rows("saved: index", saved.index, (steps,), saved.pre_rows)
    elif saved.pre_rows != steps:
        raise InputError(f"saved: {steps} steps, {saved.pre_rows} rows of pre and no index")
    rows = steps, units
    named |= {"saved: h": (saved.h, rows), "saved: c": (saved.c, rows), "dh": (dh, rows), "dc": (dc, rows)}
    named |= {"packed_gates": (saved.packed_gates, saved.packed_gates.shape)}
    _check_arrays(kernel, named | {"dh_T": (dh_T, saved.h0.shape), "dc_T": (dc_T, saved.h0.shape)})
    lanes = kernel.lanes(units)
    shape = (steps, -(-units // lanes), 4, lanes)
    if saved.packed_gates.shape != shape:
        raise InputError(f"saved: gates {saved.packed_gates.shape}, but this kernel stores them as {shape}")
    if kernel.consumes_saved and not saved.packed_gates.flags.writeable:
        raise InputError("saved: read-only after its backward pass; for a second pass keep SavedActivations.copy()")


def _check_sizes(run: LSTMCall[Array] | SavedActivations) -> tuple[int, int, Named]:
    """H, N and the arrays of what a call and its saved activations have in common."""
    weight_hh = run.weight_hh
    if weight_hh.ndim != 2 or weight_hh.shape[0] != 4 * weight_hh.shape[1] or weight_hh.shape[1] == 0:
        raise InputError(f"weight_hh: expected (4H, H), got {weight_hh.shape}")
    if run.gate not in ("sigmoid", "binary"):
        raise InputError(f"gate must be 'sigmoid' or 'binary', not {quote(run.gate)}")
    units, steps = weight_hh.shape[1], total_steps(run.lengths)
    states = len(run.lengths), units
    arrays = {"h0": (run.h0, states), "c0": (run.c0, states), "mask": (run.mask, states)}
    return units, steps, {"weight_hh": (weight_hh, weight_hh.shape), **arrays}


def _check_rows(name: str, index: Array, shape: tuple[int], rows: int) -> None:
    """index: int32 row numbers, from 0 to below `rows`."""
    if index.shape != shape or index.dtype != np.int32:
        raise InputError(f"{name}: expected {shape} int32, got {index.shape} {index.dtype}")
    if len(index) and not (int(index.min()) >= 0 and int(index.max()) < rows):
        raise InputError(f"{name}: rows must be from 0 to {rows - 1}, found {int(index.min())} to {int(index.max())}")


def _check_arrays(kernel: Kernel, named: Named) -> None:
    """Raise InputError, naming the array, unless each has its shape, and the dtype of the first one."""
    given = [(name, array, shape) for name, (array, shape) in named.items() if array is not None]
    for name, array, shape in given:
        if array.shape != shape:
            raise InputError(f"{name}: expected {shape}, got {array.shape}")
    first, dtype = given[0][0], given[0][1].dtype
    if dtype.name not in kernel.dtypes:
        raise InputError(f"kernel '{kernel.name}' computes in {' or '.join(kernel.dtypes)}, not {dtype.name}")
    for name, array, _ in given:
        if array.dtype != dtype:
            raise InputError(f"{name} is {array.dtype.name}, {first} is {dtype.name}: their dtypes must be equal")
        if not array.flags.c_contiguous or not array.flags.aligned:
            raise InputError(f"{name} must be C-contiguous and aligned")
