"""Throughput of the servers in turns, then the latency of ours at 70% of its own maximum."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import uvloop

from benchmarks.interleave import ratio
from benchmarks.serving.client import closed, open_, request_of
from benchmarks.serving.servers import Server, gatewise, onnx
from benchmarks.worker_process import ContenderUnavailable

__all__ = ["run"]

_LEAD = 300  # requests before a turn that do not count


def run(model: Path, texts: Sequence[str], count: int, clients: int, turns: int) -> dict[str, object]:
    """Start the servers, measure, print, stop them; what was found."""
    servers = _start(model)
    try:
        rates: dict[str, list[float]] = {server.name: [] for server in servers}
        for turn in range(turns):
            for server in servers[:: 1 if turn % 2 == 0 else -1]:
                rates[server.name].append(_closed(server, _part(texts, count, turn), clients))
        ours, alone, two, *peers = servers
        print(f"one kernel thread against two: {ratio(rates[ours.name], rates[two.name]):.2f}x")
        found: dict[str, object] = {"rates": rates}
        print(f"micro-batching against none: {ratio(rates[ours.name], rates[alone.name]):.2f}x")
        found["batching"] = ratio(rates[ours.name], rates[alone.name])
        if peers:
            best = max((server.name for server in peers), key=lambda name: statistics.median(rates[name]))
            found |= {"peer": best, "against_peer": ratio(rates[ours.name], rates[best])}
            print(f"against {best}: {found['against_peer']:.2f}x (bar: 1.5)")
        most = statistics.median(rates[ours.name])
        requests = [request_of(ours.port, {"text": text}) for text in _part(texts, 2 * count, turns)]
        open_loop = uvloop.run(open_(ours.port, requests, 0.7 * most))
        p50, p99 = open_loop.percentile(50), open_loop.percentile(99)
        print(f"at 70% of {most:.0f} a second ({open_loop.rate:.0f}): p50 {p50:.1f} ms, p99 {p99:.1f} ms (bar: 50)")
        return found | {"at": 0.7 * most, "p50_ms": p50, "p99_ms": p99, "statuses": open_loop.statuses}
    finally:
        for server in servers:
            server.stop()


def _start(model: Path) -> list[Server]:
    servers = [gatewise(model), gatewise(model, ["--max-batch", "1"]), gatewise(model, ["--threads", "2"])]
    for way, threads in (("threads", 1), ("async", 1), ("async", 2)):
        try:
            servers.append(onnx(model.parent, way, threads))
        except ContenderUnavailable as reason:
            print(f"without ONNX Runtime: {reason}")
            break
    return servers


def _part(texts: Sequence[str], count: int, turn: int) -> list[str]:
    return [texts[(turn * count + n) % len(texts)] for n in range(count)]


def _closed(server: Server, texts: Sequence[str], clients: int) -> float:
    requests = [request_of(server.port, {"text": text}) for text in texts]
    uvloop.run(closed(server.port, requests[:_LEAD], clients))
    before = server.cpu
    found = uvloop.run(closed(server.port, requests, clients))
    used = (server.cpu - before) / len(requests) * 1e6
    print(
        f"{server.name:32} {found.rate:6.0f} a second, p50 {found.percentile(50):5.1f} ms, "
        f"p99 {found.percentile(99):5.1f} ms, {used:4.0f} µs of processor a request",
        flush=True,
    )
    if set(found.statuses) != {200}:
        raise RuntimeError(f"{server.name}: {found.statuses}")
    return found.rate
