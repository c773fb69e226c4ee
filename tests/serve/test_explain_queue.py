"""Explanations in two queues: a slow attribution delays no prediction, and it ends when nobody waits for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gatewise.model.model import Model
from gatewise.serve.schemas import ExplainRequest
from gatewise.serve.settings import Settings
from gatewise.serve.state import State
from gatewise.serve.view.view import View
from tests.serve.conftest import HOSTILE
from tests.serve.server import ask, connect, head, post, served, wait_for
from tests.small_models import small_model


def test_how_many_explanations_wait_and_how_long(models: dict[str, Model]) -> None:
    """They run one at a time; test_batch_queue tests what a full queue and a timeout do."""
    state = State({"reviews": models["reviews"]}, Settings(("reviews",), queue_timeout=7.0))
    queues = (state.explanations, state.attributions)
    limits = [(one.limits.queue, one.limits.queue_timeout, one.limits.max_batch) for one in queues]
    state.close()
    assert limits == [(64, 7.0, 1), (16, 21.0, 1)]


@pytest.mark.parametrize("slow", [["attribution"], ["prefix:all"]])
def test_a_slow_part_delays_no_prediction(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch, slow: list[str]
) -> None:
    released = threading.Event()
    compute: Callable[..., dict[str, Any]] = View.explain

    def blocked(view: View, request: Any) -> dict[str, Any]:
        return {"finished": released.wait(60)} if request.include == slow else compute(view, request)

    monkeypatch.setattr(View, "explain", blocked)

    def asked(port: int, include: list[str]) -> Any:
        return post(port, "/explain", {"text": "good film", "include": include}).json()

    with served({"tokens": models["tokens"]}) as port, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(asked, port, slow)
        for include in (["prediction"], ["prediction", "prefix"], ["units", "unit:top"], ["heatmap:c"]):
            assert {"prediction", "units", "heatmaps"} & set(asked(port, include))
        assert not waiting.done()
        released.set()
        assert waiting.result() == {"finished": True}


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
        assert View(model).is_slow(ExplainRequest(**request)) is slow, request


# A quarter of a million steps.
SLOW = {
    "text": "the film was bad and a good film seen twice " * 50,
    "include": ["attribution"],
    "method": "leave-one-out",
}


QUICK = {"text": "good", "include": ["attribution"], "method": "prefix-difference"}


@pytest.fixture(scope="module")
def wide(models: dict[str, Model]) -> Model:
    encoding: Any = models["tokens"].preprocessor.encoding  # type: ignore[union-attr]
    return small_model(encoding, HOSTILE, 5, units=256, bidirectional=True, pooling="mean+max")


def test_an_attribution_ends_when_its_client_disconnects(wide: Model) -> None:
    with served({"wide": wide}) as port:
        body = json.dumps(SLOW).encode()
        with connect(port, head(port, "/explain", f"Content-Length: {len(body)}") + body):
            assert post(port, "/explain", {"text": "good"}).status == 200  # the attribution has begun
        count = b'gatewise_rejected_total{model="wide",reason="disconnected"} 1.0'
        wait_for(lambda: count in ask(port, "GET", "/metrics").body)
        assert post(port, "/explain", QUICK).status == 200


def test_a_server_answers_after_an_attribution_that_took_too_long(wide: Model) -> None:
    with served({"wide": wide}, queue_timeout=0.2) as port:
        reply = post(port, "/explain", SLOW)
        assert (reply.status, reply.error["code"]) == (504, "timeout")
        assert reply.error["message"] == "the explanation was not ready after 0.6 s and was stopped"
        wait_for(lambda: post(port, "/explain", QUICK).status == 200)
