"""Runs with held gates, for every kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.cell import applied_gates, sigmoid
from gatewise.kernels import Kernel, LSTMCall
from gatewise.kernels.native import Native, isas
from gatewise.kernels.ragged import starts_of
from gatewise.kernels.reference import Reference
from tests.kernels.cases import draw
from tests.kernels.close import saved_of

KERNELS: list[Kernel] = [Reference(), *(Native(isa=isa, threads=threads) for isa in isas() for threads in (1, 2))]
each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda one: f"{one.name}-{getattr(one, '_isa', '')}")


def given(units: int, dtype: str = "float32", indexed: bool = True) -> dict[str, Any]:
    """A call in which a step holds none of the gates, about a third of them, or all of them."""
    one, rng = draw(units, 8, units, False, "sigmoid", indexed, longest=30), np.random.default_rng(units)
    arguments = one.arrays(dtype)
    values = rng.integers(0, 2, (3, 4 * units)).astype(dtype)
    values[0], values[1, rng.uniform(size=4 * units) < 2 / 3] = np.nan, np.nan
    return {**arguments, "held": (rng.integers(0, 3, arguments["lengths"].sum()).astype(np.int32), values)}


@pytest.mark.parametrize("gate", ["sigmoid", "binary"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("units", [1, 7, 16, 37])
@each_kernel
def test_each_step_has_its_held_gates_and_computes_the_others(
    kernel: Kernel, units: int, reverse: bool, gate: Any
) -> None:
    dtype, close = ("float64", 1e-12) if kernel.name == "reference" else ("float32", 5e-6)
    arguments = given(units, dtype, indexed=not reverse)
    rows, values = arguments["held"]
    found = kernel.forward(LSTMCall(**arguments, reverse=reverse, gate=gate))
    saved, held = saved_of(found), values[rows]  # (N, 4H)
    h_before, c_before = (np.roll(states, -1 if reverse else 1, axis=0) for states in (found.h, found.c))
    for n, (start, length) in enumerate(zip(starts_of(saved.lengths), saved.lengths, strict=True)):
        if length:
            first = start + length - 1 if reverse else start
            h_before[first], c_before[first] = saved.h0[n], saved.c0[n]
            np.testing.assert_array_equal(found.h_T[n], found.h[start if reverse else start + length - 1])
    pre = arguments["pre"] if saved.index is None else arguments["pre"][saved.index]
    free = np.split(pre + h_before @ saved.weight_hh.T, 4, axis=1)
    free = np.concatenate([sigmoid(free[0]), sigmoid(free[1]), np.tanh(free[2]), sigmoid(free[3])], axis=1)
    gates = saved.gates()
    clear = np.isnan(held) & ((gate == "sigmoid") | (np.abs(free - 0.5) > close))  # rounding does not decide
    np.testing.assert_allclose(gates[clear], applied_gates(free, gate)[clear], atol=close)
    np.testing.assert_array_equal(gates[~np.isnan(held)], held[~np.isnan(held)])
    i, f, g, o = np.split(gates, 4, axis=1)
    np.testing.assert_allclose(found.c, f * c_before + i * g, atol=close)
    np.testing.assert_allclose(found.h, o * np.tanh(found.c), atol=close)


@each_kernel
def test_a_row_without_values_holds_nothing(kernel: Kernel) -> None:
    arguments = given(37)
    rows, values = arguments["held"]
    found = kernel.forward(LSTMCall(**{**arguments, "held": (np.zeros_like(rows), values)}))
    plain = kernel.forward(LSTMCall(**{**arguments, "held": None}))
    for one, other in zip(found[:3], plain[:3], strict=True):
        np.testing.assert_array_equal(one, other)
