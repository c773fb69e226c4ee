"""The number of threads of NumPy's products during training, and after it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from gatewise.errors import InputError
from gatewise.kernels.threads import one_blas_thread


def counts() -> set[int]:
    """The numbers of threads of all BLAS libraries that are loaded."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    with threadpool_limits(2, user_api="blas"):
        if counts() != {2}:
            pytest.skip("NumPy's BLAS has no number of threads here")
        yield


def test_one_thread_inside_and_as_before_outside() -> None:
    with one_blas_thread():
        assert counts() == {1}
        with one_blas_thread():
            assert counts() == {1}
        assert counts() == {1}
    assert counts() == {2}


def test_an_error_restores_it_too() -> None:
    with pytest.raises(InputError), one_blas_thread():
        raise InputError("any")
    assert counts() == {2}


def test_blocks_that_overlap() -> None:
    """As those of two runs in two threads: the first to enter leaves first, and the other still has one thread."""
    one, other = one_blas_thread(), one_blas_thread()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert counts() == {1}
    other.__exit__(None, None, None)
    assert counts() == {2}
