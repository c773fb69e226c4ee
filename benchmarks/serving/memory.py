"""Memory growth: requests of random length, and the server's resident memory after each twentieth of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.serving.client import closed, request_of
from benchmarks.serving.servers import gatewise

PARTS = 20


def run(model: Path, texts: Sequence[str], count: int, clients: int) -> dict[str, object]:
    """`count` requests of log-uniform lengths of 1 to 2,000 words; the resident memory (MB), and its slope over the
    last three quarters, in MB per 100,000 requests.
    """
    rng = np.random.default_rng(0)
    words = " ".join(texts[:500]).split()
    server = gatewise(model)
    sizes = []
    try:
        for part in range(PARTS):
            lengths = np.exp(rng.uniform(0, np.log(2000), count // PARTS)).astype(int)
            starts = rng.integers(0, len(words) - 2000, len(lengths))
            parts = [" ".join(words[s : s + n]) for s, n in zip(starts, lengths, strict=True)]
            requests = [request_of(server.port, {"text": text}) for text in parts]
            found = uvloop.run(closed(server.port, requests, clients))
            assert set(found.statuses) == {200}, found.statuses
            sizes.append(server.memory)
            print(f"{(part + 1) * (count // PARTS):8,} requests: {sizes[-1]:.1f} MB", flush=True)
    finally:
        server.stop()
    later = sizes[PARTS // 4 :]
    slope = float(np.polyfit(np.arange(len(later)), later, 1)[0]) * PARTS * 100_000 / count
    print(f"slope after the first quarter: {slope:+.2f} MB per 100,000 requests")
    return {"megabytes": sizes, "slope": slope}
