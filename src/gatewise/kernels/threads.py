"""Threads: their number per call, calls at the same time, and the threads of NumPy.

The number follows from the processors that the process may use, and from GATEWISE_THREADS or OMP_NUM_THREADS. All of
them can change while a process runs, so each call asks again.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from gatewise.errors import InputError, quote
from gatewise.system.processes import available_processors, call_after_fork

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

MOST_THREADS = 1024
_worker: ThreadPoolExecutor | None = None
_blas_lock = threading.Lock()
_blas_limits = ExitStack()  # of all blocks that are entered: the number of threads belongs to the process
_blas_entered = 0
_blas_modules = 0  # that were imported when the threads were last limited
T = TypeVar("T")
ThreadMap = Callable[..., Iterator[Any]]
"""`map`, on threads."""


def threads() -> int:
    """Threads per call: GATEWISE_THREADS, or as many as the thread's affinity and the process's control groups allow,
    but at most OMP_NUM_THREADS, which joblib sets in its workers.

    Raises InputError for an invalid GATEWISE_THREADS.
    """
    setting = os.environ.get("GATEWISE_THREADS")
    if not setting:
        return min(available_processors(), openmp_limit())
    if not (setting.isascii() and setting.isdigit() and 1 <= int(setting[:9]) <= MOST_THREADS):
        raise InputError(f"GATEWISE_THREADS must be a number from 1 to {MOST_THREADS}, not {quote(setting)}")
    return int(setting)


def openmp_limit() -> int:
    """OMP_NUM_THREADS; in a list such as "4,2" the first number, that of the outer level. MOST_THREADS for a value that
    is no number, which OpenMP ignores too.
    """
    outer = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if not outer.isascii() or not outer.isdigit() or int(outer[:9]) == 0:
        return MOST_THREADS
    return min(int(outer[:9]), MOST_THREADS)


def at_once(calls: int) -> bool:
    """Whether so many calls of the kernel should run at the same time, on one thread each.

    With two or three threads this is faster than one call after the other on all threads: no thread waits for another,
    and the weights are packed once. The pool of the native kernel works on one call at a time, so calls with several
    threads each would wait for each other.
    """
    return calls == 2 and 2 <= threads() < 4


def concurrently(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """The results of the tasks, which run at the same time where `at_once` returns true. This is faster for tasks that
    release the interpreter's lock, as the native kernel does. Raises the exception of a task.
    """
    global _worker
    if not at_once(len(tasks)):
        return [task() for task in tasks]
    if _worker is None:
        from concurrent.futures import ThreadPoolExecutor  # the start of a plain prediction does not wait for it

        _worker = ThreadPoolExecutor(1, thread_name_prefix="gatewise")
        call_after_fork(_forget_worker)  # a forked child has none of the threads
    second = _worker.submit(tasks[1])
    try:
        first = tasks[0]()
    except BaseException:
        second.exception()  # waits for the second task, which may still use the arrays
        raise
    return [first, second.result()]


@contextmanager
def thread_pool(count: int) -> Iterator[ThreadMap]:
    """`map` on so many threads, for work that releases the interpreter's lock. With one thread it runs on the caller's:
    Pyodide has no other threads.
    """
    if count == 1:
        yield map
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(count) as pool:
        yield pool.map


def _forget_worker() -> None:
    global _worker
    _worker = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run NumPy's matrix products with one thread inside the block, in all threads of the process. Blocks may overlap:
    the end of the last one restores the number of threads from before the first one.

    Threads of OpenBLAS spin while they wait for each other. Next to one busy process on two cores, products of some
    hundred columns take ten times as long with two threads as with one. Also, the results do not depend on the number
    of processors. A caller that wants several threads divides the work itself.
    """
    global _blas_entered, _blas_modules
    from threadpoolctl import threadpool_limits  # the extra [train]

    with _blas_lock:
        # An inner block limits libraries that were loaded since the outer one began. threadpoolctl reads the names of
        # all libraries of the process for that, which takes longer than a small fit: only after an import.
        if not _blas_entered or len(sys.modules) != _blas_modules:
            _blas_modules = len(sys.modules)
            _blas_limits.enter_context(threadpool_limits(1, user_api="blas"))
        _blas_entered += 1
    try:
        yield
    finally:
        with _blas_lock:
            _blas_entered -= 1
            if not _blas_entered:
                _blas_limits.close()
