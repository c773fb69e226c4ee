"""How many threads a call may use. Those of the pool start when needed, sleep without work and obey affinity."""

import os
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from gatewise.errors import InputError
from gatewise.kernels import LSTMCall, native, threads
from gatewise.kernels.native import Native
from tests.children import run_child
from tests.kernels.batches import given, needs_native
from tests.refusals import assert_refused


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
def test_a_bad_number_of_threads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("0", "-1", "two", "1.5", "1025", "9" * 30, "²"):
        monkeypatch.setenv("GATEWISE_THREADS", value)
        assert_refused("GATEWISE_THREADS must be a number from 1 to 1024", native.threads)
    for number in (0, -1, 1025, int("9" * 30)):
        assert_refused("threads must be from 1 to 1024", Native, threads=number)


def test_two_calls_run_at_once_on_two_or_three_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for count in ("1", "2", "3", "4"):
        monkeypatch.setenv("GATEWISE_THREADS", count)
        assert [threads.at_once(calls) for calls in (1, 2, 3)] == [False, count in "23", False]


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


pytestmark = needs_native
linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
# ThreadSanitizer has a thread of its own, which starts with the first of the program's and wakes up now and then.
counts_threads = pytest.mark.skipif("TSAN_OPTIONS" in os.environ, reason="the sanitizer's thread is in the count")
two_processors = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two processors"
)
ROOT = Path(__file__).resolve().parents[2]


HEAD = """
from gatewise.kernels import native
from gatewise.kernels.native import Native
from tests.kernels.batches import both, given, same_bits
def tasks():
    return set(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else set()

def new():
    return [int(task) for task in tasks() - at_first]

at_first, arrays = tasks(), given(units=130, batch=33, longest=40)
"""


def in_a_process(script: str) -> None:
    """Run it where no other test has started threads, with NumPy's own kept out."""
    head = f"import os, sys\nsys.path[:0] = [{str(Path(native.__file__).resolve().parents[2])!r}, {str(ROOT)!r}]\n"
    quiet = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "GATEWISE_THREADS"} | quiet
    command = [sys.executable, "-c", head + HEAD + script]
    done = run_child(command, env=environment, seconds=60)
    assert done.returncode == 0, done.stderr


def test_the_interpreter_runs_on_during_a_call() -> None:
    """While the kernel works for a good tenth of a second, another thread counts: the GIL is released. On a busy
    machine that thread may not get a processor during a call, so one of some calls counts.
    """
    arrays = given(units=200, batch=8, longest=2)
    arrays["lengths"] = np.full(8, 500)
    arrays["index"] = np.zeros(4000, np.int32)
    kernel, counts, stop = Native(threads=1, isa="portable"), [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counts[0] += 1
            time.sleep(0.0005)

    counter = threading.Thread(target=count)

    def during() -> int:
        before = counts[0]
        kernel.forward(LSTMCall(**arrays), keep=False)
        return counts[0] - before

    counter.start()
    found = any(during() >= 5 for _ in range(100))
    stop.set()
    counter.join()
    assert found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """Those of the kernel, and the worker that takes the second of two tasks."""
    # In a process of its own: pytest and torch have threads that a fork had better not see.
    in_a_process("""
import threading
from gatewise.kernels import threads

def both_tasks():
    meeting = threading.Barrier(2, timeout=50)  # broken, with an error, unless both come
    return threads.concurrently([meeting.wait, meeting.wait])

os.environ["GATEWISE_THREADS"] = "2"
kernel = Native(threads=3)
before = both(kernel, arrays)
assert sorted(both_tasks()) == [0, 1]
child = os.fork()
if child == 0:
    assert sorted(both_tasks()) == sorted(both_tasks()) == [0, 1]
    os._exit(0 if same_bits(before, both(kernel, arrays), names="") else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert sorted(both_tasks()) == [0, 1]
assert same_bits(before, both(kernel, arrays), names="")
""")


@linux
@counts_threads
def test_there_is_no_thread_before_it_is_needed() -> None:
    in_a_process("""
both(Native(threads=1), arrays)
assert not new()
both(Native(threads=3), given(units=4, batch=33, longest=2))  # too little work for a second thread
assert not new()
both(Native(threads=3), arrays)
assert len(new()) == 2
both(Native(threads=2), arrays)
assert len(new()) == 2
""")


@linux
@counts_threads
@two_processors
def test_affinity_that_changes_later_is_obeyed() -> None:
    """A thread that was there before must not run where the process may not any more."""
    in_a_process("""
kernel, all_of_them = Native(threads=3), os.sched_getaffinity(0)
before, ours = both(kernel, arrays), new()
assert len(ours) == 2
assert all(os.sched_getaffinity(task) == all_of_them for task in ours)
for allowed in ({max(all_of_them)}, all_of_them, {min(all_of_them)}):
    os.sched_setaffinity(0, allowed)
    assert native.threads() <= len(allowed)
    assert same_bits(before, both(kernel, arrays), names="")
    assert all(os.sched_getaffinity(task) == allowed for task in ours)
""")


@linux
@counts_threads
@two_processors
def test_threads_are_woken_elsewhere_than_the_caller() -> None:
    """Else Linux wakes a thread on the processor of the caller, and the two share it."""
    in_a_process("""
kernel, all_of_them = Native(threads=2), os.sched_getaffinity(0)
both(kernel, arrays)
(ours,) = new()
assert len(os.sched_getaffinity(ours)) == len(all_of_them) - 1
assert os.sched_getaffinity(ours) < all_of_them
for mine in all_of_them:  # where there is one processor, all share it; where there are enough again, they do not
    os.sched_setaffinity(0, {mine})
    both(kernel, arrays)
    assert os.sched_getaffinity(ours) == {mine}
    os.sched_setaffinity(0, all_of_them)
    both(kernel, arrays)
    assert len(os.sched_getaffinity(ours)) == len(all_of_them) - 1
""")


@linux
@counts_threads
def test_threads_sleep_when_there_is_nothing_to_do() -> None:
    """No processor time to speak of, and no thread of the pool that wakes up now and then to look."""
    in_a_process("""
import resource, time

def used():
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime

def woken():
    count = 0
    for task in new():
        with open(f"/proc/self/task/{task}/status") as status:
            count += sum(int(line.split()[1]) for line in status if "voluntary_ctxt_switches" in line)
    return count

both(Native(threads=3), arrays)
for _ in range(100):  # on a busy machine they fall asleep late
    switches, seconds = woken(), used()
    time.sleep(0.3)
    if woken() == switches:
        break
assert used() - seconds < 0.1, used() - seconds
assert switches > 0
assert woken() == switches, woken() - switches
""")


@linux
@pytest.mark.skipif("ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ, reason="sanitizers need the memory")
def test_a_thread_that_cannot_be_started_is_done_without() -> None:
    """A limit on memory or processes stopped the call with RuntimeError: Resource temporarily unavailable."""
    import resource  # not on Windows

    script = """
import resource
from pathlib import Path
wanted = both(Native(threads=1), arrays)
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + 32 * 2**20
resource.setrlimit(resource.RLIMIT_AS, (size, size))
assert same_bits(wanted, both(Native(threads=4), arrays))
assert not new(), "a thread was started: this test saw nothing"
"""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (64 * 2**20, hard))  # of each thread of the process that follows
    try:
        in_a_process(script)
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def test_a_pool_of_one_thread_is_the_thread_of_the_caller() -> None:
    with threads.thread_pool(1) as run:
        assert list(run(lambda n: (n, threading.get_ident()), range(2))) == [
            (n, threading.get_ident()) for n in range(2)
        ]
    with threads.thread_pool(2) as run:
        assert threading.get_ident() not in run(lambda n: threading.get_ident(), range(2))
