"""Many clients at once: every answer is its own request's; and the memory stays where it is.

The full sizes (64 clients with 2,000 requests each, alone and while 30 users type on the page) are
`python -m benchmarks.serving mix` and `classroom`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.client import closed, request_of
from benchmarks.serving.mix import check, unique
from gatewise.text import KerasEncoding
from tests.serve.server import Server, serving
from tests.small_models import small_model

CLIENTS, EACH = 64, 100
WORDS = [f"w{n}" for n in range(500)]


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder, "--max-batch", 32) as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoding = KerasEncoding({word: rank for rank, word in enumerate(WORDS, 1)}, 504)
    path = tmp_path_factory.mktemp("unmixed") / "words"
    small_model(encoding, ("negative", "positive"), 9, embedding_dim=16, units=40).save(path)
    return path


def texts(count: int, longest: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, longest))) for _ in range(count)]


def requests_of(port: int, given: list[str]) -> list[bytes]:
    return [request_of(port, {"text": text, "id": str(n)}) for n, text in enumerate(given)]


def test_no_answer_is_lost_or_swapped(folder: Path, server: Server) -> None:
    given = unique(texts(997, 200, 1), CLIENTS * EACH)
    assert len(set(given)) == len(given)
    found = asyncio.run(closed(server.port, requests_of(server.port, given), CLIENTS, keep=True))
    assert found.statuses == {200: len(given)}
    check(folder, given, found.answers)


def test_clients_that_leave_do_not_shift_the_answers_of_others(folder: Path, server: Server) -> None:
    """Half of the requests are given up on after a random moment, while the other half is checked."""
    given = unique(texts(500, 200, 3), 1200)

    async def leave(server: Server, requests: list[bytes], seed: int) -> None:
        rng = np.random.default_rng(seed)
        for request in requests:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request)
            await asyncio.sleep(rng.exponential(0.003))
            writer.transport.abort()

    async def both(server: Server) -> dict[int, bytes]:
        requests = requests_of(server.port, given)
        gone = [leave(server, requests[n::8], n) for n in range(8)]
        found, *_ = await asyncio.gather(closed(server.port, requests, 24, keep=True), *gone)
        assert found.statuses == {200: len(given)}
        return found.answers

    check(folder, given, asyncio.run(both(server)))
