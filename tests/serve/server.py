"""The server as a process on a free port of this machine, and a client that can misbehave: those of trust/."""

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from trust import server as trusted
from trust.server import Answer, read

__all__ = ["Answer", "Server", "ask", "connect", "post", "read_reply", "serving", "wait_for"]


class Server(trusted.Server):
    @property
    def stderr(self) -> str:
        """All that the server has written."""
        return self.log


@contextmanager
def serving(*words: object, workers: int = 1) -> Iterator[Server]:
    """`gatewise serve` until the block ends; words: paths of models, and options."""
    server = Server(*words, "--workers", workers)
    try:
        yield server
    finally:
        server.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(20)
        server.stop()


def ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def post(port: int, path: str, body: Any, **headers: str) -> Answer:
    """JSON (or bytes, as they are) to a path; `_` in a header's name stands for `-`."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return ask(port, "POST", path, raw, given)


def connect(port: int, send: bytes = b"") -> socket.socket:
    """A bare connection on which these bytes were sent."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.sendall(send)
    return sock


def read_reply(sock: socket.socket, timeout: float = 30) -> Answer:
    """The next reply on a bare connection; status 0: the server closed it without a word."""
    found = next(read(sock, timeout), Answer(0, {}, b""))
    assert found.complete, f"the reply ends early: {found.body!r}"
    return found


def wait_for(what: Callable[[], object], seconds: float = 120) -> None:
    """Until it is true: a busy machine takes its time."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
