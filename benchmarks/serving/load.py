"""Throughput of the servers in interleaved rounds. Before the first one, the responses of each server are compared with
the offline predictions.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import uvloop

from benchmarks.interleave import ratio
from benchmarks.serving.client import closed, request_of
from benchmarks.serving.servers import Server, gatewise, onnx
from benchmarks.worker_process import ContenderUnavailable
from gatewise.model.model import Model, load

_CHECKED = 100  # responses of each server that are compared
_TOLERANCE = 1e-4  # of a probability
_WARMUP = 300  # requests before a round that do not count


def run(model: Path, texts: Sequence[str], count: int, clients: int, rounds: int) -> dict[str, object]:
    """Start the servers, measure, print, stop them; the results."""
    servers: list[Server] = []
    try:
        _start(model, servers)
        offline = load(model)
        for server in servers:
            requests = [request_of(server.port, {"text": text}) for text in texts[:_CHECKED]]
            found = uvloop.run(closed(server.port, requests, clients, keep=True))
            check(server.name, offline, texts[:_CHECKED], found.answers)
        rates: dict[str, list[float]] = {server.name: [] for server in servers}
        for number in range(rounds):
            for server in servers[:: 1 if number % 2 == 0 else -1]:
                rates[server.name].append(_closed(server, _part(texts, count, number), clients))
        ours, alone, two, *peers = servers
        print(f"one kernel thread vs two: {ratio(rates[ours.name], rates[two.name]):.2f}x")
        results: dict[str, object] = {"rates": rates}
        print(f"batching vs none: {ratio(rates[ours.name], rates[alone.name]):.2f}x")
        results["batching"] = ratio(rates[ours.name], rates[alone.name])
        if peers:
            best = max((server.name for server in peers), key=lambda name: statistics.median(rates[name]))
            results |= {"peer": best, "vs_peer": ratio(rates[ours.name], rates[best])}
            print(f"vs {best}: {results['vs_peer']:.2f}x (target: 1.5)")
        return results
    finally:
        for server in servers:
            server.stop()


def check(name: str, model: Model, texts: Sequence[str], answers: Mapping[int, bytes]) -> None:
    """Raise RuntimeError, which begins with `name`, unless the responses, by the index of their text, have the
    probabilities of the model.
    """
    if set(answers) != set(range(len(texts))):
        raise RuntimeError(f"{name}: {len(answers)} responses for {len(texts)} texts")
    predictions = [json.loads(answers[n])["predictions"][0]["probabilities"] for n in range(len(texts))]
    found = np.array([[one[label] for label in model.classes] for one in predictions])
    worst = float(np.abs(found - model.predict_proba(texts)).max())
    if not worst <= _TOLERANCE:
        raise RuntimeError(f"{name}: a probability differs by {worst:.1e} from the offline prediction")


def _start(model: Path, servers: list[Server]) -> None:
    """Start the servers one by one; those before one that fails are in the list, to be stopped."""
    for flags in ([], ["--max-batch", "1"], ["--threads", "2"]):
        servers.append(gatewise(model, flags))
    for way, threads in (("threads", 1), ("async", 1), ("async", 2)):
        try:
            servers.append(onnx(model.parent, way, threads))
        except ContenderUnavailable as reason:
            print(f"without ONNX Runtime: {reason}")
            break


def _part(texts: Sequence[str], count: int, number: int) -> list[str]:
    return [texts[(number * count + n) % len(texts)] for n in range(count)]


def _closed(server: Server, texts: Sequence[str], clients: int) -> float:
    requests = [request_of(server.port, {"text": text}) for text in texts]
    uvloop.run(closed(server.port, requests[:_WARMUP], clients))
    before = server.cpu
    found = uvloop.run(closed(server.port, requests, clients))
    used = (server.cpu - before) / len(requests) * 1e6
    print(
        f"{server.name:32} {found.rate:6.0f} per second, p50 {found.percentile(50):5.1f} ms, "
        f"p99 {found.percentile(99):5.1f} ms, {used:4.0f} µs of CPU per request",
        flush=True,
    )
    if set(found.statuses) != {200}:
        raise RuntimeError(f"{server.name}: {found.statuses}")
    return found.rate
