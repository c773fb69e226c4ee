"""The server as a process on a free port of this machine, and a client that can misbehave."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Reply", "Server", "ask", "connect", "post", "read_reply", "serving", "wait_for"]


@dataclass
class Reply:
    """status 0: the server closed the connection without a word."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error of a route outside of /v2."""
        found = self.json()
        assert set(found) == {"error"}
        assert set(found["error"]) == {"code", "field", "message"}
        return dict(found["error"])


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def stderr(self) -> str:
        return self.log.read_text(errors="replace")

    def memory(self) -> float:
        """Resident megabytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def serving(folder: Path, *words: object, workers: int = 1) -> Iterator[Server]:
    """`gatewise serve` until the block ends; words: paths of models, and options. `folder` takes its log. The port is 0
    for one at a Unix domain socket.
    """
    log = folder / f"serve-{time.monotonic_ns()}.log"
    given = [part for word in words for part in (("-m", str(word)) if isinstance(word, Path) else (str(word),))]
    command = [sys.executable, "-m", "gatewise", "serve", *given, "--port", "0", "--workers", str(workers)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWISE_")}
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr, stdout=stderr, env=environment)
    try:
        port = _port(process, log)
        server = Server(process, port, log)
        if port:
            _wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    for _ in range(1200):  # a minute: a busy machine is slow to start
        found = re.search(r"serving .* at (?:http://[^ ]*:(\d+)|unix:\S+) ", log.read_text())
        if found:
            return int(found[1] or 0)
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"the server does not say where it is: {log.read_text()}")


def _wait_until_ready(server: Server) -> None:
    def is_ready() -> bool:
        assert server.process.poll() is None, server.stderr
        with suppress(OSError):
            return ask(server.port, "GET", "/v2/health/ready").status == 200
        return False

    wait_for(is_ready)


def ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def post(port: int, path: str, body: Any, **headers: str) -> Reply:
    """JSON (or bytes, as they are) to a path; `_` in a header's name stands for `-`."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return ask(port, "POST", path, raw, given)


def connect(port: int, send: bytes = b"") -> socket.socket:
    """A bare connection on which these bytes were sent."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    sock.sendall(send)
    return sock


def read_reply(sock: socket.socket, timeout: float = 30) -> Reply:
    """The next reply on a bare connection."""
    raw, end = b"", time.monotonic() + timeout
    while True:
        head, found, body = raw.partition(b"\r\n\r\n")
        if found:
            status, *lines = head.decode().split("\r\n")
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
            if len(body) >= int(headers.get("content-length", 0)):
                return Reply(int(status.split()[1]), headers, body)
        readable, _, _ = select.select([sock], [], [], max(0.0, end - time.monotonic()))
        assert readable, f"no whole reply within {timeout} s: {raw!r}"
        try:
            part = sock.recv(65_536)
        except ConnectionError:
            part = b""
        if not part:
            assert not raw, f"the reply ends early: {raw!r}"
            return Reply(0, {}, b"")
        raw += part


def wait_for(what: Callable[[], object], seconds: float = 120) -> None:
    """Until it is true: a busy machine takes its time."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
