"""A server under load, as a task: each of many connections sends its next request after the last response, which gives
the maximum throughput. The client is raw HTTP/1.1 on asyncio: about 30 µs of processor time per request.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from benchmarks.contenders.base import Arrays, Settings, Task

CHECKED = 100  # responses that are compared
WARMUP = 300  # requests of a run that do not count
_RUNNING = ExitStack()  # the server of this process
atexit.register(_RUNNING.close)


def after_the_last() -> ExitStack:
    """What ends with the next server of this process, or with the process. The server before it has ended."""
    _RUNNING.close()
    return _RUNNING


class _Connection(asyncio.Protocol):
    """One connection, one request at a time. done(connection, body): after a response; None for a lost connection."""

    def __init__(self, done: Callable[[_Connection, bytes | None], None]) -> None:
        self._done, self._buffer, self.number = done, b"", -1

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._done(self, None)

    def send(self, number: int, request: bytes) -> None:
        self.number = number
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            assert head.startswith(b"HTTP/1.1 200"), self._buffer[:300]
            self._buffer = b""
            self._done(self, body)


async def _answers(port: int, requests: Sequence[bytes], clients: int) -> dict[int, bytes]:
    """The bodies of all responses by the number of the request. Raises ConnectionError for a lost connection."""
    loop = asyncio.get_running_loop()
    found, waiting, finished = dict[int, bytes](), deque(enumerate(requests)), loop.create_future()

    def done(connection: _Connection, body: bytes | None) -> None:
        if finished.done():
            return
        if body is None:
            finished.set_exception(ConnectionError("the server closed a connection before the last response"))
            return
        found[connection.number] = body
        if waiting:
            connection.send(*waiting.popleft())
        elif len(found) == len(requests):
            finished.set_result(None)

    opened = [await loop.create_connection(lambda: _Connection(done), "127.0.0.1", port) for _ in range(clients)]
    connections = [connection for _, connection in opened]
    for connection in connections[: len(waiting)]:
        connection.send(*waiting.popleft())
    await finished
    for connection in connections:
        connection.transport.close()
    return found


def task(port: int, pid: int, settings: Settings, arrays: Arrays, info: dict[str, str]) -> Task:
    """One run is `requests` predictions over `clients` connections, of the next texts; seconds per request, with `cpu`
    of the server's processor time.
    """
    texts, clients = arrays["texts"].tolist(), settings["clients"]
    following = cycle(texts)

    def request(text: str) -> bytes:
        raw = json.dumps({"text": text}).encode()
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw

    def now() -> float:
        if not settings["cpu"]:
            return time.perf_counter()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run() -> float:
        warmup, requests = (list(map(request, islice(following, n))) for n in (WARMUP, settings["requests"]))
        uvloop.run(_answers(port, warmup, clients))
        began = now()
        uvloop.run(_answers(port, requests, clients))
        return (now() - began) / len(requests)

    def check() -> Arrays:
        answers = uvloop.run(_answers(port, list(map(request, texts[:CHECKED])), clients))
        found = [json.loads(answers[n])["predictions"][0]["probabilities"]["positive"] for n in range(CHECKED)]
        return {"probability": np.array(found)}

    return Task(run, info, check)
