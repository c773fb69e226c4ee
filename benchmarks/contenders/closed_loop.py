"""A server under load, as a task: each of many connections sends its next request after the last response, which gives
the maximum throughput. The client is raw HTTP/1.1 on asyncio: about 12 µs of processor time per request.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

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


async def _answers(port: int, requests: Sequence[bytes], clients: int) -> dict[int, bytes]:
    """The bodies of all responses by the number of the request. Raises ExceptionGroup for a lost connection."""
    waiting, found = iter(enumerate(requests)), dict[int, bytes]()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, request in waiting:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            found[number] = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
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
