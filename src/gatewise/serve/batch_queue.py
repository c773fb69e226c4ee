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
    """The work of one request: its inputs, or one function.

    rejected: called with the reason if the job is not computed. disconnected: whether the client has closed its
    connection. path: the path of input `{}` in the request. tokens: an estimate. outputs:
    whether all outputs of the network are wanted. deadline: a time of `time.monotonic`.
    outcome: the result or an exception, set by the worker thread.
    """

    inputs: Sequence[Any]
    rejected: Callable[[str], None]
    disconnected: Callable[[], bool]
    path: str = ""
    tokens: int = 0
    outputs: bool = False
    deadline: float = 0.0
    future: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    outcome: Any = None

    def settle(self, outcome: Any) -> None:
        """End the wait for the job with a result or an exception."""
        if self.future.done():  # nobody waits any more
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        elif outcome is None or isinstance(outcome, BaseException):
            self.future.cancel()
        else:
            self.future.set_result(outcome)

    def drop(self, late: str) -> None:
        """Reject the job. late: the message if the client still waits."""
        if self.future.done() or self.disconnected():
            self.rejected("disconnected")
            self.settle(HTTPError(499, "disconnected", "the client disconnected"))
        else:
            self.rejected("timeout")
            self.settle(HTTPError(504, "timeout", late))


@dataclass(eq=False)
class BatchQueue:
    """A queue of jobs. `compute(jobs)` runs on `executor` and sets the outcome of each job. observe(size, seconds) is
    called after each batch. size: the number of queued inputs. tokens: the number of their tokens.

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
            # Retry-After is the time in which the queue empties, from 1 to 60 seconds.
            seconds = math.ceil(self.tokens * self._seconds_per_token)
            retry_after = str(max(1, min(60, seconds)))
            raise HTTPError(429, "busy", "the queue is full", headers=((b"retry-after", retry_after.encode()),))
        job.deadline = time.monotonic() + self.limits.queue_timeout
        self._jobs.append(job)
        self.size += len(job.inputs)
        self.tokens += job.tokens
        if self._timer is None:
            self._timer = loop.call_later(self.limits.queue_timeout, self._expire)
        if not self._busy:
            self._busy = True
            # Later in this round of the loop: requests that the loop reads in the same round join the batch.
            loop.call_soon(self._start)
        return await job.future

    def _start(self) -> None:
        """Start the next batch: jobs in order of arrival, as many as fit."""
        loop = asyncio.get_running_loop()
        batch: list[Job] = []
        size = 0
        tokens = 0
        while self._jobs:
            job = self._jobs[0]
            new_size = size + len(job.inputs)
            new_tokens = tokens + job.tokens
            is_full = new_size > self.limits.max_batch or new_tokens > self.limits.max_batch_tokens
            if is_full and batch:  # a request that is larger than a batch runs alone
                break
            self._pop()
            if job.future.done() or job.disconnected() or job.deadline <= time.monotonic():
                job.drop(_WAITED)
            else:
                batch.append(job)
                size = new_size
                tokens = new_tokens
        self._busy = bool(batch)
        if not batch:
            return
        started = loop.time()
        done = loop.run_in_executor(self.executor, self.compute, batch)
        done.add_done_callback(lambda done: self._finish(done, batch, size, tokens, loop.time() - started))

    def _finish(self, done: asyncio.Future[None], batch: list[Job], size: int, tokens: int, seconds: float) -> None:
        """Settle the jobs of a batch that has been computed."""
        self._start()  # the next batch first: the worker thread is idle
        error: BaseException | None
        if done.cancelled():
            error = asyncio.CancelledError()
        else:
            error = done.exception()
        for job in batch:
            if error is not None:
                job.settle(error)
            elif isinstance(job.outcome, Cancelled):
                job.drop(f"the explanation was not ready after {self.limits.queue_timeout:g} s and was stopped")
            else:
                job.settle(job.outcome)
        self._seconds_per_token += 0.1 * (seconds / max(1, tokens) - self._seconds_per_token)
        self.observe(size, seconds)

    def _expire(self) -> None:
        """Reject the queued jobs whose deadline has passed; the first job is the oldest one."""
        while self._jobs and self._jobs[0].deadline <= time.monotonic():
            self._pop().drop(_WAITED)
        if not self._jobs:
            self._timer = None
            return
        seconds = self._jobs[0].deadline - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _pop(self) -> Job:
        job = self._jobs.popleft()
        self.size -= len(job.inputs)
        self.tokens -= job.tokens
        return job


_WAITED = "the request waited too long in the queue; nothing was computed"


class ExplainQueue(BatchQueue):
    """Computations that run one at a time on a thread of their own. At most `limit` of them wait, each for at most
    `timeout` seconds. Between its batches, a computation checks whether its client still waits
    (gatewise.system.cancel). returns_memory: return the memory of each computation to the system.
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
