"""`gatewise serve` as a child process, and a client that sends any bytes and reads what comes back."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

START = 120.0  # seconds until the server is ready
PATIENCE = 40.0  # seconds for an answer: longer than every limit of the server, so that more is a hang
TYPE = "Content-Type: application/json"


class Silent(Exception):
    """The server neither answered nor closed the connection."""


@dataclass(frozen=True)
class Answer:
    """A response. complete: whether the connection lasted until its last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error of a route outside of /v2."""
        found = self.json()
        assert set(found) == {"error"}
        assert set(found["error"]) == {"code", "field", "message"}
        return dict(found["error"])


class Server:
    """`gatewise serve` with these models (paths) and options at a free port, started and ready; the port is 0 for one
    at a Unix domain socket. program: the arguments of Python that stand for `gatewise`. Its log is a file without a
    name, so that nothing is left when this process is killed.
    """

    def __init__(self, *words: object, program: Sequence[str] = ("-m", "gatewise")) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        given = [part for word in words for part in (("-m", str(word)) if isinstance(word, Path) else (str(word),))]
        command = [sys.executable, *program, "serve", *given, "--port", "0"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWISE_")}
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=environment)
        end = time.monotonic() + START
        self.port = 0
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                log = self.log
                self.stop()
                raise RuntimeError(f"the server does not start: {log}")
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        found = re.search(r"serving .* at (?:http://[^ ]*:(\d+)|unix:\S+) ", self.log)
        self.port = int(found[1] or 0) if found else 0
        try:
            return found is not None and (not self.port or self.get("/v2/health/ready").status == 200)
        except OSError:
            return False

    @property
    def log(self) -> str:
        """All that the server has written."""
        return os.pread(self._log.fileno(), 2**20, 0).decode("utf-8", "replace")

    @property
    def memory(self) -> int:
        """Resident bytes of the process and its workers."""
        pages = 0
        for pid in (self.process.pid, *children(self.process.pid)):
            try:
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:  # it has ended since
                continue
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def peak(self) -> int:
        """The largest number of resident bytes that the process has had; 0 where there is no /proc."""
        try:
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        except OSError:
            return 0
        return int(found[1]) * 1024 if found else 0

    def stop(self) -> None:
        """End the server at once, with its workers."""
        for pid in (self.process.pid, *children(self.process.pid)):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        self.process.wait()
        self._log.close()

    def connect(self, receive_buffer: int = 0) -> socket.socket:
        """A connection. receive_buffer: bytes that the system keeps for a client that does not read."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", self.port))
        return sock

    def wait_until_read(self) -> None:
        """Until the server has accepted every connection and has read all that was sent on it; needs /proc."""
        end = time.monotonic() + START
        while time.monotonic() < end:
            lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            ours = [line for line in lines if line[3] == "01" and int(line[1].partition(":")[2], 16) == self.port]
            if all(int(line[4].partition(":")[2], 16) == 0 and line[9] != "0" for line in ours):
                return
            time.sleep(0.05)
        raise Silent("the server does not read what was sent")

    def head(self, line: str, *headers: str) -> bytes:
        """A request's first line and headers, with the right Host."""
        return "\r\n".join([line, f"Host: 127.0.0.1:{self.port}", *headers, "", ""]).encode("latin-1")

    def post(self, path: str, body: bytes) -> bytes:
        """A request with a JSON body, as bytes."""
        return self.head(f"POST {path} HTTP/1.1", TYPE, f"Content-Length: {len(body)}") + body

    def get(self, path: str) -> Answer:
        """The answer to a GET on a connection of its own."""
        return self.ask(self.head(f"GET {path} HTTP/1.1"))

    def ask(self, request: bytes) -> Answer:
        """The answer to one request on a connection of its own. Raises ConnectionError where there is none."""
        with self.connect() as sock:
            sock.sendall(request)
            for answer in read(sock):
                return answer
        raise ConnectionError("closed without an answer")


@contextmanager
def serving(*words: object, program: Sequence[str] = ("-m", "gatewise")) -> Iterator[Server]:
    """A server that ends with the block."""
    server = Server(*words, program=program)
    try:
        yield server
    finally:
        server.stop()


def children(pid: int) -> list[int]:
    """The worker processes of a server; none where there is no /proc. One that has ended has no command any more."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except OSError:  # it has ended since
            continue
        if parent == pid and command and b"resource_tracker" not in command:
            found.append(int(entry.name))
    return found


def read(sock: socket.socket, seconds: float = PATIENCE) -> Iterator[Answer]:
    """The answers on a connection until the server closes it. Raises Silent where it does nothing for `seconds`."""
    sock.settimeout(seconds)
    with sock.makefile("rb") as file:
        try:
            while answer := _next(file):
                yield answer
        except TimeoutError:
            raise Silent(f"no answer and no end within {seconds:g} s") from None


def _next(file: BinaryIO) -> Answer | None:
    """The next answer, also one that is not whole; None at the end."""
    lines: list[bytes] = []
    while not lines or lines[-1] not in (b"\r\n", b""):
        lines.append(_until_closed(file.readline))
    if not lines.pop():
        return Answer(0, {}, b"".join(lines), False) if lines else None
    first, *rest = (line.decode("latin-1").strip() for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    version, status, *_ = first.split(" ")
    if version != "HTTP/1.1" or "content-length" not in headers:
        raise ValueError(f"not a response of this server: {lines!r}")
    length = int(headers["content-length"])
    body = _until_closed(partial(file.read, length))
    return Answer(int(status), headers, body, len(body) == length)


def _until_closed(get: Callable[[], bytes]) -> bytes:
    """What comes; nothing where the connection was lost."""
    try:
        return get()
    except ConnectionError:
        return b""
