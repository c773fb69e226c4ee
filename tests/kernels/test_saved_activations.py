"""Saved activations serve one backward pass, and ones that do not fit are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels import LSTMCall
from gatewise.kernels.native import Native
from tests.kernels.batches import given, needs_native

pytestmark = needs_native


def test_saved_activations_serve_once_and_a_copy_once_more() -> None:
    kernel = Native()
    out = kernel.forward(LSTMCall(**given()))
    assert out.saved is not None
    copy = out.saved.copy()
    ones = np.ones_like(out.saved.h0)
    first = kernel.backward(out.saved, None, ones, ones)
    with pytest.raises(InputError, match=r"saved: read-only.*SavedActivations.copy"):
        kernel.backward(out.saved, None, ones, ones)
    second = kernel.backward(copy, None, ones, ones)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_call_that_is_refused_leaves_the_saved_activations_usable() -> None:
    kernel = Native()
    saved = kernel.forward(LSTMCall(**given())).saved
    assert saved is not None
    with pytest.raises(InputError, match="dh_T"):
        kernel.backward(saved, None, np.ones((1, 1), np.float32), np.ones_like(saved.h0))
    kernel.backward(saved, None, np.ones_like(saved.h0), np.ones_like(saved.h0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": np.array([3, 4])}, "rows of h"),
        ({"pre_rows": 2}, "the index does not fit"),
        ({"index": np.zeros(3, np.int32)}, "the index does not fit"),
        ({"index": None}, "no index"),
        ({"c": np.zeros((2, 37), np.float32)}, "rows of h"),
    ],
)
def test_inconsistent_saved_activations_are_refused(change: dict[str, Any], message: str) -> None:
    saved = Native().forward(LSTMCall(**given())).saved
    assert saved is not None
    zeros = np.zeros((2 if "lengths" in change else 11, 37), np.float32)
    bad = replace(saved, **{"h0": zeros, "c0": zeros, **change})
    with pytest.raises(InputError, match=message):
        Native().backward(bad, None, zeros, zeros)


def test_float64_is_refused_with_the_reason() -> None:
    wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in given().items()}
    with pytest.raises(InputError, match="kernel 'native' computes in float32, not float64"):
        Native().forward(LSTMCall(**wide))
