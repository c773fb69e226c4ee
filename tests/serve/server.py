"""A server in this process, and requests, also wrong ones; a server as a process and its answers are those of trust."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

from gatewise.serve.listener import Listener
from gatewise.serve.server import Server as ServerInProcess
from gatewise.serve.settings import Settings
from gatewise.serve.state import State
from trust.server import Answer, Server, read, serving

__all__ = ["Answer", "Server", "serving"]  # of trust


@contextmanager
def served(models: Mapping[str, Any], **settings: Any) -> Iterator[int]:
    """The port of these models and forecasters, which a thread of this process serves until the block ends."""
    state = State(models, Settings(tuple(models), port=0, **settings))
    with closing(Listener(state.settings)) as listener, ThreadPoolExecutor(1) as pool:
        server = ServerInProcess(state, listener, on_start=lambda: None)
        running = pool.submit(server.run)
        wait_for(lambda: server.started or running.done())
        try:
            yield listener.port
        finally:  # or the pool would wait for it
            server.stop()
        running.result()
    state.close()


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


def head(port: int, path: str, *lines: str) -> bytes:
    """The first line and the headers of a request that sends JSON."""
    given = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Type: application/json", *lines]
    return "\r\n".join(given).encode() + b"\r\n\r\n"


def connect(port: int, send: bytes = b"") -> socket.socket:
    """A bare connection on which these bytes were sent."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.sendall(send)
    return sock


def refuses(port: int) -> bool:
    """Whether nothing listens at the port."""
    try:
        connect(port).close()
    except ConnectionError:
        return True
    return False


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
