"""Requests that wait together run together: one ragged batch, nothing padded.

A lane has one batch on its worker thread at a time. Whatever arrives meanwhile waits, and is the next batch; so nobody
waits for a timer, batches grow with the load, and a lone request starts at once. Long texts have a lane of their own,
which keeps them out of the way of short ones.

    queue full                429 with Retry-After     nothing was taken in
    deadline before its turn  504                      never computed
    client gone               dropped                  never computed
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Protocol

from gatewise.serve.http_error import HTTPError
from gatewise.types import Array

__all__ = ["LONG", "Answer", "BatchObserver", "BatchQueue", "Job", "Limits", "cost_of"]

LONG = 4096  # estimated steps from which a request takes the lane of the long ones
_LETTERS = 5  # characters a word, about: an estimate will do, the text is encoded later
_WAITING = 16_000_000  # estimated steps that may wait: bounds the memory of a queue of long texts


@dataclass(frozen=True)
class Answer:
    """Probabilities (n, K) float64 of n inputs, and how many steps each has."""

    probabilities: Array
    steps: list[int]


@dataclass(eq=False)
class Job:
    """One request's inputs. `gone()` says whether its client has left."""

    inputs: Sequence[Any]
    cost: int  # estimated steps
    gone: Callable[[], bool]
    deadline: float = 0.0
    future: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    outcome: Answer | Exception | None = None


@dataclass(frozen=True)
class Limits:
    """queue: inputs that may wait. deadline: seconds. max_batch, max_steps: of one batch; a request that is larger runs
    alone.
    """

    queue: int
    deadline: float
    max_batch: int
    max_steps: int


class BatchObserver(Protocol):
    """Who is told what a lane does."""

    def batch(self, items: int, seconds: float) -> None: ...
    def refused(self, reason: str) -> None: ...


class BatchQueue:
    """A queue and its turn on `executor`. `compute(jobs)` runs there and leaves an outcome in each job."""

    def __init__(
        self, compute: Callable[[list[Job]], None], executor: Executor, limits: Limits, watch: BatchObserver
    ) -> None:
        self._compute = compute
        self._executor = executor
        self._limits = limits
        self._watch = watch
        self._jobs: deque[Job] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._pace = 1e-6  # seconds a step, of late
        self.items = self.steps = 0  # that wait

    async def run(self, job: Job) -> Answer:
        """The answer, when its batch has run. Raises Refusal (429, 504), and what was wrong with the inputs."""
        loop = asyncio.get_running_loop()
        if self.items + len(job.inputs) > self._limits.queue or self.steps + job.cost > _WAITING:
            self._watch.refused("queue")
            wait = str(max(1, min(60, math.ceil(self.steps * self._pace))))
            raise HTTPError(429, "busy", "too much is waiting already", headers=((b"retry-after", wait.encode()),))
        job.deadline = loop.time() + self._limits.deadline
        self._jobs.append(job)
        self.items += len(job.inputs)
        self.steps += job.cost
        if self._timer is None:
            self._timer = loop.call_at(job.deadline, self._expire)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._start)  # not at once: what else the loop reads in this round comes along
        return await job.future

    def _start(self) -> None:
        """The next batch: in the order of arrival, as many as fit."""
        loop = asyncio.get_running_loop()
        batch: list[Job] = []
        items = steps = 0
        while self._jobs:
            job = self._jobs[0]
            many, much = items + len(job.inputs) > self._limits.max_batch, steps + job.cost > self._limits.max_steps
            if batch and (many or much):
                break
            self._pop()
            if job.future.done() or job.gone():
                self._watch.refused("gone")
                _settle(job, HTTPError(499, "gone", "the client left"))
            elif job.deadline <= loop.time():
                self._late(job)
            else:
                batch.append(job)
                items, steps = items + len(job.inputs), steps + job.cost
        self._busy = bool(batch)
        if batch:
            began = loop.time()
            done = loop.run_in_executor(self._executor, self._compute, batch)
            done.add_done_callback(lambda done: self._finish(done, batch, items, steps, loop.time() - began))

    def _finish(self, done: asyncio.Future[None], batch: list[Job], items: int, steps: int, seconds: float) -> None:
        self._start()  # first of all: the worker has nothing to do
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        for job in batch:
            _settle(job, job.outcome if error is None else error)
        self._pace += 0.1 * (seconds / max(1, steps) - self._pace)
        self._watch.batch(items, seconds)

    def _expire(self) -> None:
        """Refuse those whose time has come while they wait; the oldest is always the first."""
        loop = asyncio.get_running_loop()
        while self._jobs and self._jobs[0].deadline <= loop.time():
            self._late(self._pop())
        self._timer = loop.call_at(self._jobs[0].deadline, self._expire) if self._jobs else None

    def _pop(self) -> Job:
        job = self._jobs.popleft()
        self.items -= len(job.inputs)
        self.steps -= job.cost
        return job

    def _late(self, job: Job) -> None:
        self._watch.refused("deadline")
        _settle(job, HTTPError(504, "deadline", "its turn did not come in time; nothing was computed"))


def _settle(job: Job, outcome: Answer | BaseException | None) -> None:
    if job.future.done():  # nobody waits any more
        return
    if isinstance(outcome, Answer):
        job.future.set_result(outcome)
    elif isinstance(outcome, Exception):
        job.future.set_exception(outcome)
    else:
        job.future.cancel()


def cost_of(inputs: Sequence[Any]) -> int:
    """About how many steps these texts, or series, are."""
    return sum(1 + len(item) // _LETTERS if isinstance(item, str) else len(item) for item in inputs)
