"""Threads of NumPy's matrix products."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_lock = threading.Lock()
_limits = ExitStack()  # of all blocks that are entered: the number of threads belongs to the process
_entered = 0


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """NumPy's matrix products with one thread inside the block, in all threads of the process. Blocks may overlap:
    leaving the last one restores the number of threads from before the first.

    Threads of OpenBLAS spin while they wait for each other: beside one busy process on two cores, products of some
    hundred columns take ten times as long with two threads as with one. Also, results do not depend on the number of
    processors. A caller that wants threads shares out pieces of the work itself.
    """
    global _entered
    from threadpoolctl import threadpool_limits  # the extra [train]

    with _lock:
        _limits.enter_context(threadpool_limits(1, user_api="blas"))  # an inner block limits what is loaded since
        _entered += 1
    try:
        yield
    finally:
        with _lock:
            _entered -= 1
            if not _entered:
                _limits.close()
