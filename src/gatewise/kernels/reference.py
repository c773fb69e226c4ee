"""The reference kernel: a plain loop over `cell.py`, float32 or float64; the oracle for the native kernel.

At step s the loop computes all sequences that have more than s steps.
"""

from typing import Self

import numpy as np

from gatewise.cell import Step, step_backward, step_forward
from gatewise.kernels.call import Forward, LinearRun, LSTMCall, LSTMRun
from gatewise.kernels.interface import Backward, Projected, check_backward, check_project, check_run
from gatewise.kernels.saved_activations import SavedActivations
from gatewise.ragged import starts_of
from gatewise.types import Array, Gate, Lengths


class Reference:
    """`cell.step_forward` for every step, then `cell.step_backward` for every step."""

    name = "reference"
    dtypes: tuple[str, ...] = ("float32", "float64")
    consumes_saved = False
    takes_input_product = False

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
        dx = None
        if with_dx:
            dx = dpre @ weight_ih
        dweight_ih = dpre.T @ x
        dbias = dpre.sum(axis=0)
        return dx, dweight_ih, dbias

    def forward(self, call: LSTMCall[Array], *, keep: bool = True) -> Forward:
        steps = check_run(self, call)
        units = call.weight_hh.shape[1]
        h_now = call.h0.copy()  # (B, H): the current state of each sequence
        c_now = call.c0.copy()
        h = np.empty((steps, units), dtype=call.pre.dtype)
        c = np.empty((steps, units), dtype=call.pre.dtype)
        gates = np.empty((steps, 4 * units), dtype=call.pre.dtype)
        for active, rows in _steps(call.lengths, call.reverse):
            pre_x = _input_rows(call, active, rows)  # (A, 4H) for A active sequences
            h_prev = h_now[active]
            if call.mask is not None:
                h_prev = h_prev * call.mask[active]
            held = None
            if call.held is not None:
                index, values = call.held
                held = values[index[rows]]  # (A, 4H)
            step = step_forward(pre_x, h_prev, c_now[active], call.weight_hh, call.gate, held)
            h_now[active] = step.h
            c_now[active] = step.c
            h[rows] = step.h
            c[rows] = step.c
            gates[rows] = step.gates
        if not keep:
            return Forward(h, h_now, c_now)
        packed = gates.reshape(steps, 4, 1, units).transpose(0, 2, 1, 3)  # one block, H lanes
        return Forward(h, h_now, c_now, SavedActivations.of(call, h, c, packed), c)

    def lstm(self, weight_ih: Array, weight_hh: Array, bias: Array, gate: Gate) -> LSTMRun:
        def run(x: Array, lengths: Lengths, h0: Array, c0: Array) -> tuple[Array, Array, Array]:
            call = LSTMCall(self.project(x, weight_ih, bias), None, lengths, weight_hh, h0, c0, gate=gate)
            states = self.forward(call, keep=False)
            return states.h, states.h_T, states.c_T

        return run

    def dense(self, weight: Array, bias: Array) -> LinearRun:
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
        units = saved.weight_hh.shape[1]
        gates = saved.packed_gates.reshape(len(saved.h), 4 * units)
        dh_now = dh_T.copy()  # (B, H): the gradients from later steps
        dc_now = dc_T.copy()
        dpre_rows = np.empty_like(gates)
        # In float64, since thousands of steps are added one by one. The native kernel adds 128 steps at a time.
        sum_dweight_hh = np.zeros(saved.weight_hh.shape, dtype=np.float64)
        to_previous = -1  # from the row of a step to that of the step before
        if saved.reverse:
            to_previous = 1
        for s, (active, rows) in reversed(list(enumerate(_steps(saved.lengths, saved.reverse)))):
            if s == 0:
                h_prev = saved.h0[active]  # (A, H)
                c_prev = saved.c0[active]
            else:
                h_prev = saved.h[rows + to_previous]
                c_prev = saved.c[rows + to_previous]
            if saved.mask is not None:
                h_prev = h_prev * saved.mask[active]
            dh_step = dh_now[active]
            if dh is not None:
                dh_step = dh_step + dh[rows]
            dc_step = dc_now[active]
            if dc is not None:
                dc_step = dc_step + dc[rows]
            step = Step(gates[rows], saved.c[rows], saved.h[rows])
            dpre, dh_prev, dc_prev = step_backward(step, c_prev, dh_step, dc_step, saved.weight_hh, saved.gate)
            if saved.mask is not None:
                dh_prev = dh_prev * saved.mask[active]
            dh_now[active] = dh_prev
            dc_now[active] = dc_prev
            dpre_rows[rows] = dpre
            if with_dweight:
                sum_dweight_hh += dpre.T @ h_prev  # (4H, A) @ (A, H)
        dweight_hh = None
        if with_dweight:
            dweight_hh = sum_dweight_hh.astype(gates.dtype)
        if saved.index is None:
            return Backward(dpre_rows, dweight_hh, dh_now, dc_now)
        dpre_distinct = np.zeros((saved.pre_rows, 4 * units), dtype=gates.dtype)
        np.add.at(dpre_distinct, saved.index, dpre_rows)
        return Backward(dpre_distinct, dweight_hh, dh_now, dc_now)


def _input_rows(call: LSTMCall[Array], active: Array, rows: Array) -> Array:
    """The input product (A, 4H) of one step of the active sequences."""
    pre_rows = rows
    if call.index is not None:
        pre_rows = call.index[rows]
    pre_x = call.pre[pre_rows]
    if call.interpolation is None:
        return pre_x
    base, alpha = call.interpolation
    alpha = alpha[active, None]
    interpolated: Array = alpha * pre_x + (1 - alpha) * call.pre[base[active]]
    return interpolated


def _steps(lengths: Lengths, reverse: bool) -> list[tuple[Array, Array]]:
    """For each step: the sequences that have it (A,) and the row of each (A,)."""
    starts = starts_of(lengths)
    steps = []
    for s in range(int(lengths.max(initial=0))):
        active = np.flatnonzero(lengths > s)
        if reverse:
            rows = starts[active] + lengths[active] - 1 - s
        else:
            rows = starts[active] + s
        steps.append((active, rows))
    return steps
