"""The lane by itself, with work that the test controls: what runs together, what waits, what is refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from gatewise.serve.batch_queue import Answer, BatchQueue, Job, Limits, cost_of
from gatewise.serve.http_error import HTTPError


class Work:
    """Answers with the inputs themselves, when the gate is open; keeps what ran together."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.told: list[str] = []

    def compute(self, jobs: list[Job]) -> None:
        self.batches.append([item for job in jobs for item in job.inputs])
        assert self.gate.wait(20)
        for job in jobs:
            if "fail" in job.inputs:
                job.outcome = HTTPError(400, "input", "no")
            elif "crash" in job.inputs:
                raise MemoryError
            else:
                job.outcome = Answer(np.array([[float(item)] for item in job.inputs]), [1] * len(job.inputs))

    def batch(self, items: int, seconds: float) -> None:
        self.told.append(f"batch {items}")

    def refused(self, reason: str) -> None:
        self.told.append(reason)


def in_a_lane(test: Callable[[BatchQueue, Work], Awaitable[None]], **changes: Any) -> Work:
    """Run the test with a lane on a thread of its own."""
    limits = Limits(**({"queue": 100, "deadline": 20.0, "max_batch": 8, "max_steps": 1000} | changes))
    work = Work()
    with ThreadPoolExecutor(1) as executor:
        asyncio.run(asyncio.wait_for(test(BatchQueue(work.compute, executor, limits, work), work), 20))
    return work


def job(*inputs: Any, cost: int = 1, gone: Callable[[], bool] = lambda: False) -> Job:
    return Job(inputs, cost, gone)


async def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


async def hold(lane: BatchQueue, work: Work) -> asyncio.Task[Answer]:
    """A job that runs until the gate opens."""
    work.gate.clear()
    first = asyncio.create_task(lane.run(job(0)))
    await until(lambda: work.batches == [[0]])
    return first


def test_what_arrives_together_runs_together() -> None:
    async def test(lane: BatchQueue, work: Work) -> None:
        answers = await asyncio.gather(*[lane.run(job(n, n + 0.5)) for n in range(3)])
        assert [answer.probabilities.ravel().tolist() for answer in answers] == [[n, n + 0.5] for n in range(3)]

    assert in_a_lane(test).batches == [[0, 0.5, 1, 1.5, 2, 2.5]]


def test_what_arrives_during_a_batch_is_the_next_one() -> None:
    async def test(lane: BatchQueue, work: Work) -> None:
        first = await hold(lane, work)
        rest = [asyncio.create_task(lane.run(job(n))) for n in range(1, 6)]
        await until(lambda: lane.items == 5)
        work.gate.set()
        await asyncio.gather(first, *rest)

    assert in_a_lane(test).batches == [[0], [1, 2, 3, 4, 5]]


@pytest.mark.parametrize(
    ("changes", "cost", "batches"),
    [
        ({"max_batch": 2}, 1, [[0], [1, 2], [3, 4], [5]]),
        ({"max_batch": 1}, 1, [[0], [1], [2], [3], [4], [5]]),
        ({"max_steps": 25}, 10, [[0], [1, 2], [3, 4], [5]]),
        ({"max_steps": 5}, 10, [[0], [1], [2], [3], [4], [5]]),  # larger than a batch may be: alone
    ],
)
def test_a_batch_is_bounded_by_items_and_by_steps(changes: Any, cost: int, batches: list[list[int]]) -> None:
    async def test(lane: BatchQueue, work: Work) -> None:
        first = await hold(lane, work)
        rest = [asyncio.create_task(lane.run(job(n, cost=cost))) for n in range(1, 6)]
        await until(lambda: lane.items == 5)
        work.gate.set()
        answers = await asyncio.gather(first, *rest)
        assert [answer.probabilities[0, 0] for answer in answers] == [0, 1, 2, 3, 4, 5]

    assert in_a_lane(test, **changes).batches == batches


def test_beyond_the_queue_it_is_429() -> None:
    async def test(lane: BatchQueue, work: Work) -> None:
        first = await hold(lane, work)
        rest = [asyncio.create_task(lane.run(job(n, n))) for n in range(1, 3)]
        await until(lambda: lane.items == 4)
        with pytest.raises(HTTPError) as refusal:
            await lane.run(job(7, 8))
        assert refusal.value.status == 429
        assert int(dict(refusal.value.headers)[b"retry-after"]) >= 1
        last = asyncio.create_task(lane.run(job(9)))  # one still fits
        await until(lambda: lane.items == 5)
        work.gate.set()
        await asyncio.gather(first, *rest, last)
        assert (lane.items, lane.steps) == (0, 0)
        assert (await lane.run(job(10))).probabilities[0, 0] == 10

    work = in_a_lane(test, queue=5)
    assert "queue" in work.told
    assert all(7 not in batch for batch in work.batches)


def test_a_deadline_that_passes_in_the_queue_is_504_and_never_computed() -> None:
    async def test(lane: BatchQueue, work: Work) -> None:
        first = await hold(lane, work)
        began = asyncio.get_running_loop().time()
        late = [asyncio.create_task(lane.run(job(n))) for n in (1, 2)]
        found = await asyncio.gather(*late, return_exceptions=True)
        assert [getattr(one, "status", None) for one in found] == [504, 504]
        assert asyncio.get_running_loop().time() - began < 10, "they heard only when the batch before them ended"
        assert lane.items == 0
        work.gate.set()
        await first
        assert (await lane.run(job(3))).probabilities[0, 0] == 3

    work = in_a_lane(test, deadline=0.1)
    assert work.batches == [[0], [3]]
    assert work.told.count("deadline") == 2


def test_who_has_gone_is_dropped() -> None:
    async def test(lane: BatchQueue, work: Work) -> None:
        first = await hold(lane, work)
        gone = asyncio.create_task(lane.run(job(1, gone=lambda: True)))
        cancelled = asyncio.create_task(lane.run(job(2)))
        stays = asyncio.create_task(lane.run(job(3)))
        await until(lambda: lane.items == 3)
        cancelled.cancel()
        work.gate.set()
        assert (await stays).probabilities[0, 0] == 3
        await first
        with pytest.raises(HTTPError):
            await gone

    work = in_a_lane(test)
    assert work.batches == [[0], [3]]
    assert work.told.count("gone") == 2


def test_a_job_that_fails_fails_alone_and_a_crash_takes_its_batch() -> None:
    async def test(lane: BatchQueue, work: Work) -> None:
        found = await asyncio.gather(lane.run(job(1)), lane.run(job("fail")), lane.run(job(2)), return_exceptions=True)
        assert [type(one).__name__ for one in found] == ["Answer", "Refusal", "Answer"]
        found = await asyncio.gather(lane.run(job(3)), lane.run(job("crash")), return_exceptions=True)
        assert [type(one).__name__ for one in found] == ["MemoryError", "MemoryError"]
        assert (await lane.run(job(4))).probabilities[0, 0] == 4

    in_a_lane(test)


def test_all_batches_are_told_of() -> None:
    async def test(lane: BatchQueue, work: Work) -> None:
        for n in range(5):
            await lane.run(job(n, n))

    assert in_a_lane(test).told == ["batch 2"] * 5


def test_costs() -> None:
    assert cost_of(["a" * 50, "b"]) == 12
    assert cost_of([[[1, 2]] * 7, np.zeros((9, 2))]) == 16
