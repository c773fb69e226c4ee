"""The queues: requests wait, and one thread computes them, one batch at a time.

Predictions that wait together run together, as one ragged batch without padding. There is no timer: a lone request
starts at once, and batches grow with the load. Long texts have their own queue and thread, so they do not delay short
texts. Explanations run alone: quick ones on one thread, attributions that take seconds on another.

    queue full               429 with Retry-After    not queued
    queue timeout            504                     not computed; an explanation that runs is stopped
    client disconnected      dropped                 not computed; an explanation that runs is stopped
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from gatewise.kernels.native import return_unused_memory
from gatewise.serve.http_error import HTTPError
from gatewise.serve.settings import Settings
from gatewise.system.cancel import Cancelled, cancel_when, check_cancelled

MAX_QUEUED_TOKENS = 16_000_000  # bounds the memory of a queue of long texts


@dataclass(eq=False)
class Job:
    """The work of one request: its inputs, or one function. rejected: called with the reason if it is not computed.
    disconnected: whether the client has closed its connection. path: of input `{}` in the request. tokens: estimated.
    deadline: of `time.monotonic`. outcome: set by the worker thread.
    """

    inputs: Sequence[Any]
    rejected: Callable[[str], None]
    disconnected: Callable[[], bool]
    path: str = ""
    tokens: int = 0
    deadline: float = 0.0
    future: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    outcome: Any = None

    def settle(self, outcome: Any) -> None:
        """End the wait for it with a result or an exception."""
        if self.future.done():  # nobody waits for it
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        elif outcome is None or isinstance(outcome, BaseException):
            self.future.cancel()
        else:
            self.future.set_result(outcome)

    def drop(self, late: str) -> None:
        """Do not compute it, or no further. late: the message if the client still waits."""
        if self.future.done() or self.disconnected():
            self.rejected("disconnected")
            self.settle(HTTPError(499, "disconnected", "the client disconnected"))
        else:
            self.rejected("timeout")
            self.settle(HTTPError(504, "timeout", late))


@dataclass(eq=False)
class BatchQueue:
    """A queue of jobs. `compute(jobs)` runs on `executor` and sets the outcome of each job. observe(size, seconds) is
    called after each batch. size, tokens: queued inputs and their tokens.

    A request that is larger than `limits.max_batch` or `max_batch_tokens` runs alone. None may be larger than the
    queue: `limits.queue` inputs and `MAX_QUEUED_TOKENS`.
    """

    compute: Callable[[list[Job]], None]
    executor: Executor
    limits: Settings
    observe: Callable[[int, float], None] = lambda size, seconds: None
    size: int = 0
    tokens: int = 0
    _jobs: deque[Job] = field(default_factory=deque)
    _busy: bool = False
    _timer: asyncio.TimerHandle | None = None
    _seconds_per_token: float = 1e-6  # moving average

    async def run(self, job: Job) -> Any:
        """Queue a job and wait for its outcome. Raises HTTPError (429, 504), and the error of the inputs."""
        loop = asyncio.get_running_loop()
        if self.size + len(job.inputs) > self.limits.queue or self.tokens + job.tokens > MAX_QUEUED_TOKENS:
            job.rejected("queue_full")
            wait = str(max(1, min(60, math.ceil(self.tokens * self._seconds_per_token))))
            raise HTTPError(429, "busy", "the queue is full", headers=((b"retry-after", wait.encode()),))
        job.deadline = time.monotonic() + self.limits.queue_timeout
        self._jobs.append(job)
        self.size += len(job.inputs)
        self.tokens += job.tokens
        if self._timer is None:
            self._timer = loop.call_later(self.limits.queue_timeout, self._expire)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._start)  # later in this round: requests that the loop reads now join the batch
        return await job.future

    def _start(self) -> None:
        """Start the next batch: jobs in order of arrival, as many as fit."""
        loop, limits = asyncio.get_running_loop(), self.limits
        batch: list[Job] = []
        size = tokens = 0
        while self._jobs:
            job = self._jobs[0]
            is_full = size + len(job.inputs) > limits.max_batch or tokens + job.tokens > limits.max_batch_tokens
            if batch and is_full:
                break
            self._pop()
            if job.future.done() or job.disconnected() or job.deadline <= time.monotonic():
                job.drop(_WAITED)
            else:
                batch.append(job)
                size, tokens = size + len(job.inputs), tokens + job.tokens
        self._busy = bool(batch)
        if batch:
            started = loop.time()
            done = loop.run_in_executor(self.executor, self.compute, batch)
            done.add_done_callback(lambda done: self._finish(done, batch, size, tokens, loop.time() - started))

    def _finish(self, done: asyncio.Future[None], batch: list[Job], size: int, tokens: int, seconds: float) -> None:
        self._start()  # first: the worker thread is idle
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        for job in batch:
            if isinstance(job.outcome, Cancelled):
                job.drop(f"the explanation was not ready after {self.limits.queue_timeout:g} s and was stopped")
            job.settle(job.outcome if error is None else error)
        self._seconds_per_token += 0.1 * (seconds / max(1, tokens) - self._seconds_per_token)
        self.observe(size, seconds)

    def _expire(self) -> None:
        """Reject the queued jobs whose deadline has passed; the first job is the oldest one."""
        while self._jobs and self._jobs[0].deadline <= time.monotonic():
            self._pop().drop(_WAITED)
        left = self._jobs[0].deadline - time.monotonic() if self._jobs else 0.0
        self._timer = asyncio.get_running_loop().call_later(left, self._expire) if self._jobs else None

    def _pop(self) -> Job:
        job = self._jobs.popleft()
        self.size -= len(job.inputs)
        self.tokens -= job.tokens
        return job


_WAITED = "the request waited too long in the queue; nothing was computed"


class ExplainQueue(BatchQueue):
    """Computations that run alone on a thread of their own, at most `limit` of which may wait, each for at most
    `timeout` seconds. Between its batches, a computation checks whether anybody still waits for it
    (gatewise.system.cancel). returns_memory: after each one the memory that it used goes back to the system.
    """

    def __init__(
        self, name: str, settings: Settings, limit: int, timeout: float, *, returns_memory: bool = False
    ) -> None:
        limits = replace(settings, queue=limit, queue_timeout=timeout, max_batch=1)
        super().__init__(self._explain, ThreadPoolExecutor(1, name), limits)
        self._returns_memory = returns_memory

    async def explain(
        self, compute: Callable[[], Any], rejected: Callable[[str], None], disconnected: Callable[[], bool]
    ) -> Any:
        """The result of `compute`, which is not None. Raises HTTPError (429, 499, 504), and what `compute` raises."""
        return await self.run(Job([compute], rejected, disconnected))

    def _explain(self, jobs: list[Job]) -> None:
        [job] = jobs
        try:
            with cancel_when(lambda: job.future.done() or job.disconnected() or job.deadline <= time.monotonic()):
                check_cancelled()
                job.outcome = job.inputs[0]()
        except Exception as error:
            job.outcome = error
        finally:
            if self._returns_memory:
                return_unused_memory()
