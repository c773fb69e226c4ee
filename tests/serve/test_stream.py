"""POST /stream: events with the library's predictions, a state that any server continues from, and its limits."""

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from gatewise.members.ensemble import Ensemble
from gatewise.model.model import Model
from gatewise.storage.tensors import metadata_of, tensors_to_bytes
from tests.members.graphs import recurrent_classifier, text_graph
from tests.serve.conftest import HOSTILE
from tests.serve.server import Answer, Server, ask, connect, post, served, serving, wait_for
from tests.small_models import small_model

STEPS = np.random.default_rng(3).normal(0, 1, (600, 2)).round(3).tolist()


def events_of(reply: Answer) -> list[tuple[str, Any]]:
    """The events of a response: kind and data."""
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (reply.headers["cache-control"], reply.headers["x-accel-buffering"]) == ("no-store", "no")
    found = []
    for block in reply.body.decode().strip("\n").split("\n\n"):
        *kind, data = block.split("\n")
        assert data.startswith("data: ")
        found.append((kind[0].removeprefix("event: ") if kind else "", json.loads(data[6:])))
    return found


def test_a_stream_over_requests_is_that_of_the_library(port: int, models: dict[str, Model]) -> None:
    model, state, last = models["gestures"], None, 0
    stream = model.stream()
    for count in (1, 2, 300, 1, 296):
        body = {"inputs": STEPS[last : last + count], "model": "gestures"}
        *found, end = events_of(post(port, "/stream", body if state is None else body | {"state": state}))
        assert len(found) == count
        for (kind, data), step in zip(found, body["inputs"], strict=True):
            expected = stream.push(step)
            assert (kind, data["steps"], data["label"]) == ("", expected.steps, expected.label)
            assert list(data["probabilities"].values()) == expected.probabilities.tolist()
        assert end[0] == "state"
        state, last = end[1]["state"], last + count
    np.testing.assert_allclose(expected.probabilities, model.predict_proba([np.array(STEPS)])[0], atol=1e-6)


def test_missing_values_and_several_steps_in_an_input(port: int, models: dict[str, Model]) -> None:
    inputs = [[0.5, None], [[None, 0.25], [1.5, None]], [None, None], [-1.0, 2.0]]
    *found, _ = events_of(post(port, "/stream", {"inputs": inputs, "model": "gestures"}))
    assert [data["steps"] for _, data in found] == [1, 3, 4, 5]
    series = np.array([[0.5, None], [None, 0.25], [1.5, None], [None, None], [-1.0, 2.0]], float)
    for _, data in found:
        [expected] = models["gestures"].predict_proba([series[: data["steps"]]])
        np.testing.assert_allclose(list(data["probabilities"].values()), expected, atol=1e-6)


def test_a_causal_graph_of_token_ids(models: dict[str, Model]) -> None:
    """Ids are numbers, lists of numbers, or texts; a network that is not causal says which node."""
    model = Model.of_graph(text_graph())
    with served({"causal": model, "attention": Model.of_graph(recurrent_classifier())}) as port:
        expected = model.predict_proba(["3", "3 4 0", "3 4 0 11"])
        for inputs in ([3, [4, 0], "11"], ["3", "4 0", 11]):
            *predictions, state = events_of(post(port, "/stream", {"inputs": inputs, "model": "causal"}))
            shown = [list(data["probabilities"].values()) for _, data in predictions]
            assert [data["steps"] for _, data in predictions] == [1, 3, 4]
            np.testing.assert_allclose(shown, expected, rtol=0, atol=1e-6)
        body = {"inputs": [7], "model": "causal", "state": state[1]["state"]}
        [(_, later), _] = events_of(post(port, "/stream", body))
        [probabilities] = model.predict_proba(["3 4 0 11 7"])
        np.testing.assert_allclose(list(later["probabilities"].values()), probabilities, rtol=0, atol=1e-6)
        reply = post(port, "/stream", {"inputs": [3.5], "model": "causal"})
        assert (reply.status, b"token ids below 19" in reply.body) == (400, True)
        reply = post(port, "/stream", {"inputs": [3], "model": "attention"})
        assert (reply.status, json.loads(reply.body)["error"]["code"]) == (400, "no_stream")
        assert b"node 'softmax': Softmax over all steps" in reply.body


def test_words(models: dict[str, Model]) -> None:
    one = small_model(models["tokens"].preprocessor.encoding, HOSTILE, 6, units=4)  # type: ignore[union-attr]
    with served({"words": one}) as port:
        *found, _ = events_of(post(port, "/stream", {"inputs": ["a good film", "seen", "twice"]}))
        shown = [list(data["probabilities"].values()) for _, data in found]
        assert [data["steps"] for _, data in found] == [3, 4, 5]
        np.testing.assert_allclose(
            shown, one.predict_proba(["a good film", "a good film seen", "a good film seen twice"]), atol=1e-6
        )
        for wrong, message in {"\x07": "has no step", "\ud800": "surrogate", "x" * 1001: "1000"}.items():
            reply = post(port, "/stream", {"inputs": [wrong]})
            assert (reply.status, reply.error["field"]) == (400, "inputs[0]")
            assert message in reply.error["message"]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"inputs": []}, "bad_field", "inputs"),
        ({"inputs": [[1, "2"]]}, "bad_field", "inputs[0]"),
        ({"inputs": [[[[1, 2]]]]}, "bad_field", "inputs[0]"),
        ({"inputs": [[]]}, "bad_field", "inputs[0]"),
        ({"inputs": [[1]]}, "input", "inputs[0]"),
        ({"inputs": ["xyzzy-plugh"]}, "input", "inputs[0]"),
        ({"state": "xyzzy-plugh"}, "bad_field", "state"),
        ({"state": "A" * 400_000}, "bad_field", "state"),
        ({"state": "\ud800"}, "bad_field", "state"),
        ({"state": 5}, "bad_field", "state"),
        ({"state": ["QQ=="]}, "bad_field", "state"),
        ({"network_only": 1}, "bad_field", "network_only"),
        ({"xyzzy-plugh": 1}, "unknown_field", "body"),
        ({"model": "tokens"}, "no_stream", "model"),
        ({"model": "reviews"}, "no_stream", "model"),
    ],
)
def test_errors(port: int, change: dict[str, Any], code: str, field: str) -> None:
    reply = post(port, "/stream", {"inputs": [[1, 2]], "model": "gestures"} | change)
    assert (reply.status, reply.error["code"], reply.error["field"]) == (400, code, field), reply.body
    assert b"xyzzy" not in reply.body


@pytest.mark.parametrize("steps", [2**63 - 1, 2**53, -1])
def test_a_state_with_a_count_that_no_stream_has(port: int, models: dict[str, Model], steps: int) -> None:
    """It is refused before the response begins."""
    stream = models["gestures"].stream()
    stream.push(STEPS[0])
    tensors = safetensors.numpy.load(stream.state) | {"steps": np.array([steps])}
    raw = tensors_to_bytes(tensors, metadata_of(stream.state))
    body = {"inputs": STEPS[1:3], "model": "gestures", "state": base64.b64encode(raw).decode()}
    reply = post(port, "/stream", body)
    assert (reply.status, reply.error["code"], reply.error["field"]) == (400, "bad_field", "state")


def test_requests_share_the_fingerprint_of_the_model(models: dict[str, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads all weights."""
    calls = []
    fingerprint = Ensemble.fingerprint

    def counted(self: Ensemble) -> str:
        calls.append(self)
        return fingerprint(self)

    with served({"gestures": models["gestures"]}) as port:
        monkeypatch.setattr(Ensemble, "fingerprint", counted)
        for _ in range(3):
            *_, (_, data) = events_of(post(port, "/stream", {"inputs": STEPS[:2]}))
            events_of(post(port, "/stream", {"inputs": STEPS[2:3], "state": data["state"]}))
    assert len(calls) == 1


def test_a_later_error_is_the_last_event(port: int) -> None:
    body = {"inputs": [*STEPS[:300], [1], *STEPS[300:400]], "model": "gestures"}
    *found, (kind, data) = events_of(post(port, "/stream", body))
    assert (len(found), kind) == (300, "error")
    assert (data["error"]["code"], data["error"]["field"]) == ("input", "inputs[300]")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_many_streams_leave_no_memory(server: Server) -> None:
    body = {"inputs": STEPS, "model": "gestures"}
    post(server.port, "/stream", body)
    before = server.memory
    for _ in range(40):
        assert len(events_of(post(server.port, "/stream", body))) == 601
    assert server.memory - before < 10e6


def test_a_client_that_reads_nothing_or_leaves_ends_its_stream(folders: dict[str, Path]) -> None:
    """Of 100,000 steps, whose events are more than the buffers of a connection hold."""
    with serving(folders["gestures"], "--read-timeout", 3, "--max-body", 4_000_000) as server:
        request = server.post("/stream", json.dumps({"inputs": STEPS * 170}).encode())
        before = server.memory
        with connect(server.port, request) as slow, connect(server.port, request) as leaves:
            leaves.recv(1000)
            leaves.close()
            assert post(server.port, "/predict", {"series": STEPS[:3]}).status == 200
            ended = 'gatewise_request_seconds_count{model="gestures",route="/stream"} 2.0'
            wait_for(lambda: ended in ask(server.port, "GET", "/metrics").body.decode())
            size = 0
            with contextlib.suppress(ConnectionError):
                while part := slow.recv(1 << 20):  # what was sent before the server closed the connection
                    size += len(part)
            assert 0 < size < 9_000_000, "all events were sent"
        assert server.memory - before < 100e6  # the two bodies, parsed
        wait_for(lambda: post(server.port, "/stream", {"inputs": STEPS[:3]}).status == 200)
