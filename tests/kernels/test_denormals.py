"""Denormal numbers: zero inside of the kernel, in every thread, and untouched outside."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels import LSTMCall
from gatewise.kernels.native import Native
from tests.kernels.batches import HERE, given, needs_native

pytestmark = needs_native


@pytest.mark.parametrize("threads", [1, 2])
def test_denormals_cost_nothing_and_the_callers_mode_stays(threads: int) -> None:
    """Gradients that vanish to below 1e-38 give zeros, and arithmetic outside of the kernel still has denormals."""
    arrays = given(units=100, batch=24, longest=4)
    kernel = Native(threads=threads)
    saved = kernel.forward(LSTMCall(**arrays)).saved
    assert saved is not None
    tiny = np.full_like(saved.h0, 1e-39)
    back = kernel.backward(saved, None, tiny, tiny)
    rows = arrays["lengths"] > 0
    assert not back.dh0[rows].any()
    assert np.array_equal(back.dh0[~rows], tiny[~rows])  # copied, not computed
    assert denormals_count()


def denormals_count() -> bool:
    """Whether this thread's arithmetic has denormals at the moment; in arrays, as NumPy's loops do it."""
    return bool((np.full(8, 1e-38, np.float32) * np.float32(0.01) > 0).all())


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_thread_flushes(name: str, threads: int) -> None:
    """h = o tanh(c) with o near 1e-37 and c near 1e-2 would be a denormal: it is zero in every row, whoever ran it."""
    units, rows = 100, 60
    arrays = given(units=units, batch=rows, longest=4)
    arrays["lengths"], arrays["index"] = np.full(rows, 4), np.zeros(4 * rows, np.int32)
    pre = np.zeros((1, 4, units), np.float32)
    pre[:, 2], pre[:, 3] = 0.01, -85.5  # sigmoid(-85.5) = 7e-38
    arrays |= {"pre": pre.reshape(1, -1), "h0": 0 * arrays["h0"], "c0": 0 * arrays["c0"]}
    out = Native(isa=name, threads=threads).forward(LSTMCall(**arrays))
    assert out.saved is not None
    assert (np.abs(out.saved.c) > 1e-3).all()
    assert not out.h.any()
    assert denormals_count()


def test_a_caller_that_flushes_itself_goes_on_doing_so() -> None:
    torch = pytest.importorskip("torch")
    if not torch.set_flush_denormal(True):
        pytest.skip("torch cannot set it here")
    try:
        assert not denormals_count()
        for threads in (1, 3):
            Native(threads=threads).forward(LSTMCall(**given(units=100, batch=24, longest=4)))
            assert not denormals_count()
    finally:
        torch.set_flush_denormal(False)
    assert denormals_count()


def test_an_error_restores_the_mode_too() -> None:
    with pytest.raises(InputError, match="weight_hh"):
        Native().forward(LSTMCall(**{**given(), "weight_hh": np.zeros((3, 3), np.float32)}))
    assert denormals_count()
