"""Threads of NumPy's matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """NumPy's matrix products with one thread inside the block, in all threads of the process.

    Threads of OpenBLAS spin while they wait for each other: beside one busy process on two cores, products of some
    hundred columns take ten times as long with two threads as with one. Also, results do not depend on the number of
    processors. A caller that wants threads shares out pieces of the work itself.
    """
    from threadpoolctl import threadpool_limits  # the extra [train]

    with threadpool_limits(1, user_api="blas"):
        yield
