"""The WebSocket at /stream: the library's predictions, one answer per message, its limits, and who may open it."""

import base64
import json
import os
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gatewise.model.model import Model
from gatewise.model.streams import Streams
from tests.members.graphs import text_graph
from tests.serve.server import Answer, Server, ask, connect, post, read_reply, served, serving, wait_for
from tests.small_models import small_model

pytest.importorskip("websockets")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from gatewise.serve.websocket import WebSocketConnection

STEPS = np.random.default_rng(3).normal(0, 1, (40, 60, 2)).round(3)


@contextmanager
def websocket(port: int, **options: Any) -> Iterator[ClientConnection]:
    with open_socket(f"ws://127.0.0.1:{port}/stream", compression=None, **options) as connection:
        yield connection


def answer(connection: ClientConnection, **message: Any) -> Any:
    connection.send(json.dumps(message))
    return json.loads(connection.recv())


def closed(connection: ClientConnection) -> tuple[int, str]:
    """The close code and the reason, after all messages."""
    with suppress(ConnectionClosed):
        while True:
            connection.recv(timeout=30)
    assert connection.close_code is not None
    return connection.close_code, connection.close_reason or ""


def json_of(block: Any) -> Any:
    """Steps as JSON, with null for NaN."""
    return [[None if np.isnan(value) else value for value in step] for step in block.tolist()]


def probabilities(predictions: Any) -> list[list[float]]:
    return [list(one["probabilities"].values()) for one in predictions]


def test_streams_of_one_connection_are_those_of_the_library(port: int, models: dict[str, Model]) -> None:
    """Blocks, missing values, streams that join, leave, read alone, are saved, and go on in another connection."""
    model = models["gestures"]
    streams = model.streams(5)
    rng = np.random.default_rng(1)
    values = STEPS.copy()
    values[rng.random(values.shape) < 0.2] = np.nan
    with websocket(port) as connection:
        found = answer(connection, model="gestures", count=5, inputs=json_of(values[:5, 0]), id="a-1")
        expected = streams.push(values[:5, 0])
        assert (found["streams"], found["id"]) == (5, "a-1")
        assert probabilities(found["predictions"]) == expected.probabilities.tolist()
        for tick in range(1, 20):
            found = answer(connection, inputs=json_of(values[:5, tick]))
            assert probabilities(found["predictions"]) == streams.push(values[:5, tick]).probabilities.tolist()
        found = answer(connection, inputs=[json_of(block) for block in values[:5, 20:30]])
        expected = streams.push(values[:5, 20:30])
        assert probabilities(found["predictions"]) == expected.probabilities.tolist()
        assert [one["label"] for one in found["predictions"]] == list(expected.labels)
        assert [one["steps"] for one in found["predictions"]] == [30] * 5
        found = answer(connection, remove=[1, 3], add=2, inputs=json_of(values[:3, 30]), streams=[4, 0, 3], save=True)
        streams.remove([1, 3])
        streams.add(2)
        expected = streams.push(values[:3, 30], [4, 0, 3])
        assert probabilities(found["predictions"]) == expected.probabilities.tolist()
        state = base64.b64decode(found["state"])
        assert state == streams.state
    with websocket(port) as connection:
        found = answer(connection, model="gestures", count=5, state=found["state"], inputs=json_of(values[:5, 31]))
        assert probabilities(found["predictions"]) == streams.push(values[:5, 31]).probabilities.tolist()
        assert answer(connection) == {"streams": 5}
        # More work than is done between two looks at other connections.
        long = [json_of(np.tile(block, (20, 1))) for block in values[:5]]
        found = answer(connection, inputs=long)
        assert probabilities(found["predictions"]) == streams.push(np.array(long, float)).probabilities.tolist()


def test_words_and_token_ids(models: dict[str, Model]) -> None:
    words = small_model(models["tokens"].preprocessor.encoding, ("a", "b", "c"), 6, units=4)  # type: ignore[union-attr]
    graph = Model.of_graph(text_graph())
    with served({"words": words, "graph": graph}) as port:
        with websocket(port) as connection:
            found = answer(connection, count=2, inputs=["a good film", "seen"])
            found = answer(connection, inputs=["seen", "twice"])
            np.testing.assert_allclose(
                probabilities(found["predictions"]), words.predict_proba(["a good film seen", "seen twice"]), atol=1e-6
            )
        with websocket(port) as connection:
            found = answer(connection, model="graph", count=3, inputs=[3, [4, 0], "11 2"])
            np.testing.assert_allclose(
                probabilities(found["predictions"]), graph.predict_proba(["3", "4 0", "11 2"]), atol=1e-6
            )


FIRST = {"model": "gestures", "count": 2}


@pytest.mark.parametrize(
    ("message", "status", "code", "field"),
    [
        (b"{", 400, "bad_json", "body"),
        (b"\xff\xfe", 400, "bad_json", "body"),
        (b"[1]", 400, "bad_json", "body"),
        (b'{"count": 2, "count": 2}', 400, "bad_json", "body"),
        (b'{"inputs": [[NaN, 1]]}', 400, "bad_json", "body"),
        ({"xyzzy-plugh": 1}, 400, "unknown_field", "body"),
        ({"model": "xyzzy-plugh"}, 404, "no_such_model", "model"),
        ({"model": "tokens"}, 400, "no_stream", "model"),
        ({"count": -1}, 400, "bad_field", "count"),
        ({"count": 1.5}, 400, "bad_field", "count"),
        ({"count": 2000}, 429, "busy", None),
        (FIRST | {"add": 2000}, 429, "busy", None),
        (FIRST | {"state": "xyzzy-plugh"}, 400, "bad_field", "state"),
        (FIRST | {"state": "A" * 400}, 400, "bad_field", "state"),
        (FIRST | {"inputs": [[1, 2]]}, 400, "input", "inputs"),
        (FIRST | {"inputs": [[1, 2], [3]]}, 400, "input", "inputs"),
        (FIRST | {"inputs": [[1, 2], [3, "4"]]}, 400, "bad_field", "inputs[1]"),
        (FIRST | {"inputs": ["1", "2"]}, 400, "input", "inputs"),
        (FIRST | {"inputs": [["xyzzy", "plugh"], [1, 2]]}, 400, "bad_field", "inputs[0]"),
        (FIRST | {"inputs": [[1, 2]], "streams": [2]}, 400, "input", "streams"),
        (FIRST | {"inputs": [[1, 2], [3, 4]], "streams": [1, 1]}, 400, "input", "streams"),
        (FIRST | {"remove": [0, 2]}, 400, "input", "remove"),
        (FIRST | {"inputs": [[[0, 1]] * 9000] * 2}, 413, "too_many", "inputs"),
    ],
)
def test_an_error_is_the_last_message_and_the_close_code(
    port: int, message: Any, status: int, code: str, field: str | None
) -> None:
    with websocket(port) as connection:
        connection.send(message if isinstance(message, bytes) else json.dumps(message))
        raw = connection.recv()
        error = json.loads(raw)["error"]
        assert (error["code"], error["field"]) == (code, field), error
        found, reason = closed(connection)
        assert found == 4000 + status
        assert reason
        assert error["message"].startswith(reason)
        assert "xyzzy" not in str(raw)


def test_a_state_of_another_number_of_streams_is_refused(port: int, models: dict[str, Model]) -> None:
    state = base64.b64encode(models["gestures"].streams(3).state).decode()
    with websocket(port) as connection:
        connection.send(json.dumps(FIRST | {"state": state}))
        assert closed(connection) == (4400, "state must be that of 2 streams, and it is that of 3")
    reply = post(port, "/stream", {"model": "gestures", "inputs": [[1, 2]], "state": state})
    assert (reply.status, reply.error["field"]) == (400, "state")
    assert reply.error["message"] == "state must be that of 1 stream, and it is that of 3"


def test_steps_that_are_read_again_are_computed_beside_other_requests(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value after 600 missing ones changes them all."""
    threads: list[str] = []
    push = Streams.push

    def noted(self: Streams, *values: Any) -> Any:
        threads.append(threading.current_thread().name)
        return push(self, *values)

    monkeypatch.setattr(Streams, "push", noted)
    missing = [[1.0, None]] * 600
    with served({"gestures": models["gestures"]}) as port, websocket(port) as connection:
        answer(connection, inputs=[[0.5, 1.5]])
        answer(connection, inputs=[missing])
        found = answer(connection, inputs=[[0.25, -1.0]])
        answer(connection, inputs=[[0.25, -1.0]])
    series = [[0.5, 1.5], *missing, [0.25, -1.0]]
    expected = models["gestures"].stream().push(np.array(series, float)).probabilities
    np.testing.assert_allclose(probabilities(found["predictions"]), [expected], atol=1e-6)
    is_beside = [name.startswith("gatewise-streams") for name in threads[:4]]
    assert is_beside == [False, True, True, False], threads


def test_a_later_message_names_no_model(port: int) -> None:
    with websocket(port) as connection:
        answer(connection, **FIRST)
        connection.send(json.dumps({"model": "gestures"}))
        assert "unknown" in json.loads(connection.recv())["error"]["code"]
        assert closed(connection)[0] == 4400


def test_a_failure_of_the_server_is_not_told(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    with served({"gestures": models["gestures"]}, access_log=True) as port:
        with websocket(port) as connection:
            answer(connection)

            def fail(*given: Any) -> None:
                raise RuntimeError("xyzzy-plugh")

            monkeypatch.setattr(Streams, "push", fail)
            connection.send(json.dumps({"inputs": [[1, 2]]}))
            assert json.loads(connection.recv())["error"]["code"] == "internal"
            assert closed(connection) == (1011, "the server failed; its log says where")
        wait_for(lambda: "101" in ask(port, "GET", "/metrics").body.decode())
    logged = capfd.readouterr().err + caplog.text
    assert "WebSocket /stream failed: RuntimeError at test_stream_socket.py" in logged
    assert "xyzzy" not in logged
    assert re.search(r'"method": "GET", "route": "/stream", "status": 101, "model": "gestures", "ms": ', logged)


# Who may open it


def handshake(port: int, headers: dict[str, str], path: str = "/stream") -> Answer:
    given = {
        "Host": f"127.0.0.1:{port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    } | {name: value.format(port=port) for name, value in headers.items()}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items() if value)]
    with connect(port, "\r\n".join(lines).encode() + b"\r\n\r\n") as sock:
        if path != "/stream" or "Upgrade" in headers:
            return read_reply(sock)
        sock.settimeout(30)
        head, _, body = sock.recv(65536).partition(b"\r\n\r\n")
        status, *rest = head.decode().split("\r\n")
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        return Answer(int(status.split()[1]), found, body)


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({}, 101, None),
        ({"Origin": "http://127.0.0.1:{port}"}, 101, None),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}, 101, None),
        ({"Origin": "https://app.example.org", "Sec-Fetch-Site": "cross-site"}, 101, None),  # of --cors
        ({"Origin": "http://evil.example"}, 403, "origin"),
        ({"Origin": "http://localhost:{port}"}, 403, "origin"),
        ({"Origin": "null"}, 403, "origin"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "sec-fetch-site"),
        ({"Sec-Fetch-Site": "same-site"}, 403, "sec-fetch-site"),
        ({"Host": "evil.example"}, 421, "host"),
        ({"Authorization": ""}, 401, "authorization"),
        ({"Authorization": "Bearer wrong-password"}, 401, "authorization"),
        ({"Sec-WebSocket-Version": "12"}, 400, None),
        ({"Sec-WebSocket-Key": ""}, 400, None),
        ({f"X-{n}": "1" for n in range(200)}, 431, None),
    ],
)
def test_the_handshake(guarded: int, headers: dict[str, str], status: int, field: str | None) -> None:
    reply = handshake(guarded, {"Authorization": "Bearer long-enough-token"} | headers)
    assert reply.status == status, reply
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"
    if status != 101:
        assert reply.headers["content-type"] == "application/json"
        assert json.loads(reply.body)["error"]["field"] == field
        assert b"evil" not in reply.body


@pytest.fixture(scope="module")
def guarded(models: dict[str, Model]) -> Iterator[int]:
    """A server with a token, whose streams a page of one other site may use."""
    given = {"gestures": models["gestures"]}
    with served(given, token="long-enough-token", cors=("https://app.example.org",)) as port:
        yield port


def test_only_streams_are_a_websocket(port: int) -> None:
    for path in ("/v2", "/metrics", "/model", "/none"):
        assert handshake(port, {}, path).status in (200, 404)
    assert handshake(port, {}, "/stream?model=gestures").status == 422
    # A request of another method is HTTP.
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert ask(port, "PUT", "/stream", headers=upgrade).error["code"] == "method_not_allowed"
    assert post(port, "/stream", {"inputs": [[1, 2]]}, **upgrade).error == post(port, "/predict", {}, **upgrade).error
    for headers in ({"Upgrade": "h2c"}, {"Upgrade": ""}):
        reply = handshake(port, headers)
        assert (reply.status, reply.error["code"]) == (426, "upgrade")
        assert reply.headers["upgrade"] == "websocket"
    with pytest.raises(InvalidStatus), open_socket(f"ws://127.0.0.1:{port}/predict"):
        pass


# Limits


def test_the_streams_of_all_clients_are_limited(models: dict[str, Model]) -> None:
    with served({"gestures": models["gestures"]}, max_streams=10) as port:
        with websocket(port) as first, websocket(port) as second:
            assert answer(first, count=6) == {"streams": 6}
            assert answer(second, count=3) == {"streams": 3}
            assert answer(second, add=1) == {"streams": 4}
            assert answer(first, remove=[5]) == {"streams": 5}
            assert answer(second, remove=[0], add=2) == {"streams": 5}
            second.send(json.dumps({"add": 1}))
            assert closed(second) == (4429, "the server has at most 10 streams, of all clients (--max-streams)")
            assert answer(first, add=5) == {"streams": 10}
        # The server may not have seen yet that the others are closed.
        wait_for(lambda: _opens(port, 10))


def _opens(port: int, count: int) -> bool:
    """Whether the server opens so many streams."""
    with websocket(port) as connection:
        return "streams" in answer(connection, count=count)


def test_a_message_is_limited(models: dict[str, Model]) -> None:
    with served({"gestures": models["gestures"]}, max_body=2_000) as port:
        for fragments in ("x" * 3_000, ["x" * 900] * 3):
            with websocket(port) as connection:
                connection.send(fragments)
                assert closed(connection)[0] == 1009
        assert post(port, "/predict", {"series": [[1, 2]]}).status == 200


def test_clients_that_send_nothing_or_a_part_are_disconnected(models: dict[str, Model]) -> None:
    with served({"gestures": models["gestures"]}, keep_alive=1, read_timeout=1) as port:
        start = time.monotonic()
        with websocket(port) as idle, websocket(port) as busy:
            with closing(socket.create_connection(("127.0.0.1", port))) as slow:
                _shake_hands(slow, port)
                slow.sendall(struct.pack("!BBI", 0x81, 0x80 | 100, 0) + b"{")  # one of 100 bytes
                for _ in range(12):
                    assert answer(busy) == {"streams": 1}
                    time.sleep(0.2)
                assert _frame(slow) == (4408, "a message took too long to arrive")
            assert closed(idle) == (4408, "no message arrived for 1 seconds (--keep-alive)")
            assert time.monotonic() - start < 30


def test_a_client_that_does_not_read_the_last_bytes_is_disconnected(
    models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers that fill the buffers of the system, and not the one that stops the server's writing."""
    connection_made = WebSocketConnection.connection_made

    def with_a_large_buffer(self: WebSocketConnection, transport: Any) -> None:
        transport.set_write_buffer_limits(high=1 << 30)
        connection_made(self, transport)

    monkeypatch.setattr(WebSocketConnection, "connection_made", with_a_large_buffer)
    message = json.dumps({"inputs": json_of(np.tile(STEPS[0, :50], (4, 1)))}).encode()
    first = json.dumps({"count": 200}).encode()
    with (
        served({"gestures": models["gestures"]}, keep_alive=1, read_timeout=1) as port,
        closing(socket.create_connection(("127.0.0.1", port))) as sock,
    ):
        _shake_hands(sock, port)
        for body in (first, *[message] * 400):
            sock.sendall(struct.pack("!BBHI", 0x81, 0x80 | 126, len(body), 0) + body)
        ended = 'gatewise_requests_total{model="gestures",route="/stream",status="101"} 1.0'
        wait_for(lambda: ended in ask(port, "GET", "/metrics").body.decode())


def _shake_hands(sock: socket.socket, port: int) -> None:
    sock.settimeout(30)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")


def _frame(sock: socket.socket) -> tuple[int, str]:
    """A close frame: its code and reason."""
    kind, length = sock.recv(2)
    assert kind == 0x88
    data = sock.recv(length)
    return int.from_bytes(data[:2], "big"), data[2:].decode()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_a_client_that_reads_nothing_is_disconnected_and_costs_no_memory(folders: dict[str, Path]) -> None:
    """Pings whose pongs nobody reads, and messages whose answers nobody reads."""
    with serving(folders["gestures"], "--read-timeout", 3, "--max-streams", 500) as server:
        ping = struct.pack("!BBI", 0x89, 0x80 | 125, 0) + bytes(125)
        body = json.dumps({"count": 200, "inputs": [[1, 2]] * 200}).encode()
        later = json.dumps({"inputs": [[1, 2]] * 200}).encode()
        first, message = (struct.pack("!BBHI", 0x81, 0x80 | 126, len(one), 0) + one for one in (body, later))
        for start, more in ((b"", ping * 500), (first, message * 20)):
            before = server.memory
            with closing(socket.create_connection(("127.0.0.1", server.port))) as sock:
                _shake_hands(sock, server.port)
                sock.sendall(start)
                sock.settimeout(1)
                sent = 0
                end = time.monotonic() + 60
                with suppress(ConnectionError):
                    while time.monotonic() < end and sent < 1e9:
                        with suppress(TimeoutError):
                            sent += sock.send(more)
                assert time.monotonic() < end, "it was not disconnected"
            assert server.memory - before < 60e6, sent
        assert post(server.port, "/predict", {"series": [[1, 2]]}).status == 200


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_many_connections_leave_no_memory(server: Server) -> None:
    def use() -> None:
        for _ in range(20):
            with websocket(server.port) as connection:
                answer(connection, model="gestures", count=50, inputs=json_of(STEPS[0, :50]))

    use()
    before = server.memory
    for _ in range(5):
        use()
    assert server.memory - before < 10e6


def test_a_stop_closes_streams(folders: dict[str, Path]) -> None:
    with serving(folders["gestures"]) as server, websocket(server.port) as connection:
        assert answer(connection) == {"streams": 1}
        server.process.send_signal(signal.SIGTERM)
        assert closed(connection)[0] == 1012
        assert server.process.wait(60) == 0
