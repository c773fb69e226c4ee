"""A load generator with little CPU time of its own: raw HTTP/1.1 on asyncio, about 30 µs per request.

`closed` is a closed loop: each connection sends its next request after the last response, which gives the maximum
throughput.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Outcome:
    """seconds: from the first request to the last response; latencies (n,) seconds; statuses: number of responses by
    status; answers: the body by request, if kept.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    answers: dict[int, bytes] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Responses per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, p: float) -> float:
        """A percentile of the latency in milliseconds."""
        return float(np.percentile(self.latencies, p)) * 1e3


def request_of(port: int, body: dict[str, Any], path: str = "/predict") -> bytes:
    """The bytes of one POST."""
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(raw) + raw


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, done: Callable[[_Connection, int, bytes], None]) -> None:
        self._done = done
        self._buffer = b""
        self.key = -1
        self.began = 0.0
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def send(self, key: int, request: bytes, began: float) -> None:
        self.key, self.began = key, began
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.index(b"content-length:") + 15
        stop = head.find(b"\r\n", at)
        length = int(head[at : stop if stop >= 0 else end])
        if len(self._buffer) >= end + 4 + length:
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], b""
            self._done(self, int(head[9:12]), body)


async def closed(port: int, requests: Sequence[bytes], clients: int, keep: bool = False) -> Outcome:
    """All requests, over `clients` connections that each take the next one."""
    found, waiting = Outcome(), deque(enumerate(requests))
    finished = asyncio.get_running_loop().create_future()

    def done(connection: _Connection, status: int, body: bytes) -> None:
        now = time.perf_counter()
        _record(found, connection, status, body, now, keep)
        if waiting:
            connection.send(*waiting.popleft(), now)
        elif len(found.latencies) == len(requests) and not finished.done():
            finished.set_result(None)

    connections = await _connect(port, clients, done)
    began = time.perf_counter()
    for connection in connections:
        if waiting:
            connection.send(*waiting.popleft(), time.perf_counter())
    await _until(finished, connections)
    found.seconds = time.perf_counter() - began
    return found


def _record(found: Outcome, connection: _Connection, status: int, body: bytes, now: float, keep: bool) -> None:
    found.latencies.append(now - connection.began)
    found.statuses[status] = found.statuses.get(status, 0) + 1
    if keep:
        found.answers[connection.key] = body


async def _connect(port: int, clients: int, done: Callable[[_Connection, int, bytes], None]) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(lambda: _Connection(done), "127.0.0.1", port))[1] for _ in range(clients)]


async def _until(finished: asyncio.Future[None], connections: list[_Connection]) -> None:
    """Wait for the last response. Raises ConnectionError for a connection that is lost before it."""
    await asyncio.wait(
        [finished, *(connection.lost for connection in connections)], return_when=asyncio.FIRST_COMPLETED
    )
    if not finished.done():
        raise ConnectionError("the server closed a connection before the last response")
    for connection in connections:
        connection.transport.close()
