"""Prometheus metrics. Labels are routes, statuses and reasons, never a text or a path from a client."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gatewise.system.processes import is_alive

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The metrics of one worker process. Several workers share the folder PROMETHEUS_MULTIPROC_DIR, and each of them
    reports the sum.
    """

    type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter("gatewise_requests", "Responses.", ("route", "status"), registry=registry)
        self._seconds = Histogram(
            "gatewise_request_seconds",
            "From the request's headers to the response.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._sizes = Histogram("gatewise_batch_size", "Inputs per batch.", buckets=_SIZES, registry=registry)
        self._batches = Histogram("gatewise_batch_seconds", "Time per batch.", buckets=_SECONDS, registry=registry)
        self._rejected = Counter("gatewise_rejected", "Requests not computed.", ("reason",), registry=registry)
        self.queue_size = Gauge(
            "gatewise_queue_size", "Inputs in the queues.", registry=registry, multiprocess_mode="livesum"
        )
        self._by_route: dict[tuple[str, int], tuple[Any, Any]] = {}
        for reason in ("queue_full", "timeout", "disconnected"):
            self._rejected.labels(reason)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one response."""
        found = self._by_route.get((route, status))
        if found is None:
            found = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._by_route[route, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        """Count one batch."""
        self._sizes.observe(size)
        self._batches.observe(seconds)

    def rejected(self, reason: str) -> None:
        """Count a request that was not computed: queue_full, timeout or disconnected."""
        self._rejected.labels(reason).inc()

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if folder is None:
            return generate_latest(self._registry)
        _drop_gauges_of_dead_workers(folder)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _drop_gauges_of_dead_workers(folder: str) -> None:
    """The counters of dead workers stay in the sum; their gauges do not."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in Path(folder).glob("gauge_live*.db")}:
        if not is_alive(pid):
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
