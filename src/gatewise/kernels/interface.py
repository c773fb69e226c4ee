"""Interface of a kernel: the LSTM recurrence over a ragged batch, forward and backward, on plain arrays.

A batch holds B sequences of `lengths (B,)` steps, N = sum(lengths) rows in total, one sequence after the other, without
padding or mask. `LSTMCall` describes one run. A kernel has four operations, the first and the third also by fixed
weights (`lstm`, `dense`):

    project(x (U, D), weight_ih (4H, D), bias (4H,))  -> pre (U, 4H)
    project_backward(x, weight_ih, dpre)              -> dx, dweight_ih, dbias
    forward(call, keep)                               -> h (N, H), h_T, c_T (B, H), saved activations
    backward(saved, dh, dh_T, dc_T, dc, with_dweight) -> dpre (U, 4H), dweight_hh, dh0, dc0

Kernels check their arguments with the `check_` functions before they run; an error names the array. The test suite in
tests/kernels/ defines what every kernel must compute; tests/kernels/mutants.py holds wrong kernels that it must reject.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.kernels.call import Forward, LinearRun, LSTMCall, LSTMRun
from gatewise.kernels.saved_activations import SavedActivations
from gatewise.ragged import total_steps
from gatewise.types import Array, Gate

Projected = tuple[Array | None, Array, Array]
"""Gradients dx (U, D), None without `with_dx`, dweight_ih (4H, D) and dbias (4H,): the result of `project_backward`."""


class Backward(NamedTuple):
    """Result of `Kernel.backward`: gradients of pre, weight_hh, h0 and c0."""

    dpre: Array  # (U, 4H)
    dweight_hh: Array | None  # (4H, H); None without `with_dweight`
    dh0: Array  # (B, H)
    dc0: Array  # (B, H)


class InputGradients(NamedTuple):
    """Result of `Native.backward_inputs`: gradients of x, weight_ih, bias, weight_hh, h0 and c0."""

    dx: Array | None  # (N, D); None without `with_dx`
    dweight_ih: Array  # (4H, D)
    dbias: Array  # (4H,)
    dweight_hh: Array | None  # (4H, H); None without `with_dweight`
    dh0: Array  # (B, H)
    dc0: Array  # (B, H)


class Kernel(Protocol):
    """The operations above. All arrays are C-contiguous and of one dtype, which is in `dtypes`."""

    name: str
    dtypes: tuple[str, ...]
    consumes_saved: bool
    """Whether backward overwrites the saved activations; then they serve one backward pass only."""
    takes_input_product: bool
    """Whether `forward` takes an `InputProduct` in place of `LSTMCall.pre`."""

    def with_threads(self, count: int) -> Kernel:
        """The same kernel, on this many threads."""
        ...

    def lanes(self, units: int) -> int:
        """The last axis of `SavedActivations.packed_gates` for H = units."""
        ...

    def project(self, x: Array, weight_ih: Array, bias: Array) -> Array:
        """pre (U, 4H) = x (U, D) weight_ihᵀ + bias. Raises InputError for arrays that do not fit together."""
        ...

    def project_backward(self, x: Array, weight_ih: Array, dpre: Array, *, with_dx: bool = True) -> Projected:
        """Gradients of the arguments of `project` from dpre (U, 4H)."""
        ...

    def forward(self, call: LSTMCall[Array], *, keep: bool = True) -> Forward:
        """Run the batch. keep: save the activations. Raises InputError for arrays that do not fit together."""
        ...

    def lstm(self, weight_ih: Array, weight_hh: Array, bias: Array, gate: Gate) -> LSTMRun:
        """`project` and `forward` of a layer, for many short runs: what depends on the weights alone is computed here,
        and a run does not check its arguments but for their shapes. The weights must not change.
        """
        ...

    def dense(self, weight: Array, bias: Array) -> LinearRun:
        """`project` by fixed weights (K, D) and bias (K,), as `lstm`."""
        ...

    def backward(
        self,
        saved: SavedActivations,
        dh: Array | None,
        dh_T: Array,
        dc_T: Array,
        dc: Array | None = None,
        *,
        with_dweight: bool = True,
    ) -> Backward:
        """Gradients of a scalar loss from the gradients of h (N, H), h_T, c_T (B, H) and c of every step (N, H).

        None for dh or dc means zeros and costs nothing. Without `with_dweight`, dweight_hh is not computed.
        """
        ...


Shapes = dict[str, tuple[Array | None, tuple[int, ...]]]
"""Arrays by name with their expected shapes; None for an array that a call leaves out."""

RowNumbers = dict[str, tuple[Array | None, int, int]]
"""Arrays of row numbers by name: with their expected length, and the number of rows that they refer to."""


def check_run(kernel: Kernel, run: LSTMCall[Array] | SavedActivations, further: Shapes | None = None) -> int:
    """The number N of steps. Raises InputError, naming the array, unless the arguments of a call, or what a call saved,
    and `further` arrays fit together. Kernels rely on this check.
    """
    weight_hh = run.weight_hh
    if weight_hh.ndim != 2 or weight_hh.shape[0] != 4 * weight_hh.shape[1] or weight_hh.shape[1] == 0:
        raise InputError(f"weight_hh: expected (4H, H), got {weight_hh.shape}")
    if run.gate not in ("sigmoid", "binary"):
        raise InputError(f"gate must be 'sigmoid' or 'binary', not {quote(run.gate)}")
    units = weight_hh.shape[1]
    steps = total_steps(run.lengths)
    states = (len(run.lengths), units)
    shapes: Shapes = {
        "weight_hh": (weight_hh, weight_hh.shape),
        "h0": (run.h0, states),
        "c0": (run.c0, states),
        "mask": (run.mask, states),
    }
    row_numbers: RowNumbers = {}
    if isinstance(run, LSTMCall):
        pre_rows = _row_count(run.pre)
        row_numbers["index"] = (run.index, steps, pre_rows)
        shapes["pre"] = (run.pre, (pre_rows, 4 * units))
        if run.index is None:
            shapes["pre"] = (run.pre, (steps, 4 * units))
        if run.interpolation is not None:
            base, alpha = run.interpolation
            row_numbers["base"] = (base, len(run.lengths), pre_rows)
            shapes["alpha"] = (alpha, run.lengths.shape)
        if run.held is not None:
            index, values = run.held
            row_numbers["held index"] = (index, steps, _row_count(values))
            shapes["held"] = (values, (_row_count(values), 4 * units))
    else:
        row_numbers["saved: index"] = (run.index, steps, run.pre_rows)
        shapes["saved: h"] = (run.h, (steps, units))
        shapes["saved: c"] = (run.c, (steps, units))
        if run.index is None and run.pre_rows != steps:
            raise InputError(f"saved: {steps} steps, {run.pre_rows} rows of pre and no index")
    _check_arrays(kernel, shapes | (further or {}))
    _check_row_numbers(row_numbers)
    return steps


def _row_count(array: Array) -> int:
    """The rows of an array; 0 for a scalar, whose shape is refused later."""
    if array.ndim == 0:
        return 0
    return len(array)


def check_project(kernel: Kernel, x: Array, weight_ih: Array, bias: Array | None, dpre: Array | None) -> None:
    """Raise InputError, naming the array, unless the arguments of `project` or `project_backward` fit together."""
    if weight_ih.ndim != 2 or 0 in weight_ih.shape:
        raise InputError(f"weight_ih: expected (4H, D), got {weight_ih.shape}")
    outputs, inputs = weight_ih.shape
    if x.ndim != 2 or x.shape[1] != inputs:
        raise InputError(f"x: expected (U, {inputs}), got {x.shape}")
    shapes: Shapes = {
        "weight_ih": (weight_ih, weight_ih.shape),
        "x": (x, x.shape),
        "bias": (bias, (outputs,)),
        "dpre": (dpre, (len(x), outputs)),
    }
    _check_arrays(kernel, shapes)


def check_backward(
    kernel: Kernel, saved: SavedActivations, dh: Array | None, dh_T: Array, dc_T: Array, dc: Array | None
) -> None:
    """Raise InputError, naming the array, unless the gradients fit the saved activations and these have the form that
    `forward` returns: the torch operator, and programs that keep activations, build them anew. Kernels rely on this
    check.
    """
    if saved.held:
        raise InputError("saved: a run with held gates has no backward pass")
    gates = saved.packed_gates
    arrays: Shapes = {
        "packed_gates": (gates, gates.shape),
        "dh": (dh, saved.h.shape),
        "dc": (dc, saved.h.shape),
        "dh_T": (dh_T, saved.h0.shape),
        "dc_T": (dc_T, saved.h0.shape),
    }
    steps = check_run(kernel, saved, arrays)
    units = saved.weight_hh.shape[1]
    lanes = kernel.lanes(units)
    blocks = math.ceil(units / lanes)
    shape = (steps, blocks, 4, lanes)
    if gates.shape != shape:
        raise InputError(f"saved: gates {gates.shape}, but this kernel stores them as {shape}")
    if kernel.consumes_saved and not gates.flags.writeable:
        raise InputError("saved: read-only after its backward pass; for a second pass keep SavedActivations.copy()")


def _check_arrays(kernel: Kernel, shapes: Shapes) -> None:
    """Raise InputError, naming the array, unless each array has its shape and the dtype of the first one."""
    arrays: dict[str, Array] = {}
    for name, (array, shape) in shapes.items():
        if array is None:
            continue
        if array.shape != shape:
            raise InputError(f"{name}: expected {shape}, got {array.shape}")
        arrays[name] = array
    first = next(iter(arrays))
    dtype = arrays[first].dtype
    if dtype.name not in kernel.dtypes:
        raise InputError(f"kernel '{kernel.name}' computes in {' or '.join(kernel.dtypes)}, not {dtype.name}")
    for name, array in arrays.items():
        if array.dtype != dtype:
            raise InputError(f"{name} is {array.dtype.name}, {first} is {dtype.name}: their dtypes must be equal")
        if not array.flags.c_contiguous or not array.flags.aligned:
            raise InputError(f"{name} must be C-contiguous and aligned")


def _check_row_numbers(row_numbers: RowNumbers) -> None:
    """Raise InputError, naming the array, unless each array has its length and refers to rows that exist."""
    for name, (array, count, rows) in row_numbers.items():
        if array is None:
            continue
        is_contiguous = array.flags.c_contiguous and array.flags.aligned
        if array.shape != (count,) or array.dtype != np.int32 or not is_contiguous:
            raise InputError(f"{name}: expected ({count},) int32, contiguous; got {array.shape} {array.dtype}")
        if count == 0:
            continue
        least = int(array.min())
        most = int(array.max())
        if least < 0 or most >= rows:
            raise InputError(f"{name}: rows must be from 0 to {rows - 1}, found {least} to {most}")
