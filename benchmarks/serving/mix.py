"""Many clients with unique texts: no response is lost or swapped, and each equals the offline prediction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.serving.client import closed, request_of
from benchmarks.serving.servers import gatewise
from gatewise.model.model import load


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


def run(model: Path, texts: Sequence[str], each: int, clients: int) -> dict[str, object]:
    """`each` requests per client; the results."""
    given = unique(texts, each * clients)
    server = gatewise(model)
    try:
        requests = [request_of(server.port, {"text": text, "id": str(n)}) for n, text in enumerate(given)]
        found = uvloop.run(closed(server.port, requests, clients, keep=True))
    finally:
        server.stop()
    assert found.statuses == {200: len(given)}, found.statuses
    worst = check(model, given, found.answers)
    print(f"{len(given):,} responses in {found.seconds:.0f} s, none lost or swapped; largest difference {worst:.1e}")
    return {"answers": len(given), "seconds": found.seconds, "worst": worst}
