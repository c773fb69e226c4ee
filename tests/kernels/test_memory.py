"""Whose memory it is: the arena, results that outlive a call, inputs that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from gatewise.kernels import LSTMCall, native
from gatewise.kernels.native import Native
from tests.kernels.batches import both, given, needs_native

pytestmark = needs_native


@pytest.fixture
def empty_arena() -> Iterator[Callable[[], int]]:
    extension = native._extension()
    extension.set_cache_limit(0)
    extension.set_cache_limit(1 << 30)
    yield extension.cached_bytes
    extension.set_cache_limit(0)
    extension.set_cache_limit(1 << 30)


def test_memory_is_used_again_and_given_back_on_demand(empty_arena: Callable[[], int]) -> None:
    arrays = given(units=64, batch=20, longest=30)
    out = Native().forward(LSTMCall(**arrays))
    address = out.h.ctypes.data
    kept = empty_arena()
    del out
    assert empty_arena() > kept
    again = Native().forward(LSTMCall(**arrays))
    assert again.h.ctypes.data == address
    assert again.h.ctypes.data % 64 == 0
    assert again.saved is not None
    assert again.saved.packed_gates.ctypes.data % 64 == 0
    want = Native().forward(LSTMCall(**arrays)).h
    native._extension().set_cache_limit(0)
    assert empty_arena() == 0
    assert np.array_equal(again.h, want)  # what is in use stays


def test_unused_memory_returns_to_the_system(empty_arena: Callable[[], int]) -> None:
    arrays = given(units=64, batch=20, longest=30)
    used, unused = (Native().forward(LSTMCall(**arrays)) for _ in range(2))
    want = used.h.copy()
    del unused
    assert empty_arena() > 0
    native.return_unused_memory()
    assert empty_arena() == 0
    assert np.array_equal(used.h, want)
    del used
    assert empty_arena() > 0, "the arena works as before"


def test_the_arena_is_bounded(empty_arena: Callable[[], int]) -> None:
    native._extension().set_cache_limit(100_000)
    outs = [Native().forward(LSTMCall(**given(units=64, batch=20, longest=30))) for _ in range(5)]
    del outs
    assert empty_arena() <= 100_000


def test_an_array_outlives_the_call_and_the_others() -> None:
    out = Native().forward(LSTMCall(**given()))
    want = out.h_T.copy()
    h_T = out.h_T
    del out
    for seed in range(3):
        Native().forward(LSTMCall(**given(seed=seed)))
    assert np.array_equal(h_T, want)


def test_inputs_are_read_where_they_are_and_never_written() -> None:
    arrays = given()
    before = {name: np.copy(a) for name, a in arrays.items() if a is not None}
    for array in arrays.values():
        array.flags.writeable = False
    out, _ = both(Native(), arrays)
    assert all(np.array_equal(arrays[name], copy) for name, copy in before.items())
    assert out.saved is not None
    assert out.saved.index is arrays["index"]
    assert out.saved.weight_hh is arrays["weight_hh"]
