"""Runs on interpolated input rows, and gradients without that of the weights, for every kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.kernels import Kernel, LSTMCall
from gatewise.kernels.native import Native, isas
from gatewise.kernels.reference import Reference
from tests.kernels.cases import draw
from tests.kernels.close import saved_of

KERNELS: list[Kernel] = [Reference(), *(Native(isa=isa, threads=threads) for isa in isas() for threads in (1, 2))]


def given(units: int, dtype: str = "float32", indexed: bool = True) -> dict[str, Any]:
    one, rng = draw(units, 8, units, False, "sigmoid", indexed, longest=30), np.random.default_rng(units)
    bases, alphas = rng.integers(0, len(one.x), 8).astype(np.int32), rng.uniform(-0.2, 1.2, 8).astype(dtype)
    return {**one.arrays(dtype), "interpolation": (bases, alphas)}


def expanded(arguments: dict[str, Any]) -> dict[str, Any]:
    """The call with its interpolated rows as an array, one row per step."""
    pre, index, (bases, alphas) = arguments["pre"], arguments["index"], arguments["interpolation"]
    own = pre if index is None else pre[index]
    alpha, base = (np.repeat(part, arguments["lengths"], axis=0) for part in (alphas[:, None], pre[bases]))
    rows = np.ascontiguousarray(alpha * own + (1 - alpha) * base)
    return {**arguments, "pre": rows, "index": None, "interpolation": None}


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("gate", ["sigmoid", "binary"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("units", [1, 7, 16, 37])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: f"{kernel.name}-{getattr(kernel, '_isa', '')}")
def test_equals_the_run_on_expanded_rows(kernel: Kernel, units: int, reverse: bool, gate: Any, indexed: bool) -> None:
    dtype = "float64" if kernel.name == "reference" else "float32"
    close = 1e-12 if dtype == "float64" else 5e-6
    arguments = given(units, dtype, indexed)
    found = kernel.forward(LSTMCall(**arguments, reverse=reverse, gate=gate))
    want = kernel.forward(LSTMCall(**expanded(arguments), reverse=reverse, gate=gate))
    for one, other in zip(found[:3], want[:3], strict=True):
        np.testing.assert_allclose(one, other, atol=close)
    rng = np.random.default_rng(3)
    dh, dh_T, dc_T = (rng.standard_normal(a.shape).astype(dtype) for a in (found.h, found.h_T, found.c_T))
    back = kernel.backward(saved_of(found), dh, dh_T, dc_T)
    rows = kernel.backward(saved_of(want), dh, dh_T, dc_T)
    summed = np.zeros_like(arguments["pre"])
    if arguments["index"] is None:
        summed = rows.dpre
    else:
        np.add.at(summed, arguments["index"], rows.dpre)
    np.testing.assert_allclose(back.dpre, summed, atol=close * np.abs(summed).max())
    np.testing.assert_allclose(back.dh0, rows.dh0, atol=close * np.abs(rows.dh0).max())
    assert np.abs(summed).max() > 0.01


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: f"{kernel.name}-{getattr(kernel, '_isa', '')}")
def test_alpha_0_and_1_are_exact(kernel: Kernel) -> None:
    arguments = given(37)
    (base, _), lengths = arguments["interpolation"], arguments["lengths"]
    for alpha, index in ((1, arguments["index"]), (0, np.repeat(base, lengths))):
        alphas = np.full(len(lengths), alpha, dtype=np.float32)
        found = kernel.forward(LSTMCall(**{**arguments, "interpolation": (base, alphas)})).h
        expected = kernel.forward(LSTMCall(**{**arguments, "index": index, "interpolation": None})).h
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: f"{kernel.name}-{getattr(kernel, '_isa', '')}")
def test_without_the_weights_gradient_the_others_are_the_same(kernel: Kernel) -> None:
    arguments = given(37)
    one, other = (saved_of(kernel.forward(LSTMCall(**arguments))) for _ in range(2))
    last = np.random.default_rng(3).standard_normal((2, *one.h0.shape)).astype(np.float32)
    whole = kernel.backward(one, None, *last)
    found = kernel.backward(other, None, *last, with_dweight=False)
    assert whole.dweight_hh is not None
    assert found.dweight_hh is None
    for name in ("dpre", "dh0", "dc0"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
