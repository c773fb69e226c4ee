"""Many clients with unique texts on /predict, alone or while others type on the page: no response is lost or swapped,
and each equals the offline prediction.

A typist has the traffic of the page (page/loader.js): one request in flight, the prediction first and the prefix
predictions second, and after each response the newest text.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.serving.client import Outcome, closed, request_of
from benchmarks.serving.servers import gatewise
from gatewise.model.model import load

TYPISTS = 30
PAUSE = 0.2  # seconds per key
_LONGEST = 300  # characters that a typist types before the next text


@dataclass
class Typed:
    """The responses of the typists. texts, answers: in the same order. latencies: seconds of each response."""

    texts: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)


async def typist(port: int, texts: Sequence[str], pause: float, stop: asyncio.Event, found: Typed) -> None:
    """Type the texts, one after the other and again from the first, a key per `pause` seconds, until `stop`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    turn = 0
    while not stop.is_set():
        text, began, sent = texts[turn % len(texts)][:_LONGEST], time.perf_counter(), 0
        while sent < len(text) and not stop.is_set():
            keys = min(len(text), 1 + int((time.perf_counter() - began) / pause))
            if keys == sent:
                await asyncio.sleep(pause / 4)
                continue
            sent = keys
            if text[:sent].strip():
                for include in (["prediction"], ["prediction", "prefix"]):
                    await _ask(reader, writer, port, text[:sent], include, found)
        turn += 1
    writer.close()


async def _ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    port: int,
    text: str,
    include: list[str],
    found: Typed,
) -> None:
    began = time.perf_counter()
    writer.write(request_of(port, {"text": text, "include": include}, "/explain"))
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    answer, status = await reader.readexactly(length), int(head[9:12])
    found.statuses[status] = found.statuses.get(status, 0) + 1
    found.latencies.append(time.perf_counter() - began)
    found.texts.append(text)
    found.answers.append(answer)


def unique(texts: Sequence[str], count: int) -> list[str]:
    """`count` unique texts: the reviews, repeated, each after its number."""
    return [f"{n} {texts[n % len(texts)]}" for n in range(count)]


def check(model: Path, texts: Sequence[str], answers: dict[int, bytes]) -> float:
    """The largest difference from the offline probabilities. Raises AssertionError for a missing response, and for one
    with the id, the length or the probabilities of another request.
    """
    assert sorted(answers) == list(range(len(texts))), "an answer is missing"
    found = load(model)
    expected = np.concatenate([found.predict_proba(texts[n : n + 1000]) for n in range(0, len(texts), 1000)])
    worst = 0.0
    for n, text in enumerate(texts):
        answer = json.loads(answers[n])
        (one,) = answer["predictions"]
        assert answer["id"] == str(n), f"request {n} got the answer of {answer['id']}"
        assert one["steps"] == len(found.preprocessor.encode_batch([text])[0]), f"request {n}: another text's length"
        got = [one["probabilities"][name] for name in found.classes]
        worst = max(worst, float(np.abs(np.array(got) - expected[n]).max()))
    assert worst <= 1e-5, f"an answer is off by {worst}"
    return worst


async def both(
    port: int, requests: Sequence[bytes], clients: int, typed: Sequence[Sequence[str]], pause: float
) -> tuple[Outcome, Typed]:
    """All requests on `clients` connections, and meanwhile one typist per list of `typed`."""
    stop, found = asyncio.Event(), Typed()
    typists = [asyncio.create_task(typist(port, texts, pause, stop, found)) for texts in typed]
    try:
        outcome = await closed(port, requests, clients, keep=True)
    finally:
        stop.set()
    await asyncio.gather(*typists)
    return outcome, found


def check_typed(model: Path, found: Typed) -> float:
    """The largest difference of a typist's responses from the offline probabilities, by the text of the request. Raises
    AssertionError for an error, and for a response with the length or the probability of another text.
    """
    assert set(found.statuses) == {200}, found.statuses
    opened = load(model)
    expected = np.concatenate(
        [opened.predict_proba(found.texts[n : n + 1000]) for n in range(0, len(found.texts), 1000)]
    )
    worst = 0.0
    for text, answer, row in zip(found.texts, map(json.loads, found.answers), expected, strict=True):
        steps = len(opened.preprocessor.encode(text)[1])
        assert answer["text"]["steps"] == steps, f"another text's length: {answer['text']['steps']}, not {steps}"
        shown = answer["prediction"]["probability"]
        own = row[list(opened.classes).index(answer["prediction"]["target"])]
        worst = max(worst, abs(shown - float(own)))
        if "prefix" in answer:
            worst = max(worst, abs(answer["prefix"]["probability"][-1] - shown))
    assert worst <= 1e-4, f"an answer is off by {worst}"
    return worst


def run(model: Path, texts: Sequence[str], each: int, clients: int, typists: int) -> dict[str, object]:
    """`each` requests per client, with `typists` on the page; the results."""
    given = unique(texts, each * clients)
    typed = [[f"{n} {text}" for text in texts[n::typists][:50]] for n in range(typists)]
    server = gatewise(model)
    try:
        requests = [request_of(server.port, {"text": text, "id": str(n)}) for n, text in enumerate(given)]
        outcome, found = uvloop.run(both(server.port, requests, clients, typed, PAUSE))
    finally:
        server.stop()
    assert outcome.statuses == {200: len(given)}, outcome.statuses
    results: dict[str, object] = {"answers": len(given), "seconds": outcome.seconds, "p99_ms": outcome.percentile(99)}
    worst = check(model, given, outcome.answers)
    if typists:
        worst = max(worst, check_typed(model, found))
        results |= {"typed": len(found.answers), "typed_p95_ms": 1e3 * float(np.percentile(found.latencies, 95))}
    results["worst"] = worst
    print("none lost or swapped;", results)
    return results
