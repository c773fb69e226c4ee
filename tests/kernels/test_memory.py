"""Whose memory it is: the arena, results that outlive a call, inputs that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from gatewise.kernels import LSTMCall, memory, native
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
    used = memory.empty((300, 511), np.float32)
    used.fill(0.25)
    unused = memory.empty((300, 512), np.float32)
    del unused
    assert empty_arena() > 0
    memory.return_unused()
    assert empty_arena() == 0
    assert (used == 0.25).all()
    del used
    assert empty_arena() > 0, "the arena works as before"


def test_the_arena_is_bounded(empty_arena: Callable[[], int]) -> None:
    native._extension().set_cache_limit(100_000)
    outs = [Native().forward(LSTMCall(**given(units=64, batch=20, longest=30))) for _ in range(5)]
    del outs
    assert empty_arena() <= 100_000


def test_numpy_arrays_from_the_arena(empty_arena: Callable[[], int]) -> None:
    first = memory.empty((300, 511), np.float32)
    address, kept = first.ctypes.data, empty_arena()
    part = first[7:9]
    del first
    assert empty_arena() == kept  # a view holds the memory
    del part
    assert empty_arena() > kept
    again = memory.empty_like(np.zeros((300, 511), np.float32))
    assert again.ctypes.data == address
    assert again.flags.c_contiguous
    assert again.flags.writeable


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16"])
@pytest.mark.parametrize("with_extension", [True, False])
@pytest.mark.parametrize("rows", [3, 5_001])  # below and above memory.SMALLEST
def test_operations_equal_those_of_numpy(
    rows: int, with_extension: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_extension:
        monkeypatch.setattr(native, "imported", lambda: (None, "not here"))
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 999, (rows, width)).astype(dtype) for width in (37, 36))
    which = rng.integers(0, rows, 2 * rows)
    np.testing.assert_array_equal(memory.take(a, which), a[which], strict=True)
    np.testing.assert_array_equal(memory.take(a[:, ::2], which), a[:, ::2][which], strict=True)
    np.testing.assert_array_equal(memory.concatenate([a, b], 1), np.concatenate([a, b], 1), strict=True)
    np.testing.assert_array_equal(memory.concatenate([a, a[1:]]), np.concatenate([a, a[1:]]), strict=True)
    np.testing.assert_array_equal(memory.zeros_like(a), np.zeros_like(a), strict=True)
    assert memory.take(a, which[:0]).shape == (0, 37)


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
