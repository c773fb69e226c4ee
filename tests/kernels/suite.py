"""The test suite for kernels: functions `check_*(kernel)` that raise AssertionError where a kernel is wrong.

`CHECKS` holds all of them, including those of limits.py and options.py. test_suite.py runs
them on every kernel of this machine and on wrong ones. Tolerances are relative to the largest value of an array: 1e-5
in float32, 1e-12 in float64.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gatewise.kernels.interface import Kernel
from tests.kernels import limits, options
from tests.kernels.cases import case, grid, rows_of, some, want
from tests.kernels.close import BACKWARD, FORWARD, TOLERANCE, assert_close, assert_same, saved_of
from tests.kernels.oracles import unrolled

Check = Callable[[Kernel], None]


def check_forward(kernel: Kernel) -> None:
    """h, h_T, c_T of the whole grid against the float64 reference."""
    for one in grid():
        for dtype in kernel.dtypes:
            run = one.forward(kernel, dtype)
            assert_same(run, want(one)[0], FORWARD, TOLERANCE[dtype], f"{one} {dtype}")
            assert run.h.dtype == dtype


def check_gradients(kernel: Kernel) -> None:
    """All gradients of the whole grid against the float64 reference."""
    for one in grid():
        for dtype in kernel.dtypes:
            assert_same(one.backward(kernel, dtype), want(one)[1], BACKWARD, TOLERANCE[dtype], f"{one} {dtype}")


def check_each_gradient_alone(kernel: Kernel) -> None:
    """From dh, dc, dh_T or dc_T alone; together they are the sum, since backward is linear in them."""
    for one in some():
        for dtype in kernel.dtypes:
            parts = [one.backward(kernel, dtype, used) for used in ("dh", "dc", "dh_T", "dc_T")]
            for name in BACKWARD:
                total = sum(getattr(part, name).astype(np.float64) for part in parts)
                assert_close(total, getattr(want(one)[1], name), TOLERANCE[dtype], f"{one} {dtype} parts of {name}")
            last = replace(one, dh=0 * one.dh, dc=0 * one.dc, dc_T=0 * one.dc_T)
            assert_same(parts[2], want(last)[1], BACKWARD, TOLERANCE[dtype], f"{one} {dtype} from dh_T alone")


def check_unrolled(kernel: Kernel) -> None:
    """The cell in torch operations with both gates, binary ones straight-through; gradients of c of every step too."""
    for one in some():
        oracle = unrolled(one)
        for dtype in kernel.dtypes:
            run, what = one.forward(kernel, dtype), f"{one} {dtype} against torch"
            results = {name: getattr(run, name).copy() for name in FORWARD} | {"c": saved_of(run).c.copy()}
            got = kernel.backward(saved_of(run), **one.gradients(dtype))
            dpre = got.dpre.astype(np.float64)
            results |= {"dx": dpre @ one.weight_ih, "dweight_ih": dpre.T @ one.x, "dbias": dpre.sum(axis=0)}
            results |= {name: getattr(got, name) for name in ("dweight_hh", "dh0", "dc0")}
            for name, array in results.items():
                assert_close(array, oracle[name], TOLERANCE[dtype], f"{what}: {name}")


def check_keep(kernel: Kernel) -> None:
    """Results without saved activations are bit-equal."""
    for one in some():
        for dtype in kernel.dtypes:
            kept, not_kept = one.forward(kernel, dtype), one.forward(kernel, dtype, keep=False)
            assert not_kept.saved is None, f"{one}: keep=False left saved activations"
            for name in FORWARD:
                assert np.array_equal(getattr(kept, name), getattr(not_kept, name)), f"{one} {dtype} keep: {name}"


def check_fixed_weights(kernel: Kernel) -> None:
    """`lstm` and `dense` have the bits of `project` and `forward`, also of weights that may be written to."""
    for units, gate in ((7, "sigmoid"), (130, "binary")):
        run_case = case(17, units, gate=gate)  # type: ignore[arg-type]
        for dtype in kernel.dtypes:
            arrays = run_case.arrays(dtype)
            x, weight_ih, bias = (array.astype(dtype) for array in (run_case.x, run_case.weight_ih, run_case.bias))
            dense = kernel.dense(weight_ih, bias)
            pre = kernel.project(x, weight_ih, bias)
            assert np.array_equal(dense(x), pre), f"{run_case} {dtype} dense"
            expected = run_case.forward(kernel, dtype, keep=False, pre=pre)
            run = kernel.lstm(weight_ih, arrays["weight_hh"], bias, run_case.gate)
            states = run(x, run_case.lengths, arrays["h0"], arrays["c0"])
            for name, array in zip(FORWARD, states, strict=True):
                assert np.array_equal(array, getattr(expected, name)), f"{run_case} {dtype} lstm: {name}"


def check_saved(kernel: Kernel) -> None:
    """Saved activations satisfy the equations: c_t = f c_{t-1} + i g, h_t = o tanh(c_t), gates in their range."""
    for one in some():
        for dtype in kernel.dtypes:
            run, lanes = one.forward(kernel, dtype), kernel.lanes(one.units)
            saved, steps = saved_of(run), int(one.lengths.sum())
            assert saved.packed_gates.shape == (steps, -(-one.units // lanes), 4, lanes), f"{one}: packed gates"
            assert np.array_equal(saved.h, run.h), f"{one}: saved h"
            i, f, g, o = np.split(saved.gates().astype(np.float64), 4, axis=1)
            c_prev = np.empty_like(saved.c, dtype=np.float64)
            for b, rows in enumerate(rows_of(one)):
                c_prev[rows[:1]], c_prev[rows[1:]] = one.c0[b], saved.c[rows[:-1]]
            tolerance = TOLERANCE[dtype] / 10
            assert_close(saved.c, f * c_prev + i * g, tolerance, f"{one} {dtype} c")
            assert_close(saved.h, o * np.tanh(saved.c.astype(np.float64)), tolerance, f"{one} {dtype} h")
            wanted = saved_of(want(one)[0]).gates()
            assert_close(saved.gates(), wanted, TOLERANCE[dtype], f"{one} {dtype} gates")
            if one.gate == "binary":
                assert np.isin(np.hstack([i, f, o]), (0, 1)).all(), f"{one}: a binary gate between 0 and 1"


CHECKS: dict[str, Check] = {
    name: check
    for name, check in sorted((vars(limits) | vars(options) | globals()).items())
    if name.startswith("check_")
}
