"""Several requests on one connection: the answers come in their order, also the refusal of what follows them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.server import Server, connect, read_reply, serving
from tests.serve.test_shutdown import predict, slow  # noqa: F401 (a fixture)

READ_TIMEOUT = 1  # seconds


@pytest.fixture(scope="module")
def server(slow: Path) -> Iterator[Server]:  # noqa: F811
    """A slow model, and little patience with clients."""
    words = ("--max-batch", 1, "--read-timeout", READ_TIMEOUT, "--keep-alive", 6, "--max-body", 10_000_000)
    with serving(slow, *words) as found:
        yield found


def test_a_slow_second_request_does_not_lose_the_first_answer(server: Server) -> None:
    """The server stops reading while it computes; that time is not the client's."""
    first = server.post("/predict", json.dumps({"inputs": ["film " * 1_000] * 25}).encode())
    second = predict(server, 7)
    with connect(server.port, first + second[:-10]) as sock:
        assert read_reply(sock, 120).status == 200  # it takes longer than the timeout
        sock.sendall(second[-10:])
        assert read_reply(sock).json()["predictions"][0]["steps"] == 7


def test_an_idle_connection_is_closed_after_an_early_answer(server: Server) -> None:
    """A refusal that does not wait for the body; the body arrives later. uvicorn's own limit is 5 s."""
    request, began = predict(server, 7).replace(b"application/json", b"text/plain"), time.monotonic()
    with connect(server.port, request[:-10]) as sock:
        assert read_reply(sock).status == 415
        sock.sendall(request[-10:])
        assert read_reply(sock, 30).status == 0, "closed without another answer"
        assert time.monotonic() - began > 5.5, "as --keep-alive says"


@pytest.mark.parametrize("method", ["CONNECT", "GET"])
def test_a_refused_upgrade_ends_the_connection(server: Server, method: str) -> None:
    """What follows it in one packet is lost, so the client is told to send it again."""
    upgrade = server.head("GET /v2 HTTP/1.1", "Connection: Upgrade", "Upgrade: h2c").replace(b"GET", method.encode(), 1)
    with connect(server.port, upgrade + predict(server, 7)) as sock:
        reply = read_reply(sock)
        assert (reply.status, reply.headers["connection"]) == (200 if method == "GET" else 405, "close")
        assert read_reply(sock, 2).status == 0, "closed at once"


def test_an_early_answer_to_an_upgrade_ends_the_connection_with_its_body(server: Server) -> None:
    request = predict(server, 7).replace(b"application/json", b"text/plain")
    request = request.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 1)
    with connect(server.port, request[:-10]) as sock:
        assert read_reply(sock).status == 415
        sock.sendall(request[-10:] + server.head("GET /v2 HTTP/1.1"))
        assert read_reply(sock, 2).status == 0, "closed at once"
