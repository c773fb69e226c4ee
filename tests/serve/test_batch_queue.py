"""The batch queue with work that the test controls: what runs together, waits, is rejected; one job's errors."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gatewise.members.encoded_sequence import steps_of
from gatewise.members.ngrams import Ngrams, keys_of
from gatewise.model.model import Model
from gatewise.ragged import joined
from gatewise.serve import endpoint as module
from gatewise.serve.batch_queue import BatchQueue, Job
from gatewise.serve.endpoint import ModelEndpoint, Predictions
from gatewise.serve.http_error import HTTPError
from gatewise.serve.metrics import Metrics
from gatewise.serve.settings import Settings
from gatewise.target import target_of
from gatewise.types import Task

EVENTS: list[str] = []  # of the queue and its jobs, in one test
Test = Callable[[BatchQueue, "Work"], Awaitable[None]]


class Work:
    """Answers with the inputs themselves, when the gate is open; keeps what ran together."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.events = EVENTS

    def compute(self, jobs: list[Job]) -> None:
        self.batches.append([item for job in jobs for item in job.inputs])
        assert self.gate.wait(20)
        for job in jobs:
            if "fail" in job.inputs:
                job.outcome = HTTPError(400, "input", "no")
            elif "crash" in job.inputs:
                raise MemoryError
            else:
                job.outcome = Predictions(np.array([[float(item)] for item in job.inputs]), [1] * len(job.inputs))

    def batch(self, size: int, seconds: float) -> None:
        self.events.append(f"batch {size}")


def queued(**changes: Any) -> Callable[[Test], Callable[[], None]]:
    """Make a coroutine a test, with a queue whose computations run on a thread of their own."""
    limits = {"queue": 100, "queue_timeout": 20.0, "max_batch": 8, "max_batch_tokens": 1000} | changes

    def of(test: Test) -> Callable[[], None]:
        def run() -> None:
            EVENTS.clear()
            work, settings = Work(), Settings(("model",), **limits)
            with ThreadPoolExecutor(1) as executor:
                queue = BatchQueue(work.compute, executor, settings, work.batch)
                asyncio.run(asyncio.wait_for(test(queue, work), 20))

        return run

    return of


def job(*inputs: Any, tokens: int = 1, disconnected: Callable[[], bool] = lambda: False) -> Job:
    return Job(inputs, EVENTS.append, disconnected, "inputs[{}]", tokens)


async def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


async def hold(queue: BatchQueue, work: Work) -> asyncio.Task[Predictions]:
    """A job that runs until the gate opens."""
    work.gate.clear()
    first = asyncio.create_task(queue.run(job(0)))
    await until(lambda: work.batches == [[0]])
    return first


@pytest.mark.parametrize(
    ("changes", "tokens", "batches"),
    [
        ({}, 1, [[0], [1, 2, 3, 4, 5]]),
        ({"max_batch": 2}, 1, [[0], [1, 2], [3, 4], [5]]),
        ({"max_batch": 1}, 1, [[0], [1], [2], [3], [4], [5]]),
        ({"max_batch_tokens": 25}, 10, [[0], [1, 2], [3, 4], [5]]),
        ({"max_batch_tokens": 5}, 10, [[0], [1], [2], [3], [4], [5]]),  # larger than a batch may be: alone
    ],
)
def test_what_arrives_during_a_batch_is_the_next_one(changes: Any, tokens: int, batches: list[list[int]]) -> None:
    async def test(queue: BatchQueue, work: Work) -> None:
        first = await hold(queue, work)
        rest = [asyncio.create_task(queue.run(job(n, tokens=tokens))) for n in range(1, 6)]
        await until(lambda: queue.size == 5)
        work.gate.set()
        answers = await asyncio.gather(first, *rest)
        assert [answer.logits[0, 0] for answer in answers] == [0, 1, 2, 3, 4, 5]
        assert work.batches == batches

    queued(**changes)(test)()


@queued(queue=5)
async def test_a_full_queue_is_429(queue: BatchQueue, work: Work) -> None:
    first = await hold(queue, work)
    rest = [asyncio.create_task(queue.run(job(n, n))) for n in range(1, 3)]
    await until(lambda: queue.size == 4)
    with pytest.raises(HTTPError) as error:
        await queue.run(job(7, 8))
    assert error.value.status == 429
    assert int(dict(error.value.headers)[b"retry-after"]) >= 1
    last = asyncio.create_task(queue.run(job(9)))  # one still fits
    await until(lambda: queue.size == 5)
    work.gate.set()
    await asyncio.gather(first, *rest, last)
    assert (queue.size, queue.tokens) == (0, 0)
    assert (await queue.run(job(10))).logits[0, 0] == 10
    assert "queue_full" in work.events
    assert all(7 not in batch for batch in work.batches)


@queued(queue_timeout=0.1)
async def test_a_queue_timeout_is_504_and_not_computed(queue: BatchQueue, work: Work) -> None:
    first = await hold(queue, work)
    began = asyncio.get_running_loop().time()
    late = [asyncio.create_task(queue.run(job(n))) for n in (1, 2)]
    found = await asyncio.gather(*late, return_exceptions=True)
    assert [getattr(one, "status", None) for one in found] == [504, 504]
    assert asyncio.get_running_loop().time() - began < 10, "they ended only with the batch before them"
    assert queue.size == 0
    work.gate.set()
    await first
    assert (await queue.run(job(3))).logits[0, 0] == 3
    assert work.batches == [[0], [3]]
    assert work.events.count("timeout") == 2


@queued()
async def test_a_disconnected_client_is_dropped(queue: BatchQueue, work: Work) -> None:
    first = await hold(queue, work)
    left = asyncio.create_task(queue.run(job(1, disconnected=lambda: True)))
    cancelled = asyncio.create_task(queue.run(job(2)))
    stays = asyncio.create_task(queue.run(job(3)))
    await until(lambda: queue.size == 3)
    cancelled.cancel()
    work.gate.set()
    assert (await stays).logits[0, 0] == 3
    await first
    with pytest.raises(HTTPError):
        await left
    assert work.batches == [[0], [3]]
    assert work.events.count("disconnected") == 2


@queued()
async def test_a_job_that_fails_fails_alone_and_a_crash_takes_its_batch(queue: BatchQueue, work: Work) -> None:
    found = await asyncio.gather(queue.run(job(1)), queue.run(job("fail")), queue.run(job(2)), return_exceptions=True)
    assert [type(one).__name__ for one in found] == ["Predictions", "HTTPError", "Predictions"]
    found = await asyncio.gather(queue.run(job(3)), queue.run(job("crash")), return_exceptions=True)
    assert [type(one).__name__ for one in found] == ["MemoryError", "MemoryError"]
    assert (await queue.run(job(4))).logits[0, 0] == 4


@pytest.mark.parametrize(
    ("name", "inputs", "status", "message"),
    [
        ("reviews", ["good"] * 5, 413, "a request holds 1 to 4 texts, not 5"),
        ("reviews", ["good " * 40], 413, "a request holds at most 30 tokens, not about 41"),
        ("gestures", [np.zeros((31, 2))], 413, "a request holds at most 30 steps, not about 31"),
        ("reviews", ["good"] * 4, None, ""),
    ],
)
def test_a_request_that_never_fits_into_the_queue_is_413(
    models: dict[str, Model], name: str, inputs: Any, status: int | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 429 would tell its client to send it again, forever."""
    monkeypatch.setattr(module, "MAX_QUEUED_TOKENS", 30)
    with ThreadPoolExecutor(1) as executor:
        endpoint = ModelEndpoint("m", models[name], Settings(("m",), queue=4), executor, executor, Metrics())
        predict = endpoint.predict(inputs, "inputs[{}]", lambda: False)
        if status is None:
            assert len(asyncio.run(predict).steps) == 4
            return
        with pytest.raises(HTTPError) as error:
            asyncio.run(predict)
    assert (error.value.status, error.value.field) == (status, "inputs")
    assert message in error.value.message


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_an_input_that_overflows_is_its_own_clients_error(models: dict[str, Model], task: Task) -> None:
    """The response would contain NaN, which is not JSON."""
    model = models["tokens"]
    [keys] = [keys for keys, _ in keys_of(*joined(steps_of(model.preprocessor.encode_batch(["bad end"]))), 1)]
    ngrams = Ngrams(1, np.sort(keys), np.full((2, 3), 3.4e38, np.float32))
    target = target_of(model.classes, task)
    ensemble = replace(model.ensemble, members=(model.ensemble.lstm, ngrams), weights=(1.0, 1e300), target=target)
    model = replace(model, ensemble=ensemble)

    async def computed() -> list[Job]:
        jobs = [job("good film"), job("it", "a bad end")]
        with ThreadPoolExecutor(1) as executor:
            ModelEndpoint("m", model, Settings(("m",)), executor, executor, Metrics())._compute(jobs)
        return jobs

    fine, overflows = asyncio.run(computed())
    assert np.isfinite(fine.outcome.logits).all()
    assert (overflows.outcome.status, overflows.outcome.code) == (400, "overflow")
    assert "row 1: the model overflows" in overflows.outcome.message
