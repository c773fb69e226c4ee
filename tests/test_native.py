"""What is native's own: instruction sets, threads, polynomials, memory. What every kernel must do is in contract/."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError, KernelUnavailable
from gatewise.kernels import native
from gatewise.kernels.contract import Backward, Forward
from gatewise.kernels.native import ISAS, Native
from gatewise.kernels.reference import Reference

pytestmark = pytest.mark.skipif(native.why_not() is not None, reason=f"native: {native.why_not()}")
HERE = native.isas()


def given(units: int = 37, seed: int = 5, batch: int = 11, longest: int = 9, rows: int | None = 6) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest + 1, batch)
    steps = int(lengths.sum())
    return {
        "pre": rng.normal(size=(rows or steps, 4 * units)).astype(np.float32),
        "index": None if rows is None else rng.integers(0, rows, steps).astype(np.int32),
        "lengths": lengths,
        "weight_hh": (rng.normal(size=(4 * units, units)) / np.sqrt(units)).astype(np.float32),
        "h0": rng.normal(size=(batch, units)).astype(np.float32),
        "c0": rng.normal(size=(batch, units)).astype(np.float32),
    }


def both(kernel: Native, arrays: dict[str, Any], seed: int = 8) -> tuple[Forward, Backward]:
    out = kernel.forward(**arrays)
    rng = np.random.default_rng(seed)
    dh, dh_T, dc_T = (rng.normal(size=a.shape).astype(np.float32) for a in (out.h, out.h_T, out.c_T))
    assert out.tape is not None
    return out, kernel.backward(out.tape, dh, dh_T, dc_T)


def same_bits(one: tuple[Forward, Backward], other: tuple[Forward, Backward], names: str = "dweight_hh") -> bool:
    """Whether all results but the gradient `names` are the same bits."""
    forwards = zip(one[0][:3], other[0][:3], strict=True)
    backwards = ((getattr(one[1], n), getattr(other[1], n)) for n in Backward._fields if n not in names.split())
    return all(np.array_equal(a, b) for pairs in (forwards, backwards) for a, b in pairs)


# --- which instruction set


def test_the_best_instruction_set_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWISE_ISA", raising=False)
    assert native.isa() == HERE[0]
    assert HERE[-1] == "portable"
    assert [name for name in ISAS if name in HERE] == list(HERE)


@pytest.mark.parametrize("name", HERE)
def test_the_environment_forces_an_instruction_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_ISA", name)
    assert native.isa() == name
    assert native.why_not() is None
    lanes = {"v4": 16, "v3": 8, "neon": 4, "portable": 4}[name]
    assert Native().lanes(37) == lanes
    out = Native().forward(**given())
    assert out.tape is not None
    assert out.tape.packed_gates.shape[1:] == (-(-37 // lanes), 4, lanes)


@pytest.mark.parametrize(("name", "reason"), [("avx9", "none of that name"), ("V4", "none of that name")])
def test_an_unknown_instruction_set_is_refused(name: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_ISA", name)
    with pytest.raises(KernelUnavailable, match=f"GATEWISE_ISA is '{name}'.*{reason}.*portable"):
        native.isa()
    assert reason in (native.why_not() or "")
    with pytest.raises(KernelUnavailable, match=reason):
        Native(isa=name)


@pytest.mark.skipif(set(HERE) == set(ISAS), reason="this machine runs all of them")
def test_an_instruction_set_that_this_machine_lacks_is_refused() -> None:
    lacking = next(name for name in ISAS if name not in HERE)
    with pytest.raises(KernelUnavailable, match="this machine cannot run it"):
        Native(isa=lacking)


def test_a_tape_of_another_instruction_set_is_refused() -> None:
    tape = Native(isa="portable").forward(**given()).tape
    assert tape is not None
    other = next((name for name in HERE if Native(isa=name).lanes(37) != 4), None)
    if other is None:
        pytest.skip("all instruction sets here have as many lanes")
    zeros = np.zeros_like(tape.h0)
    with pytest.raises(InputError, match=f"instruction set {other} keeps them as"):
        Native(isa=other).backward(tape, None, zeros, zeros)


# --- the polynomials


@pytest.mark.parametrize("name", HERE)
def test_activations_are_right_relatively(name: str) -> None:
    small = np.geomspace(1e-37, 1, 100_001)
    x = np.concatenate([np.linspace(-85, 85, 1_000_001), small, -small]).astype(np.float32)
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


def test_not_a_number_is_not_hidden() -> None:
    arrays = given()
    arrays["pre"][arrays["index"][0], 3] = np.nan
    assert np.isnan(Native().forward(**arrays).h[0]).any()


# --- threads


def test_threads_follow_environment_and_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", "7")
    assert native.threads() == 7
    monkeypatch.delenv("GATEWISE_THREADS")
    monkeypatch.setattr(native, "_quota", lambda: 1024)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    assert native.threads() == 3
    monkeypatch.setattr(native, "_quota", lambda: 2)
    assert native.threads() == 2


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "1025", "9" * 30, "²"])
def test_a_bad_number_of_threads_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", value)
    with pytest.raises(InputError, match="GATEWISE_THREADS must be a number from 1 to 1024"):
        native.threads()
    if value.isascii() and value.lstrip("-").isdigit():
        with pytest.raises(InputError, match="threads must be from 1 to 1024"):
            Native(threads=int(value))


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({"cpu.max": "max 100000"}, []),
        ({"cpu.max": "150000 100000"}, [2]),
        ({"cpu.max": "20000 100000"}, [1]),
        ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, []),
        ({"cpu.cfs_quota_us": "400000", "cpu.cfs_period_us": "100000"}, [4]),
        ({"cpu.max": "nonsense"}, []),
        ({}, []),
    ],
)
def test_control_group_quota(files: dict[str, str], processors: list[int], tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text + "\n")
    assert native._quota_of(tmp_path) == processors


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


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("units", [37, 100])
def test_a_sequence_does_not_feel_what_runs_beside_it(name: str, units: int) -> None:
    kernel, arrays = Native(isa=name, threads=1), given(units=units, batch=70, longest=12)
    whole = kernel.forward(**arrays)
    ends = np.cumsum(arrays["lengths"])
    for b in range(0, 70, 9):
        rows = slice(ends[b] - arrays["lengths"][b], ends[b])
        one = {n: arrays[n][b : b + 1] for n in ("lengths", "h0", "c0")} | {"index": arrays["index"][rows]}
        alone = kernel.forward(arrays["pre"], weight_hh=arrays["weight_hh"], **one)
        assert np.array_equal(alone.h, whole.h[rows])
        assert np.array_equal(alone.c_T[0], whole.c_T[b])


def test_calls_from_many_threads_at_once() -> None:
    kernel = Native(threads=3)
    batches = [given(units=100, seed=seed, batch=20, longest=30) for seed in range(12)]
    alone = [both(kernel, arrays) for arrays in batches]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda arrays: both(kernel, arrays), batches))
    assert all(same_bits(a, b, names="") for a, b in zip(alone, together, strict=True))


def test_the_interpreter_runs_on_during_a_call() -> None:
    """While the kernel works for a good tenth of a second, another thread counts: the GIL is released."""
    arrays = given(units=200, batch=8, longest=2)
    arrays["lengths"] = np.full(8, 500)
    arrays["index"] = np.zeros(4000, np.int32)
    kernel, counts, stop = Native(threads=1, isa="portable"), [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counts[0] += 1
            time.sleep(0.0005)

    counter = threading.Thread(target=count)
    counter.start()
    time.sleep(0.01)
    before, start = counts[0], time.perf_counter()
    kernel.forward(**arrays, keep=False)
    during, took = counts[0] - before, time.perf_counter() - start
    stop.set()
    counter.join()
    assert took > 0.01
    assert during >= 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_threads_of_its_own() -> None:
    # In a process of its own: pytest and torch have threads that a fork had better not see.
    script = """
import os, sys
sys.path[:0] = [{path!r}, {root!r}]
from tests.test_native import Native, both, given, same_bits
kernel, arrays = Native(threads=3), given(units=130, batch=33, longest=40)
before = both(kernel, arrays)
child = os.fork()
if child == 0:
    os._exit(0 if same_bits(before, both(kernel, arrays), names="") else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert same_bits(before, both(kernel, arrays), names="")
"""
    root = Path(__file__).resolve().parents[1]
    script = script.format(path=str(Path(native.__file__).resolve().parents[2]), root=str(root))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_threads_sleep_when_there_is_nothing_to_do() -> None:
    both(Native(threads=3), given(units=130, batch=33, longest=40))
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.1


# --- denormals


@pytest.mark.parametrize("threads", [1, 2])
def test_denormals_cost_nothing_and_the_callers_mode_stays(threads: int) -> None:
    """Gradients that vanish to below 1e-38 give zeros, and arithmetic outside of the kernel still has denormals."""
    arrays = given(units=100, batch=24, longest=4)
    kernel = Native(threads=threads)
    tape = kernel.forward(**arrays).tape
    assert tape is not None
    tiny = np.full_like(tape.h0, 1e-39)
    back = kernel.backward(tape, None, tiny, tiny)
    rows = arrays["lengths"] > 0
    assert not back.dh0[rows].any()
    assert np.array_equal(back.dh0[~rows], tiny[~rows])  # copied, not computed
    assert np.float32(1e-38) * np.float32(0.01) > 0


# --- memory


@pytest.fixture
def empty_arena() -> Iterator[Callable[[], int]]:
    extension = native._extension()
    extension.keep_blocks(0)
    extension.keep_blocks(1 << 30)
    yield extension.kept_bytes
    extension.keep_blocks(0)
    extension.keep_blocks(1 << 30)


def test_memory_is_used_again_and_given_back_on_demand(empty_arena: Callable[[], int]) -> None:
    arrays = given(units=64, batch=20, longest=30)
    out = Native().forward(**arrays)
    address = out.h.ctypes.data
    kept = empty_arena()
    del out
    assert empty_arena() > kept
    again = Native().forward(**arrays)
    assert again.h.ctypes.data == address
    assert again.h.ctypes.data % 64 == 0
    assert again.tape is not None
    assert again.tape.packed_gates.ctypes.data % 64 == 0
    want = Native().forward(**arrays).h
    native._extension().keep_blocks(0)
    assert empty_arena() == 0
    assert np.array_equal(again.h, want)  # what is in use stays


def test_the_arena_is_bounded(empty_arena: Callable[[], int]) -> None:
    native._extension().keep_blocks(100_000)
    outs = [Native().forward(**given(units=64, batch=20, longest=30)) for _ in range(5)]
    del outs
    assert empty_arena() <= 100_000


def test_an_array_outlives_the_call_and_the_others() -> None:
    out = Native().forward(**given())
    want = out.h_T.copy()
    h_T = out.h_T
    del out
    for seed in range(3):
        Native().forward(**given(seed=seed))
    assert np.array_equal(h_T, want)


def test_inputs_are_read_where_they_are_and_never_written() -> None:
    arrays = given()
    before = {name: np.copy(a) for name, a in arrays.items() if a is not None}
    for array in arrays.values():
        array.flags.writeable = False
    out, _ = both(Native(), arrays)
    assert all(np.array_equal(arrays[name], copy) for name, copy in before.items())
    assert out.tape is not None
    assert out.tape.index is arrays["index"]
    assert out.tape.weight_hh is arrays["weight_hh"]


# --- tapes


def test_a_tape_serves_once_and_a_copy_once_more() -> None:
    kernel = Native()
    out = kernel.forward(**given())
    assert out.tape is not None
    copy = out.tape.copy()
    ones = np.ones_like(out.tape.h0)
    first = kernel.backward(out.tape, None, ones, ones)
    with pytest.raises(InputError, match=r"tape: read-only.*Tape.copy"):
        kernel.backward(out.tape, None, ones, ones)
    second = kernel.backward(copy, None, ones, ones)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_call_that_is_refused_leaves_the_tape_fresh() -> None:
    kernel = Native()
    tape = kernel.forward(**given()).tape
    assert tape is not None
    with pytest.raises(InputError, match="dh_T"):
        kernel.backward(tape, None, np.ones((1, 1), np.float32), np.ones_like(tape.h0))
    kernel.backward(tape, None, np.ones_like(tape.h0), np.ones_like(tape.h0))


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
def test_a_tape_that_was_tampered_with_is_refused(change: dict[str, Any], message: str) -> None:
    tape = Native().forward(**given()).tape
    assert tape is not None
    zeros = np.zeros((2 if "lengths" in change else 11, 37), np.float32)
    bad = replace(tape, **{"h0": zeros, "c0": zeros, **change})
    with pytest.raises(InputError, match=message):
        Native().backward(bad, None, zeros, zeros)


def test_float64_is_refused_with_the_reason() -> None:
    wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in given().items()}
    with pytest.raises(InputError, match="kernel 'native' computes in float32, not float64"):
        Native().forward(**wide)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("size", [1, 64, 65, 150])
def test_more_sequences_than_run_side_by_side(name: str, size: int) -> None:
    """Groups and chunks in the kernel end at 64 and 128 rows; lengths cross both."""
    arrays = given(units=21, batch=size, longest=5)
    out, back = both(Native(isa=name, threads=1), arrays)
    wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in arrays.items()}
    oracle = Reference().forward(**wide)
    rng = np.random.default_rng(8)
    grads = [rng.normal(size=a.shape).astype(np.float32).astype(np.float64) for a in (out.h, out.h_T, out.c_T)]
    assert oracle.tape is not None
    want = [*oracle[:3], *Reference().backward(oracle.tape, *grads)]
    for ours, theirs in zip([*out[:3], *back], want, strict=True):
        assert np.abs(ours - theirs).max(initial=0) <= 1e-5 * np.abs(theirs).max(initial=1e-30)
