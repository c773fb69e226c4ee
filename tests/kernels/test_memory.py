"""Whose memory it is: the arena, results that outlive a call, saved activations that serve one backward pass."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from gatewise.kernels import LSTMCall, native
from gatewise.kernels.native import Native
from gatewise.kernels.reference import Reference
from tests.kernels.batches import HERE, both, given, needs_native
from tests.kernels.close import saved_of
from tests.refusals import assert_refused

pytestmark = needs_native


@pytest.fixture
def empty_arena() -> Iterator[Callable[[], int]]:
    """The bytes that the arena keeps, which is empty at first, and at the end."""
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
    assert saved_of(again).packed_gates.ctypes.data % 64 == 0
    want = Native().forward(LSTMCall(**arrays)).h.copy()
    native.return_unused_memory()
    assert empty_arena() == 0
    assert np.array_equal(again.h, want)  # what is in use stays
    del again
    assert empty_arena() > 0, "the arena works as before"


def test_the_arena_is_bounded(empty_arena: Callable[[], int]) -> None:
    native._extension().set_cache_limit(100_000)
    outs = [Native().forward(LSTMCall(**given(units=64, batch=20, longest=30))) for _ in range(5)]
    del outs
    assert empty_arena() <= 100_000


def test_a_smaller_batch_finds_the_memory_of_a_larger_one(empty_arena: Callable[[], int]) -> None:
    Native().forward(LSTMCall(**given(units=64, batch=64, longest=300)))
    kept = empty_arena()
    for seed in range(3):
        arrays = given(units=64, batch=60, longest=290, seed=seed)
        assert np.isfinite(Native().forward(LSTMCall(**arrays)).h).all()
    assert empty_arena() < 1.3 * kept


@pytest.mark.parametrize(("name", "indexed"), [*((name, True) for name in HERE), (HERE[0], False)])
def test_a_training_step_takes_little_more_than_its_saved_activations(
    empty_arena: Callable[[], int], name: str, indexed: bool
) -> None:
    """All blocks that the arena ever handed out, gradients and scratch with them, against gates + c + h. Without an
    index every step has its own row of dpre (N, 4H): a result that the caller gets, as large as gates.
    """
    arrays = given(units=100, batch=64, longest=450, rows=4300 if indexed else None)
    kernel, ones, kept = Native(isa=name, threads=2), np.ones((64, 100), np.float32), []
    for _ in range(4):
        saved = saved_of(kernel.forward(LSTMCall(**arrays)))
        needed = saved.packed_gates.nbytes + saved.c.nbytes + saved.h.nbytes
        back = kernel.backward(saved, None, ones, ones)
        needed += 0 if indexed else sum(array.nbytes for array in back if array is not None)
        del saved, back
        kept.append(empty_arena())
    assert kept[-1] < 1.3 * needed, f"{kept[-1] / needed:.2f} of what is needed"
    assert kept[-1] == kept[0], "a step of the same size asked for more"


def test_inputs_are_read_where_they_are() -> None:
    arrays = given()
    for array in arrays.values():
        array.flags.writeable = False
    out, _ = both(Native(), arrays)
    assert saved_of(out).index is arrays["index"]
    assert saved_of(out).weight_hh is arrays["weight_hh"]


def test_inconsistent_saved_activations_are_refused() -> None:
    for change, message in (
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
    ):
        for kernel in (Native(), Reference()):
            saved = saved_of(kernel.forward(LSTMCall(**given())))
            zeros = np.zeros((len(change.get("lengths", range(11))), 37), np.float32)
            bad = replace(saved, **{"h0": zeros, "c0": zeros, **change})
            assert_refused(message, kernel.backward, bad, None, zeros, zeros)
