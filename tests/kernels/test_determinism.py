"""Bit-equal results for any number of threads, any batch and concurrent calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gatewise.kernels import LSTMCall
from gatewise.kernels.native import Native
from gatewise.kernels.reference import Reference
from tests.kernels.batches import HERE, both, given, needs_native, same_bits

pytestmark = needs_native


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("rows", [6, None])
def test_the_number_of_threads_changes_only_the_order_of_the_weights_sum(name: str, rows: int | None) -> None:
    arrays = given(units=130, batch=33, longest=40, rows=rows)  # enough work for four threads
    one = both(Native(isa=name, threads=1), arrays)
    four = both(Native(isa=name, threads=4), arrays)
    assert same_bits(one, four)
    assert same_bits(four, both(Native(isa=name, threads=4), arrays), names="")
    assert not np.array_equal(one[1].dweight_hh, four[1].dweight_hh), "one thread ran: this test saw nothing"
    error = np.abs(one[1].dweight_hh - four[1].dweight_hh).max() / np.abs(one[1].dweight_hh).max()
    assert error < 1e-5


def test_a_share_that_another_thread_takes_over_has_the_same_bits() -> None:
    """One sequence is far longer than all others: the second thread ends early and takes over the first one's share."""
    arrays = given(units=130, batch=33, longest=1)
    arrays["lengths"] = np.array([2000] + [10] * 32)
    arrays["index"] = np.arange(2320, dtype=np.int32) % 6
    one, two = (both(Native(threads=threads), arrays) for threads in (1, 2))
    assert same_bits(one, two)
    assert all(same_bits(two, both(Native(threads=2), arrays), names="") for _ in range(5))


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("units", [37, 100])
def test_a_sequence_does_not_depend_on_its_batch(name: str, units: int) -> None:
    kernel, arrays = Native(isa=name, threads=1), given(units=units, batch=70, longest=12)
    whole = kernel.forward(LSTMCall(**arrays))
    ends = np.cumsum(arrays["lengths"])
    for b in range(0, 70, 9):
        rows = slice(ends[b] - arrays["lengths"][b], ends[b])
        one = {n: arrays[n][b : b + 1] for n in ("lengths", "h0", "c0")} | {"index": arrays["index"][rows]}
        alone = kernel.forward(LSTMCall(arrays["pre"], weight_hh=arrays["weight_hh"], **one))
        assert np.array_equal(alone.h, whole.h[rows])
        assert np.array_equal(alone.c_T[0], whole.c_T[b])


def test_calls_from_many_threads_at_once() -> None:
    kernel = Native(threads=3)
    batches = [given(units=100, seed=seed, batch=20, longest=30) for seed in range(12)]
    alone = [both(kernel, arrays) for arrays in batches]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda arrays: both(kernel, arrays), batches))
    assert all(same_bits(a, b, names="") for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("size", [1, 64, 65, 150])
def test_more_sequences_than_run_side_by_side(name: str, size: int) -> None:
    """Groups and chunks in the kernel end at 64 and 128 rows; lengths cross both."""
    arrays = given(units=21, batch=size, longest=5)
    out, back = both(Native(isa=name, threads=1), arrays)
    wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in arrays.items()}
    oracle = Reference().forward(LSTMCall(**wide))
    rng = np.random.default_rng(8)
    grads = [rng.normal(size=a.shape).astype(np.float32).astype(np.float64) for a in (out.h, out.h_T, out.c_T)]
    assert oracle.saved is not None
    want = [*oracle[:3], *Reference().backward(oracle.saved, *grads)]
    for ours, theirs in zip([*out[:3], *back], want, strict=True):
        assert np.abs(ours - theirs).max(initial=0) <= 1e-5 * np.abs(theirs).max(initial=1e-30)
