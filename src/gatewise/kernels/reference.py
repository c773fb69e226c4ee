"""The reference kernel: a plain loop over `cell.py`, float32 or float64; the oracle for the native kernel.

At step s the loop computes all sequences that have more than s steps.
"""

from collections.abc import Callable
from typing import Self

import numpy as np

from gatewise.cell import Step, step_backward, step_forward
from gatewise.kernels.call import Forward, LSTMCall
from gatewise.kernels.interface import Backward, Projected, Stepper, check_backward, check_project, check_run
from gatewise.kernels.saved_activations import SavedActivations
from gatewise.ragged import starts_of
from gatewise.types import Array, Gate, Lengths


class Reference:
    """`cell.step_forward` for every step, then `cell.step_backward` for every step."""

    name = "reference"
    dtypes: tuple[str, ...] = ("float32", "float64")
    consumes_saved = False

    def with_threads(self, count: int) -> Self:
        return self

    def lanes(self, units: int) -> int:
        return units

    def project(self, x: Array, weight_ih: Array, bias: Array) -> Array:
        check_project(self, x, weight_ih, bias, None)
        pre: Array = x @ weight_ih.T + bias
        return pre

    def project_backward(self, x: Array, weight_ih: Array, dpre: Array, *, with_dx: bool = True) -> Projected:
        check_project(self, x, weight_ih, None, dpre)
        return dpre @ weight_ih if with_dx else None, dpre.T @ x, dpre.sum(axis=0)

    def forward(self, call: LSTMCall[Array], *, keep: bool = True) -> Forward:
        steps = check_run(self, call)
        pre, index, mask, interpolation = call.pre, call.index, call.mask, call.interpolation
        units = call.weight_hh.shape[1]
        h_now, c_now = call.h0.copy(), call.c0.copy()  # (B, H): current state of each sequence
        h, c = np.empty((2, steps, units), dtype=pre.dtype)
        gates = np.empty((steps, 4 * units), dtype=pre.dtype)
        for active, rows in _steps(call.lengths, call.reverse):
            pre_x = pre[rows if index is None else index[rows]]  # (A, 4H), A sequences active
            if interpolation is not None:
                base, alpha = interpolation[0][active], interpolation[1][active, None]
                pre_x = alpha * pre_x + (1 - alpha) * pre[base]
            h_prev = h_now[active] if mask is None else h_now[active] * mask[active]
            held = None if call.held is None else call.held[1][call.held[0][rows]]  # (A, 4H)
            step = step_forward(pre_x, h_prev, c_now[active], call.weight_hh, call.gate, held)
            h_now[active], c_now[active] = step.h, step.c
            h[rows], c[rows], gates[rows] = step.h, step.c, step.gates
        packed = gates.reshape(steps, 4, 1, units).transpose(0, 2, 1, 3)  # one block, H lanes
        kept = (SavedActivations.of(call, h, c, packed), c) if keep else ()
        return Forward(h, h_now, c_now, *kept)

    def stepper(self, weight_ih: Array, weight_hh: Array, bias: Array, gate: Gate) -> Stepper:
        def step(x: Array, h: Array, c: Array) -> None:
            after = step_forward(self.project(x[None], weight_ih, bias), h[None], c[None], weight_hh, gate)
            h[:], c[:] = after.h[0], after.c[0]

        return step

    def dense(self, weight: Array, bias: Array) -> Callable[[Array], Array]:
        return lambda x: self.project(x, weight, bias)

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
        check_backward(self, saved, dh, dh_T, dc_T, dc)
        units, steps = saved.weight_hh.shape[1], len(saved.h)
        gates = saved.packed_gates.reshape(steps, 4 * units)
        dh_now, dc_now = dh_T.copy(), dc_T.copy()  # (B, H): gradients from later steps
        dpre_rows = np.empty_like(gates)
        # In float64, since thousands of steps are added one by one. The native kernel adds 128 steps at a time.
        sum_dweight_hh = np.zeros(saved.weight_hh.shape, dtype=np.float64) if with_dweight else None
        back = 1 if saved.reverse else -1
        for s, (active, rows) in reversed(list(enumerate(_steps(saved.lengths, saved.reverse)))):
            h_prev = saved.h[rows + back] if s else saved.h0[active]  # (A, H)
            c_prev = saved.c[rows + back] if s else saved.c0[active]
            if saved.mask is not None:
                h_prev = h_prev * saved.mask[active]
            step = Step(gates[rows], saved.c[rows], saved.h[rows])
            dh_step = dh_now[active] if dh is None else dh_now[active] + dh[rows]
            dc_step = dc_now[active] if dc is None else dc_now[active] + dc[rows]
            dpre, dh_now[active], dc_now[active] = step_backward(
                step, c_prev, dh_step, dc_step, saved.weight_hh, saved.gate
            )
            if saved.mask is not None:
                dh_now[active] *= saved.mask[active]
            dpre_rows[rows] = dpre
            if sum_dweight_hh is not None:
                sum_dweight_hh += dpre.T @ h_prev  # (4H, A) @ (A, H)
        dweight_hh = None if sum_dweight_hh is None else sum_dweight_hh.astype(gates.dtype)
        if saved.index is None:
            return Backward(dpre_rows, dweight_hh, dh_now, dc_now)
        dpre_distinct = np.zeros((saved.pre_rows, 4 * units), dtype=gates.dtype)
        np.add.at(dpre_distinct, saved.index, dpre_rows)
        return Backward(dpre_distinct, dweight_hh, dh_now, dc_now)


def _steps(lengths: Lengths, reverse: bool) -> list[tuple[Array, Array]]:
    """For each step: the sequences that have it (A,) and the row of each (A,)."""
    starts = starts_of(lengths)
    steps = []
    for s in range(int(lengths.max(initial=0))):
        active = np.flatnonzero(lengths > s)
        steps.append((active, starts[active] + (lengths[active] - 1 - s if reverse else s)))
    return steps
