"""The polynomials behind sigmoid and tanh."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.kernels import native
from tests.kernels.batches import HERE, needs_native

pytestmark = needs_native


@pytest.mark.parametrize("name", HERE)
def test_activations_are_right_relatively(name: str) -> None:
    small = np.geomspace(1e-37, 1, 100_001)
    dense = np.arange(*np.array([2**-7, 16], np.float32).view(np.int32), 211, dtype=np.int32).view(np.float32)
    x = np.concatenate([np.linspace(-85, 85, 300_001), small, -small, dense, -dense]).astype(np.float32)
    wide = x.astype(np.float64)
    sigmoid, tanh = native._extension().activate(name, x)
    assert np.max(np.abs(sigmoid * (1 + np.exp(-wide)) - 1)) < 2.2e-7  # two ulp are 2.4e-7 at most
    assert np.max(np.abs(tanh - np.tanh(wide)) / np.abs(np.where(wide == 0, 1, np.tanh(wide)))) < 2.2e-7


@pytest.mark.parametrize("name", HERE)
def test_activations_at_the_edges(name: str) -> None:
    x = np.array([np.inf, -np.inf, 3e38, -3e38, 88.5, -88.5, 0.0], np.float32)
    sigmoid, tanh = native._extension().activate(name, x)
    assert np.max(np.abs(sigmoid - [1, 0, 1, 0, 1, 0, 0.5])) < 1e-38
    assert tanh.tolist() == [1, -1, 1, -1, 1, -1, 0]
    for value in native._extension().activate(name, np.full(19, np.nan, np.float32)):
        assert np.isnan(value).all()
