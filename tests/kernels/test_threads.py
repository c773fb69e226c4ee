"""How many threads a call may use, and NumPy's products during training."""

import os
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from gatewise.errors import InputError
from gatewise.kernels import native, threads
from gatewise.kernels.native import Native
from tests.kernels.batches import needs_native


def test_threads_follow_the_environment_and_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", "7")
    assert native.threads() == 7
    monkeypatch.delenv("GATEWISE_THREADS")
    monkeypatch.setattr(threads, "available_processors", lambda: 3)
    for limit, expected in {"": 3, "2": 2, " 1, 4 ": 1, "8": 3, "0": 3, "-1": 3, "many": 3}.items():
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        assert native.threads() == expected
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(threads, "available_processors", lambda: 5000)
    assert native.threads() == threads.MOST_THREADS


@needs_native
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "1025", "9" * 30, "²"])
def test_a_bad_number_of_threads_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", value)
    with pytest.raises(InputError, match="GATEWISE_THREADS must be a number from 1 to 1024"):
        native.threads()
    if value.isascii() and value.lstrip("-").isdigit():
        with pytest.raises(InputError, match="threads must be from 1 to 1024"):
            Native(threads=int(value))


@pytest.mark.parametrize(("calls", "count", "expected"), [(2, 1, False), (2, 2, True), (2, 3, True), (2, 4, False)])
def test_two_calls_run_at_once_on_two_or_three_threads(
    calls: int, count: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", str(count))
    assert threads.at_once(calls) is expected
    assert not threads.at_once(1)
    assert not threads.at_once(3)


@pytest.mark.parametrize("count", ["1", "2"])
def test_results_have_the_order_of_the_tasks(count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", count)
    ran: list[str] = []

    def task(name: str, seconds: float) -> str:
        time.sleep(seconds)
        ran.append(name)
        return name

    assert threads.concurrently([]) == []
    assert threads.concurrently([partial(task, "alone", 0)]) == ["alone"]
    for first, second in ((0.0, 0.05), (0.05, 0.0)):
        tasks = [partial(task, "one", first), partial(task, "two", second)]
        assert threads.concurrently(tasks) == ["one", "two"]
    three = [partial(task, name, 0) for name in ("a", "b", "c")]
    assert threads.concurrently(three) == ["a", "b", "c"]
    assert sorted(ran) == ["a", "alone", "b", "c", "one", "one", "two", "two"]


def test_both_tasks_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", "2")
    meeting = threading.Barrier(2, timeout=50)  # broken, with an error, unless both come
    caller = threading.get_ident()

    def task() -> bool:
        meeting.wait()
        return threading.get_ident() == caller

    assert threads.concurrently([task, task]) == [True, False]


@pytest.mark.parametrize("count", ["1", "2"])
@pytest.mark.parametrize("fails", ["first", "second", "both"])
def test_an_error_of_either_task_is_raised_after_both_have_ended(
    fails: str, count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWISE_THREADS", count)
    ended: list[str] = []

    def task(name: str, seconds: float) -> None:
        time.sleep(seconds)
        ended.append(name)
        if fails in (name, "both"):
            raise ValueError(name)

    tasks = [partial(task, "first", 0.0), partial(task, "second", 0.05)]
    with pytest.raises(ValueError, match="second" if fails == "second" else "first"):
        threads.concurrently(tasks)
    if count == "2":
        assert sorted(ended) == ["first", "second"]  # nothing uses the arrays any more
    assert threads.concurrently([lambda: 1, lambda: 2]) == [1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_a_worker_of_its_own() -> None:
    # In a process of its own: pytest and torch have threads that a fork had better not see.
    script = """
import os, threading
from gatewise.kernels import threads

def both():
    meeting = threading.Barrier(2, timeout=50)
    def task(number):
        meeting.wait()
        return number
    return threads.concurrently([lambda: task(1), lambda: task(2)]) == [1, 2]

assert both()
child = os.fork()
if child == 0:
    os._exit(0 if both() and both() else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert both()
"""
    environment = os.environ | {"GATEWISE_THREADS": "2"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=60)


def blas_threads() -> set[int]:
    """The numbers of threads of all BLAS libraries that are loaded."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_products_have_one_thread_inside_the_blocks_and_as_many_as_before_outside() -> None:
    """In nested blocks, after an error, and in blocks that overlap, as those of two runs in two threads."""
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("NumPy's BLAS has no number of threads here")
        with threads.one_blas_thread():
            with pytest.raises(InputError), threads.one_blas_thread():
                raise InputError("any")
            assert blas_threads() == {1}
        assert blas_threads() == {2}
        one, other = threads.one_blas_thread(), threads.one_blas_thread()
        one.__enter__()
        other.__enter__()
        one.__exit__(None, None, None)
        assert blas_threads() == {1}
        other.__exit__(None, None, None)
        assert blas_threads() == {2}
