"""Sequences of ten thousand steps, batched with short ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.kernels.interface import Kernel, LSTMCall
from gatewise.kernels.native import Native
from gatewise.kernels.reference import Reference
from tests.kernels.batches import HERE, needs_native
from tests.kernels.close import BACKWARD, FORWARD, assert_close, saved_of

pytestmark = needs_native
LENGTHS = np.array([3, 10_000, 0, 2_500])


def _arrays(units: int) -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(12)
    steps, size = int(LENGTHS.sum()), len(LENGTHS)
    given = {
        "pre": rng.normal(size=(50, 4 * units)).astype(np.float32),
        "index": rng.integers(0, 50, steps).astype(np.int32),
        "lengths": LENGTHS,
        "weight_hh": (rng.normal(size=(4 * units, units)) / np.sqrt(units)).astype(np.float32),
        "h0": rng.normal(size=(size, units)).astype(np.float32),
        "c0": rng.normal(size=(size, units)).astype(np.float32),
    }
    return given, {"dh_T": given["h0"][::-1].copy(), "dc_T": given["c0"][::-1].copy()}


def _wide(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in arrays.items()}


@pytest.fixture(scope="module")
def wanted() -> tuple[Any, Any, Any, Any]:
    given, gradients = _arrays(21)
    dh = np.random.default_rng(13).normal(size=(int(LENGTHS.sum()), 21)).astype(np.float32)
    run = Reference().forward(LSTMCall(**_wide(given)))
    back = Reference().backward(saved_of(run), dh.astype(np.float64), **_wide(gradients))
    return run, back, (given, gradients), dh


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("threads", [1, 3])
def test_ten_thousand_steps(wanted: tuple[Any, Any, Any, Any], name: str, threads: int) -> None:
    run, back, (given, gradients), dh = wanted
    kernel = Native(isa=name, threads=threads)
    got = kernel.forward(LSTMCall(**given))
    for field in FORWARD:
        assert_close(getattr(got, field), getattr(run, field), 1e-5, field)
    got_back = kernel.backward(saved_of(got), dh, **gradients)
    for field in BACKWARD:
        assert_close(getattr(got_back, field), getattr(back, field), 2e-5, field)


@pytest.mark.parametrize("kernel", [Native(), Reference()], ids=["native", "reference"])
def test_the_gradient_of_the_weights_over_ten_thousand_steps(kernel: Kernel) -> None:
    """The rounding errors of its sum do not grow with the number of steps."""
    rng, units, steps = np.random.default_rng(14), 21, 10_000
    call = {
        "pre": rng.normal(size=(steps, 4 * units)).astype(np.float32),
        "lengths": np.array([steps]),
        "weight_hh": (rng.normal(size=(4 * units, units)) / np.sqrt(units)).astype(np.float32),
        "h0": np.zeros((1, units), np.float32),
        "c0": np.zeros((1, units), np.float32),
    }
    dh, zeros = rng.normal(size=(steps, units)).astype(np.float32), call["h0"]
    got = kernel.backward(saved_of(kernel.forward(LSTMCall(index=None, **call))), dh, zeros, zeros).dweight_hh
    exact = Reference().forward(LSTMCall(index=None, **_wide(call)))
    wide = dh.astype(np.float64), zeros.astype(np.float64), zeros.astype(np.float64)
    wanted = Reference().backward(saved_of(exact), *wide).dweight_hh
    assert got is not None
    assert wanted is not None
    assert np.linalg.norm(got - wanted) < 6e-7 * np.linalg.norm(wanted)
