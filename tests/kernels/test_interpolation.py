"""Runs on interpolated input rows, and gradients without that of the weights, for every kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels import Kernel, LSTMCall
from gatewise.kernels.native import Native, isas
from gatewise.kernels.reference import Reference
from gatewise.types import Array

KERNELS: list[Kernel] = [Reference(), *(Native(isa=isa, threads=threads) for isa in isas() for threads in (1, 2))]
LENGTHS = np.array([9, 0, 30, 1, 17, 30, 5, 8], dtype=np.int64)


def given(units: int, dtype: str = "float32", indexed: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(units)
    rows, batch = (23 if indexed else int(LENGTHS.sum())), len(LENGTHS)

    def random(*shape: int) -> Array:
        return rng.normal(0, 0.5, shape).astype(dtype)

    return {
        "pre": random(rows, 4 * units),
        "index": rng.integers(0, rows, LENGTHS.sum()).astype(np.int32) if indexed else None,
        "lengths": LENGTHS,
        "weight_hh": (random(4 * units, units) / units**0.5).astype(dtype),
        "h0": random(batch, units),
        "c0": random(batch, units),
        "interpolation": (rng.integers(0, rows, batch).astype(np.int32), rng.uniform(-0.2, 1.2, batch).astype(dtype)),
    }


def expanded(arguments: dict[str, Any]) -> dict[str, Any]:
    """The call with its interpolated rows as an array, one row per step."""
    pre, index, (bases, alphas) = arguments["pre"], arguments["index"], arguments["interpolation"]
    own = pre if index is None else pre[index]
    alpha, base = (np.repeat(part, LENGTHS, axis=0) for part in (alphas[:, None], pre[bases]))
    return {
        **arguments,
        "pre": np.ascontiguousarray(alpha * own + (1 - alpha) * base),
        "index": None,
        "interpolation": None,
    }


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
    assert found.saved is not None
    assert want.saved is not None
    rng = np.random.default_rng(3)
    dh, dh_T, dc_T = (rng.standard_normal(a.shape).astype(dtype) for a in (found.h, found.h_T, found.c_T))
    back = kernel.backward(found.saved, dh, dh_T, dc_T)
    rows = kernel.backward(want.saved, dh, dh_T, dc_T)
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
    plain, base = {**arguments, "interpolation": None}, arguments["interpolation"][0]
    at_one = (base, np.ones(len(LENGTHS), dtype=np.float32))
    found, expected = (kernel.forward(LSTMCall(**a)).h for a in ({**plain, "interpolation": at_one}, plain))
    np.testing.assert_array_equal(found, expected)
    at_zero = (base, np.zeros(len(LENGTHS), dtype=np.float32))
    standing = {**plain, "index": np.repeat(base, LENGTHS)}
    found, expected = (kernel.forward(LSTMCall(**a)).h for a in ({**plain, "interpolation": at_zero}, standing))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: f"{kernel.name}-{getattr(kernel, '_isa', '')}")
def test_without_the_weights_gradient_the_others_are_the_same(kernel: Kernel) -> None:
    arguments = given(37)
    saved_activations = [kernel.forward(LSTMCall(**arguments)).saved for _ in range(2)]
    last = np.random.default_rng(3).standard_normal((2, len(LENGTHS), 37)).astype(np.float32)
    assert saved_activations[0] is not None
    assert saved_activations[1] is not None
    whole = kernel.backward(saved_activations[0], None, *last)
    found = kernel.backward(saved_activations[1], None, *last, with_dweight=False)
    assert whole.dweight_hh is not None
    assert found.dweight_hh is None
    for name in ("dpre", "dh0", "dc0"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


@pytest.mark.parametrize("kernel", KERNELS[:2], ids=lambda kernel: kernel.name)
def test_what_does_not_fit_is_one_clear_line(kernel: Kernel) -> None:
    arguments = given(5)
    base, alpha = arguments["interpolation"]
    for interpolation, line in (
        ((base[:-1], alpha), r"base: expected \(8,\) int32"),
        ((base.astype(np.int64), alpha), "base: expected"),
        ((base + np.int32(23), alpha), "base: rows must be from 0 to 22"),
        ((base, alpha[:3]), r"alpha: expected \(8,\)"),
        ((base, alpha.astype(np.float64)), "alpha is float64"),
    ):
        with pytest.raises(InputError, match=line):
            kernel.forward(LSTMCall(**{**arguments, "interpolation": interpolation}))
