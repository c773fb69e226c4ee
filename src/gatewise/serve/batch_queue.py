"""Dynamic batching: requests that wait together run together, as one ragged batch without padding.

A queue runs one batch at a time on its worker thread. Requests that arrive meanwhile form the next batch. There is no
timer: a lone request starts at once, and batches grow with the load. Long texts have their own queue and thread, so
they do not delay short texts.

    queue full               429 with Retry-After    not queued
    queue timeout            504                     not computed
    client disconnected      dropped                 not computed
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from gatewise.serve.http_error import HTTPError
from gatewise.serve.settings import Settings
from gatewise.types import Array

LONG = 4096  # estimated tokens from which a request goes to the queue for long texts
_CHARACTERS_PER_TOKEN = 5  # an estimate is enough: the text is tokenised later
MAX_QUEUED_TOKENS = 16_000_000  # bounds the memory of a queue of long texts


@dataclass(frozen=True)
class Predictions:
    """Probabilities (n, K) float64 of n inputs, or for regression numbers (n, M), per step by input
    (`target.by_input`); and the time steps of each input.
    """

    values: Array
    steps: list[int]


@dataclass(eq=False)
class Job:
    """The inputs of one request. path: of input `{}` in the request. tokens: estimated. disconnected: whether
    the client has closed its connection. deadline: on the clock of the event loop. outcome: set by the worker thread.
    """

    inputs: Sequence[Any]
    path: str
    tokens: int
    disconnected: Callable[[], bool]
    deadline: float = 0.0
    future: asyncio.Future[Predictions] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    outcome: Predictions | Exception | None = None


class BatchQueue:
    """A queue of jobs. `compute(jobs)` runs on `executor` and sets the outcome of each job. observe(size, seconds) is
    called after each batch, rejected(reason) for each job that was not computed.

    A request that is larger than `settings.max_batch` or `max_batch_tokens` runs alone. None may be larger than the
    queue: `settings.queue` inputs and `MAX_QUEUED_TOKENS`.
    """

    def __init__(
        self,
        compute: Callable[[list[Job]], None],
        executor: Executor,
        settings: Settings,
        observe: Callable[[int, float], None],
        rejected: Callable[[str], None],
    ) -> None:
        self._compute = compute
        self._executor = executor
        self._settings = settings
        self._observe = observe
        self._rejected = rejected
        self._jobs: deque[Job] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._seconds_per_token = 1e-6  # moving average
        self.size = self.tokens = 0  # queued inputs and tokens

    async def run(self, job: Job) -> Predictions:
        """Queue a job and wait for its predictions. Raises HTTPError (429, 504), and the error of the inputs."""
        loop = asyncio.get_running_loop()
        if self.size + len(job.inputs) > self._settings.queue or self.tokens + job.tokens > MAX_QUEUED_TOKENS:
            self._rejected("queue_full")
            wait = str(max(1, min(60, math.ceil(self.tokens * self._seconds_per_token))))
            raise HTTPError(429, "busy", "the queue is full", headers=((b"retry-after", wait.encode()),))
        job.deadline = loop.time() + self._settings.queue_timeout
        self._jobs.append(job)
        self.size += len(job.inputs)
        self.tokens += job.tokens
        if self._timer is None:
            self._timer = loop.call_at(job.deadline, self._expire)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._start)  # later in this round: requests that the loop reads now join the batch
        return await job.future

    def _start(self) -> None:
        """Start the next batch: jobs in order of arrival, as many as fit."""
        loop, settings = asyncio.get_running_loop(), self._settings
        batch: list[Job] = []
        size = tokens = 0
        while self._jobs:
            job = self._jobs[0]
            is_full = size + len(job.inputs) > settings.max_batch or tokens + job.tokens > settings.max_batch_tokens
            if batch and is_full:
                break
            self._pop()
            if job.future.done() or job.disconnected():
                self._rejected("disconnected")
                _settle(job, HTTPError(499, "disconnected", "the client disconnected"))
            elif job.deadline <= loop.time():
                self._time_out(job)
            else:
                batch.append(job)
                size, tokens = size + len(job.inputs), tokens + job.tokens
        self._busy = bool(batch)
        if batch:
            started = loop.time()
            done = loop.run_in_executor(self._executor, self._compute, batch)
            done.add_done_callback(lambda done: self._finish(done, batch, size, tokens, loop.time() - started))

    def _finish(self, done: asyncio.Future[None], batch: list[Job], size: int, tokens: int, seconds: float) -> None:
        self._start()  # first: the worker thread is idle
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        for job in batch:
            _settle(job, job.outcome if error is None else error)
        self._seconds_per_token += 0.1 * (seconds / max(1, tokens) - self._seconds_per_token)
        self._observe(size, seconds)

    def _expire(self) -> None:
        """Reject the queued jobs whose deadline has passed; the first job is the oldest one."""
        loop = asyncio.get_running_loop()
        while self._jobs and self._jobs[0].deadline <= loop.time():
            self._time_out(self._pop())
        self._timer = loop.call_at(self._jobs[0].deadline, self._expire) if self._jobs else None

    def _pop(self) -> Job:
        job = self._jobs.popleft()
        self.size -= len(job.inputs)
        self.tokens -= job.tokens
        return job

    def _time_out(self, job: Job) -> None:
        self._rejected("timeout")
        _settle(job, HTTPError(504, "timeout", "the request waited too long in the queue; nothing was computed"))


def _settle(job: Job, outcome: Predictions | BaseException | None) -> None:
    if job.future.done():  # nobody waits for it
        return
    if isinstance(outcome, Predictions):
        job.future.set_result(outcome)
    elif isinstance(outcome, Exception):
        job.future.set_exception(outcome)
    else:
        job.future.cancel()


def estimate_tokens(inputs: Sequence[Any]) -> int:
    """The approximate number of tokens of texts, or the number of time steps of series."""
    return sum(1 + len(item) // _CHARACTERS_PER_TOKEN if isinstance(item, str) else len(item) for item in inputs)
