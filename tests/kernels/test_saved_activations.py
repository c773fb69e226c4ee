"""Saved activations serve one backward pass, and ones that do not fit are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels import LSTMCall
from gatewise.kernels.native import Native
from gatewise.kernels.reference import Reference
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
        ({"lengths": np.array([3, 4])}, "saved: h: expected"),
        ({"lengths": np.array([2**62] * 4 + [0] * 7)}, "lengths: sequence 0 has"),
        ({"pre_rows": 2}, "saved: index: rows must be from 0 to 1"),
        ({"index": np.zeros(3, np.int32)}, "saved: index: expected"),
        ({"index": None}, "no index"),
        ({"c": np.zeros((2, 37), np.float32)}, "saved: c: expected"),
        ({"c": np.zeros((37, 1), np.float32)}, "saved: c: expected"),
        ({"h0": np.zeros((1, 37), np.float32)}, "h0: expected"),
        ({"c0": np.zeros((1, 37), np.float32)}, "c0: expected"),
        ({"c0": np.zeros((11, 37))}, "c0 is float64"),
        ({"mask": np.zeros((1, 37), np.float32)}, "mask: expected"),
        ({"weight_hh": np.zeros((4000, 1000), np.float32)}, "h0: expected"),
        ({"weight_hh": np.zeros((), np.float32)}, "weight_hh: expected"),
        ({"gate": "hard"}, "gate must be"),
        ({"packed_gates": np.zeros((1, 1, 4, 16), np.float32)}, "this kernel stores them as"),
    ],
)
def test_inconsistent_saved_activations_are_refused(change: dict[str, Any], message: str) -> None:
    for kernel in (Native(), Reference()):
        saved = kernel.forward(LSTMCall(**given())).saved
        assert saved is not None
        zeros = np.zeros((len(change.get("lengths", range(11))), 37), np.float32)
        bad = replace(saved, **{"h0": zeros, "c0": zeros, **change})
        with pytest.raises(InputError, match=message):
            kernel.backward(bad, None, zeros, zeros)


def test_float64_is_refused_with_the_reason() -> None:
    wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in given().items()}
    with pytest.raises(InputError, match="kernel 'native' computes in float32, not float64"):
        Native().forward(LSTMCall(**wide))
