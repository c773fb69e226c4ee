"""The threads of explanations: one for predictions and lines, one for attributions that take seconds.

    queue full               429 with Retry-After    not computed
    queue timeout            504                     stopped after the current batch
    client disconnected      dropped                 stopped after the current batch

A computation checks between its batches whether anybody still waits for it (gatewise.system.cancel).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from gatewise.kernels.native import return_unused_memory
from gatewise.serve.http_error import HTTPError
from gatewise.system.cancel import Cancelled, cancel_when, check_cancelled

T = TypeVar("T")


class ExplainQueue:
    """One thread, and at most `limit` computations that run or wait, each for at most `timeout` seconds.

    returns_memory: after each computation the memory that it used goes back to the system.
    """

    def __init__(self, name: str, limit: int, timeout: float, *, returns_memory: bool = False) -> None:
        self.executor = ThreadPoolExecutor(1, name)
        self.pending = 0
        self._limit = limit
        self._timeout = timeout
        self._returns_memory = returns_memory

    async def run(
        self, compute: Callable[[], T], rejected: Callable[[str], None], disconnected: Callable[[], bool]
    ) -> T:
        """The result of `compute`, run on the thread. rejected(reason) is called for a computation that is refused or
        stopped. Raises HTTPError (429, 499, 504), and what `compute` raises.
        """
        if self.pending >= self._limit:
            rejected("queue_full")
            raise HTTPError(429, "busy", "too many explanations are waiting", headers=((b"retry-after", b"1"),))
        self.pending += 1
        given_up = threading.Event()
        try:
            work = asyncio.get_running_loop().run_in_executor(
                self.executor, self._work, compute, lambda: given_up.is_set() or disconnected()
            )
            async with asyncio.timeout(self._timeout):
                return await work
        except TimeoutError:
            rejected("timeout")
            message = f"the explanation was not ready after {self._timeout:g} s and was stopped"
            raise HTTPError(504, "timeout", message) from None
        except Cancelled:
            rejected("disconnected")
            raise HTTPError(499, "disconnected", "the client disconnected") from None
        finally:
            given_up.set()
            self.pending -= 1

    def _work(self, compute: Callable[[], T], is_cancelled: Callable[[], bool]) -> T:
        try:
            with cancel_when(is_cancelled):
                check_cancelled()
                return compute()
        finally:
            if self._returns_memory:
                return_unused_memory()
