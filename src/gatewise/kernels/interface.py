"""What a kernel is: the recurrence over a ragged batch, forward and backward, on plain arrays.

A batch holds B sequences of `lengths (B,)` steps, N = sum(lengths) rows in all, one sequence after the other. There is
no padding and no mask. `pre (U, 4H)` holds x W_ihᵀ + b once for each distinct input (for text: a row a distinct token)
and `index (N,)` says which of its rows each step takes; without an index, U = N and every step has a row of its own.

    project(x (U, D), weight_ih (4H, D), bias (4H,))                     -> pre (U, 4H)
    project_backward(x, weight_ih, dpre)                                 -> dx, dweight_ih, dbias
    forward(pre, index, lengths, weight_hh, h0, c0, reverse, gate, keep, mask, drawn) -> h (N, H), h_T, c_T (B, H), tape
    backward(tape, dh, dh_T, dc_T, dc, with_dweight)                     -> dpre (U, 4H), dweight_hh, dh0, dc0

`reverse` runs each sequence from its last row to its first; row n of every array still belongs to step n of the text,
and h_T is the state after the first row. A sequence without steps hands its initial state on. Backward may write over
its tape (`consumes_saved`): then a tape can be used once, unless the caller gives a copy (`SavedActivations.copy`).

`mask (B, H)` is recurrent dropout, the same at every step of a sequence (Gal & Ghahramani 2016): pre gets
(mask h_{t-1}) W_hhᵀ in the place of h_{t-1} W_hhᵀ, from the initial state on. h and h_T are not masked.

`drawn` runs each sequence on rows between one row of `pre` and its own: sequence b takes base + along_b (row - base),
with base = pre[base_b]. So many points of one way share their input product. The gradient dpre of such a run is that of
the rows as they were taken, summed by `index`: not multiplied by along_b, and what belongs to the base is left out.

The contract in tests/kernels/ is what every kernel must meet; tests/kernels/ holds kernels that must fail it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.cell import gates_shown
from gatewise.types import Array, Gate

__all__ = [
    "Backward",
    "Forward",
    "Interpolation",
    "Kernel",
    "Projected",
    "SavedActivations",
]

Index = NDArray[np.int32]
Lengths = NDArray[np.int64]


@dataclass(frozen=True)
class SavedActivations:
    """What forward keeps: the inputs it was given, h and c of every step, and the gates in the kernel's own layout.

    What training needs and what the glass box shows are the same thing. `gates()` gives (N, 4H), i f g o.
    """

    pre_rows: int
    index: Index | None
    lengths: Lengths
    weight_hh: Array
    h0: Array
    c0: Array
    h: Array  # (N, H)
    c: Array  # (N, H)
    packed_gates: Array  # (N, blocks, 4, lanes): unit u is lane u % lanes of block u // lanes
    reverse: bool
    gate: Gate
    mask: Array | None = None  # (B, H)

    def gates(self) -> Array:
        """The gates (N, 4H), i f g o, as they acted: with gate="binary", i, f and o are 0 or 1."""
        n, blocks, four, lanes = self.packed_gates.shape
        units = self.weight_hh.shape[1]
        plain = self.packed_gates.transpose(0, 2, 1, 3).reshape(n, four, blocks * lanes)[:, :, :units]
        # A copy: where the layout is plain already, a view would change under backward.
        return gates_shown(plain.reshape(n, 4 * units).copy(), self.gate)

    def copy(self) -> SavedActivations:
        """A tape that backward may write over while this one stays."""
        return replace(self, packed_gates=self.packed_gates.copy())


class Interpolation(NamedTuple):
    """Where each sequence's rows lie between a row of `pre` and their own: 0 is that row, 1 their own, exactly."""

    base: Index  # (B,) int32, rows of pre
    along: Array  # (B,)


class Forward(NamedTuple):
    """What forward gives: h of every step, the last states, and the tape if it was to be kept."""

    h: Array  # (N, H)
    h_T: Array  # (B, H)
    c_T: Array  # (B, H)
    saved: SavedActivations | None


class Backward(NamedTuple):
    """The gradients of what forward was given, in the same order; that of x and W_ih is the caller's affair."""

    dpre: Array  # (U, 4H)
    dweight_hh: Array | None  # (4H, H), or None where it was not asked for
    dh0: Array  # (B, H)
    dc0: Array  # (B, H)


class Projected(NamedTuple):
    """The gradients of what `project` was given; no dx where it was not asked for."""

    dx: Array | None  # (U, D)
    dweight_ih: Array  # (4H, D)
    dbias: Array  # (4H,)


class Kernel(Protocol):
    """A rung: reference or native. All arrays C-contiguous and of one dtype that is in `dtypes`."""

    @property
    def name(self) -> str: ...

    @property
    def dtypes(self) -> tuple[str, ...]: ...

    @property
    def consumes_saved(self) -> bool: ...

    def lanes(self, units: int) -> int:
        """The last axis of `SavedActivations.packed_gates` for H = units."""
        ...

    def project(self, x: Array, weight_ih: Array, bias: Array) -> Array:
        """pre (U, 4H) = x (U, D) weight_ihᵀ + bias. Raises InputError for arrays that do not fit together."""
        ...

    def project_backward(self, x: Array, weight_ih: Array, dpre: Array, *, with_dx: bool = True) -> Projected:
        """Gradients of what `project` was given from that of pre (U, 4H)."""
        ...

    def forward(
        self,
        pre: Array,
        index: Index | None,
        lengths: Lengths,
        weight_hh: Array,
        h0: Array,
        c0: Array,
        *,
        reverse: bool = False,
        gate: Gate = "sigmoid",
        keep: bool = True,
        mask: Array | None = None,
        drawn: Interpolation | None = None,
    ) -> Forward:
        """Run the batch; without `keep` there is no tape. Raises InputError for arrays that do not fit together."""
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
        """Gradients of a scalar loss from those of h (N, H), h_T, c_T (B, H) and, where used, c of every step (N, H).

        None for dh or dc stands for zeros and costs nothing. Without `with_dweight` that of weight_hh is not made.
        """
        ...
