"""Explanations in two queues: a slow attribution delays no prediction, and it ends when nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatewise.model.model import Model, load
from gatewise.serve import app
from gatewise.serve.explain_queue import ExplainQueue
from gatewise.serve.http_error import HTTPError
from gatewise.serve.schemas import ExplainRequest
from gatewise.serve.settings import Settings
from gatewise.serve.state import State
from gatewise.serve.view import view
from gatewise.system.cancel import check_cancelled
from tests.explain.random_net import parameters_of
from tests.serve.server import ask, connect, post, serving, wait_for


class Work:
    """Runs until it is cancelled or released, and notes how it ended."""

    def __init__(self) -> None:
        self.started, self.released, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.finished = 0

    def __call__(self) -> int:
        self.started.set()
        try:
            while not self.released.wait(0.005):
                check_cancelled()
            self.finished += 1
            return 7
        finally:
            self.ended.set()


def queue_of(limit: int = 2, timeout: float = 20.0) -> ExplainQueue:
    return ExplainQueue("gatewise-test", limit, timeout, returns_memory=True)


def stays() -> bool:
    return False


def test_a_computation_stops_at_the_timeout() -> None:
    events: list[str] = []
    queue, work = queue_of(timeout=0.1), Work()
    with pytest.raises(HTTPError, match="504") as caught:
        asyncio.run(queue.run(work, events.append, stays))
    assert caught.value.status == 504
    assert work.ended.wait(5), "it goes on computing"
    assert (work.finished, queue.pending, events) == (0, 0, ["timeout"])


def test_a_computation_stops_when_its_client_leaves() -> None:
    events: list[str] = []
    queue, work = queue_of(), Work()

    async def leave() -> None:
        waiting = asyncio.create_task(queue.run(work, events.append, lambda: work.started.is_set()))
        with pytest.raises(HTTPError) as caught:
            await waiting
        assert caught.value.status == 499

    asyncio.run(leave())
    assert (work.finished, queue.pending, events) == (0, 0, ["disconnected"])


def test_the_number_of_waiting_computations_is_limited() -> None:
    events: list[str] = []
    queue, works = queue_of(), [Work(), Work()]

    async def crowd() -> None:
        waiting = [asyncio.create_task(queue.run(work, events.append, stays)) for work in works]
        await asyncio.sleep(0)
        with pytest.raises(HTTPError) as caught:
            await queue.run(Work(), events.append, stays)
        assert (caught.value.status, dict(caught.value.headers)[b"retry-after"]) == (429, b"1")
        for work in works:
            work.released.set()
        assert await asyncio.gather(*waiting) == [7, 7]

    asyncio.run(crowd())
    assert (queue.pending, events) == (0, ["queue_full"])


@pytest.mark.parametrize("slow", [["attribution"], ["prefix:all"]])
def test_a_slow_part_delays_no_prediction(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch, slow: list[str]
) -> None:
    state, work = State({"tokens": models["tokens"]}, Settings(("tokens",)), load), Work()
    compute: Callable[..., dict[str, Any]] = view.explain_view

    def blocked(model: Model, request: Any, cache: Any) -> dict[str, Any]:
        return {"finished": work()} if request.include == slow else compute(model, request, cache)

    monkeypatch.setattr(view, "explain_view", blocked)

    def asked(include: list[str]) -> Any:
        return app.answer_explain(state, {}, json.dumps({"text": "good film", "include": include}).encode())

    async def both() -> None:
        waiting = asyncio.create_task(asked(slow))
        for include in (["prediction"], ["prediction", "prefix"], ["units", "unit:top"], ["heatmap:c"]):
            found = json.loads(await asyncio.wait_for(asked(include), 20))
            assert "prediction" in found or "units" in found or "heatmaps" in found
        assert not waiting.done()
        work.released.set()
        assert json.loads(await waiting) == {"finished": 7}

    asyncio.run(both())
    state.close()


def test_what_is_slow(models: dict[str, Model]) -> None:
    one, two = models["reviews"], models["tokens"]  # one direction, two directions
    for model, request, slow in (
        (one, {"include": ["prediction", "prefix"]}, False),
        (one, {"include": ["attribution"], "method": "prefix-difference"}, False),
        (two, {"include": ["attribution"], "method": "prefix-difference"}, True),
        (one, {"include": ["attribution"], "method": "integrated-gradients"}, True),
        (one, {"include": ["attribution"]}, True),  # nothing was measured: leave-one-out
        (one, {}, False),
    ):
        assert view.is_slow(model, ExplainRequest(**request)) is slow, request


# A quarter of a million steps.
SLOW = {
    "text": "the film was bad and a good film seen twice " * 50,
    "include": ["attribution"],
    "method": "leave-one-out",
}


@pytest.fixture
def wide(models: dict[str, Model], tmp_path: Path) -> Path:
    small = models["tokens"]
    arch = replace(small.architecture, layers=(replace(small.architecture.top, units=256),))
    Model.of_network(arch, parameters_of(arch, 5), small.preprocessor, small.classes).save(tmp_path / "wide")
    return tmp_path / "wide"


def test_an_attribution_ends_when_its_client_disconnects(wide: Path, tmp_path: Path) -> None:
    with serving(tmp_path, wide) as server:
        raw = json.dumps(SLOW).encode()
        head = f"POST /explain HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
        with connect(server.port, f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw):
            assert post(server.port, "/explain", {"text": "good"}).status == 200  # the attribution has begun
        count = b'gatewise_rejected_total{model="wide",reason="disconnected"} 1.0'
        wait_for(lambda: count in ask(server.port, "GET", "/metrics").body)
        quick = {"text": "good", "include": ["attribution"], "method": "prefix-difference"}
        assert post(server.port, "/explain", quick).status == 200


def test_a_server_answers_after_an_attribution_that_took_too_long(wide: Path, tmp_path: Path) -> None:
    with serving(tmp_path, wide, "--queue-timeout", 0.2) as server:
        reply = post(server.port, "/explain", SLOW)
        assert (reply.status, reply.error["code"]) == (504, "timeout")
        assert reply.error["message"] == "the explanation was not ready after 0.6 s and was stopped"
        quick = {"text": "good", "include": ["attribution"], "method": "prefix-difference"}
        wait_for(lambda: post(server.port, "/explain", quick).status == 200)
