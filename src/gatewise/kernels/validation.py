"""Validation of a kernel's arguments, before anything runs; an error names the array."""

from __future__ import annotations

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.kernels.interface import Kernel, LSTMCall, SavedActivations
from gatewise.kernels.ragged import total_steps
from gatewise.types import Array

Named = dict[str, tuple[Array | None, tuple[int, ...]]]  # arrays with their expected shapes; None: not given


def check_run(kernel: Kernel, run: LSTMCall[Array] | SavedActivations, more: Named | None = None) -> int:
    """The number N of steps. Raises InputError, naming the array, unless the arguments of a call, or what a call saved,
    and `more` arrays fit together. Kernels rely on this check.
    """
    weight_hh, lengths, index = run.weight_hh, run.lengths, run.index
    if weight_hh.ndim != 2 or weight_hh.shape[0] != 4 * weight_hh.shape[1] or weight_hh.shape[1] == 0:
        raise InputError(f"weight_hh: expected (4H, H), got {weight_hh.shape}")
    if run.gate not in ("sigmoid", "binary"):
        raise InputError(f"gate must be 'sigmoid' or 'binary', not {quote(run.gate)}")
    units, steps = weight_hh.shape[1], total_steps(lengths)
    states, rows = (len(lengths), units), (steps, units)
    named: Named = {"weight_hh": (weight_hh, weight_hh.shape)}
    named |= {"h0": (run.h0, states), "c0": (run.c0, states), "mask": (run.mask, states)}
    numbers: dict[str, tuple[Array | None, int]] = {}
    if isinstance(run, LSTMCall):
        numbers["index"] = index, steps
        pre_rows = run.pre.shape[0] if run.pre.ndim else 0
        named["pre"] = run.pre, (steps if index is None else pre_rows, 4 * units)
        if run.interpolation is not None:
            numbers["base"] = run.interpolation[0], len(lengths)
            named["alpha"] = run.interpolation[1], lengths.shape
    else:
        pre_rows, numbers["saved: index"] = run.pre_rows, (index, steps)
        named |= {"saved: h": (run.h, rows), "saved: c": (run.c, rows)}
        if index is None and pre_rows != steps:
            raise InputError(f"saved: {steps} steps, {pre_rows} rows of pre and no index")
    _check_arrays(kernel, named | (more or {}))
    for name, (array, count) in numbers.items():
        if array is None:
            continue
        plain = array.flags.c_contiguous and array.flags.aligned
        if array.shape != (count,) or array.dtype != np.int32 or not plain:
            raise InputError(f"{name}: expected ({count},) int32, contiguous; got {array.shape} {array.dtype}")
        if count and not (int(array.min()) >= 0 and int(array.max()) < pre_rows):
            found = f"found {int(array.min())} to {int(array.max())}"
            raise InputError(f"{name}: rows must be from 0 to {pre_rows - 1}, {found}")
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
    gates, rows, states = saved.packed_gates, saved.h.shape, saved.h0.shape
    given: Named = {"dh": (dh, rows), "dc": (dc, rows), "dh_T": (dh_T, states), "dc_T": (dc_T, states)}
    steps = check_run(kernel, saved, {"packed_gates": (gates, gates.shape), **given})
    units = saved.weight_hh.shape[1]
    lanes = kernel.lanes(units)
    shape = (steps, -(-units // lanes), 4, lanes)
    if gates.shape != shape:
        raise InputError(f"saved: gates {gates.shape}, but this kernel stores them as {shape}")
    if kernel.consumes_saved and not gates.flags.writeable:
        raise InputError("saved: read-only after its backward pass; for a second pass keep SavedActivations.copy()")


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
