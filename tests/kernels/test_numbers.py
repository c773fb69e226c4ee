"""Numbers of the native kernel: activations, denormals, ten thousand steps.

The same bits for any threads and any batch: the attack `equal-bits` of trust.
"""

from functools import cache

import numpy as np
import pytest

from gatewise.kernels import LSTMCall, native
from gatewise.kernels.native import Native
from tests.kernels.batches import HERE, both, given, needs_native, same_bits
from tests.kernels.cases import Case, draw, want
from tests.kernels.close import BACKWARD, FORWARD, assert_same
from tests.refusals import assert_refused

pytestmark = needs_native


def test_a_share_that_another_thread_takes_over_has_the_same_bits() -> None:
    """One sequence is far longer than all others: the second thread ends early and takes over the first one's share."""
    arrays = given(units=130, batch=33, longest=1)
    arrays["lengths"] = np.array([2000] + [10] * 32)
    arrays["index"] = np.arange(2320, dtype=np.int32) % 6
    one, two = (both(Native(threads=threads), arrays) for threads in (1, 2))
    assert same_bits(one, two)
    assert all(same_bits(two, both(Native(threads=2), arrays), names="") for _ in range(5))


@pytest.mark.parametrize("name", HERE)
def test_activations_are_right_relatively(name: str) -> None:
    small = np.geomspace(1e-37, 1, 100_001)
    dense = np.arange(*np.array([2**-7, 16], np.float32).view(np.int32), 211, dtype=np.int32).view(np.float32)
    x = np.concatenate([np.linspace(-85, 85, 300_001), small, -small, dense, -dense]).astype(np.float32)
    wide = x.astype(np.float64)
    sigmoid, tanh = native._extension().activate(name, x)
    assert np.max(np.abs(sigmoid * (1 + np.exp(-wide)) - 1)) < 2.2e-7  # two ulp are 2.4e-7 at most
    assert np.max(np.abs(tanh - np.tanh(wide)) / np.abs(np.where(wide == 0, 1, np.tanh(wide)))) < 2.2e-7
    x = np.array([np.inf, -np.inf, 3e38, -3e38, 88.5, -88.5, 0.0], np.float32)
    sigmoid, tanh = native._extension().activate(name, x)
    assert np.max(np.abs(sigmoid - [1, 0, 1, 0, 1, 0, 0.5])) < 1e-38
    assert tanh.tolist() == [1, -1, 1, -1, 1, -1, 0]
    for value in native._extension().activate(name, np.full(19, np.nan, np.float32)):
        assert np.isnan(value).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_denormals_cost_nothing_and_the_callers_mode_stays(threads: int) -> None:
    """Gradients that vanish to below 1e-38 give zeros, and arithmetic outside of the kernel still has denormals."""
    arrays = given(units=100, batch=24, longest=4)
    kernel = Native(threads=threads)
    saved = kernel.forward(LSTMCall(**arrays)).saved
    tiny = np.full_like(saved.h0, 1e-39)
    back = kernel.backward(saved, None, tiny, tiny)
    rows = arrays["lengths"] > 0
    assert not back.dh0[rows].any()
    assert np.array_equal(back.dh0[~rows], tiny[~rows])  # copied, not computed
    assert denormals_count()
    assert_refused("weight_hh", kernel.forward, LSTMCall(**{**given(), "weight_hh": np.zeros((3, 3), np.float32)}))
    assert denormals_count(), "after an error, too"


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
    assert (np.abs(out.saved.c) > 1e-3).all()
    assert not out.h.any()
    assert denormals_count()


@cache
def ten_thousand_steps(seed: int, batch: int, indexed: bool) -> Case:
    return draw(seed, batch, 21, False, "sigmoid", indexed, longest=10_000)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("threads", [1, 3])
def test_ten_thousand_steps(name: str, threads: int) -> None:
    one, kernel = ten_thousand_steps(12, 4, indexed=True), Native(isa=name, threads=threads)
    assert_same(one.forward(kernel, "float32"), want(one)[0], FORWARD, 1e-5, "10,000 steps")
    assert_same(one.backward(kernel, "float32"), want(one)[1], BACKWARD, 2e-5, "10,000 steps")
