"""The recurrence with gates held by hand: a plain loop over the steps, in NumPy, with the cell of `cell.py`.

It stands in for the kernel in those LSTMs that a clamp touches, and nowhere else. Where a clamp never hits, it gives
what the kernel gives, to rounding (tests/explain/test_intervene.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gatewise.cell import gates_shown, step_forward
from gatewise.explain.clamp import Clamp
from gatewise.kernels import Kernel, SavedActivations
from gatewise.kernels.ragged import starts_of
from gatewise.network.architecture import Architecture
from gatewise.network.ops import NumpyOps, States
from gatewise.types import Array, Gate

__all__ = ["ClampedOps"]


class ClampedOps(NumpyOps):
    """`NumpyOps` under clamps. Its tapes hold the gates as they acted."""

    def __init__(self, arch: Architecture, clamps: Sequence[Clamp], kernel: Kernel | None, keep: bool) -> None:
        super().__init__(kernel, keep)
        self._held: dict[str, list[tuple[Clamp, slice]]] = {}
        for layer, direction, name in arch.lstms():
            hits = [(clamp, clamp.hits(arch, layer, direction)) for clamp in clamps]
            self._held[name] = [(clamp, columns) for clamp, columns in hits if columns is not None]
            self._held[f"{name}.pads"] = [(c, columns) for c, columns in self._held[name] if c.pads and c.steps is None]

    def lstm(
        self,
        name: str,
        pre: Array,
        index: NDArray[np.int32] | None,
        lengths: NDArray[np.int64],
        weight_hh: Array,
        h0: Array,
        c0: Array,
        reverse: bool,
        gate: Gate,
    ) -> States:
        if not self._held[name]:
            return super().lstm(name, pre, index, lengths, weight_hh, h0, c0, reverse, gate)
        units, steps, starts = weight_hh.shape[1], int(lengths.sum()), starts_of(lengths)
        h_now, c_now = h0.copy(), c0.copy()  # (B, H)
        h, c = np.empty((2, steps, units), dtype=pre.dtype)
        gates = np.empty((steps, 4 * units), dtype=pre.dtype)
        for s in range(int(lengths.max(initial=0))):
            active = np.flatnonzero(lengths > s)  # (A,)
            positions = lengths[active] - 1 - s if reverse else np.full(len(active), s)
            rows = starts[active] + positions
            c_prev = c_now[active]
            pre_x = pre[rows if index is None else index[rows]]  # (A, 4H)
            acted = gates_shown(step_forward(pre_x, h_now[active], c_prev, weight_hh, gate).gates, gate)
            i, f, g, o = self._clamp(name, acted.reshape(-1, 4, units), positions).transpose(1, 0, 2)  # (A, H) each
            c[rows] = c_now[active] = f * c_prev + i * g
            h[rows] = h_now[active] = o * np.tanh(c[rows])
            gates[rows] = np.concatenate([i, f, g, o], axis=1)
        if self.keep:
            packed = gates.reshape(steps, 4, 1, units).transpose(0, 2, 1, 3)  # one block, H lanes
            # As they acted, so nothing is left to be rounded to 0 or 1. There is no way back through such a tape.
            saved = SavedActivations(len(pre), index, lengths, weight_hh, h0, c0, h, c, packed, reverse, "sigmoid")
            self.saved_activations.setdefault(name, []).append(saved)
        return States(h, c, h_now, c_now)

    def _clamp(self, name: str, gates: Array, positions: Array) -> Array:
        """gates (A, 4, H) with what is held put in its place; the last clamp has the last word."""
        for clamp, columns in self._held[name]:
            rows = np.ones(len(gates), dtype=bool) if name.endswith(".pads") else clamp.at(positions)
            gates[rows, "ifgo".index(clamp.gate), columns] = clamp.value
        return gates
