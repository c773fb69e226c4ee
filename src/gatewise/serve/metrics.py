"""Counters for Prometheus. Labels are routes, statuses and reasons: never a text, never a path that a client chose."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """What one worker counts. With several workers, which then share a folder named by PROMETHEUS_MULTIPROC_DIR, any of
    them tells the sum of all.
    """

    type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter("gatewise_requests", "Answers.", ("route", "status"), registry=registry)
        self._seconds = Histogram(
            "gatewise_request_seconds",
            "From headers to answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._items = Histogram("gatewise_batch_items", "Inputs that ran together.", buckets=_ITEMS, registry=registry)
        self._batches = Histogram("gatewise_batch_seconds", "A batch's time.", buckets=_SECONDS, registry=registry)
        self._refused = Counter(
            "gatewise_refused", "Requests that were never computed.", ("reason",), registry=registry
        )
        self.waiting = Gauge(
            "gatewise_waiting", "Inputs in the queues.", registry=registry, multiprocess_mode="livesum"
        )
        self._known: dict[tuple[str, int], tuple[Any, Any]] = {}
        for reason in ("queue", "deadline", "gone"):
            self._refused.labels(reason)

    def request(self, route: str, status: int, seconds: float) -> None:
        """One answer."""
        known = self._known.get((route, status))
        if known is None:
            known = self._known[route, status] = (
                self._requests.labels(route, str(status)),
                self._seconds.labels(route),
            )
        known[0].inc()
        known[1].observe(seconds)

    def batch(self, items: int, seconds: float) -> None:
        """One batch."""
        self._items.observe(items)
        self._batches.observe(seconds)

    def refused(self, reason: str) -> None:
        """A request that was not computed: queue, deadline or gone."""
        self._refused.labels(reason).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if folder is None:
            return generate_latest(self._registry)
        _forget_the_dead(folder)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _forget_the_dead(folder: str) -> None:
    """Take out the gauges of workers that are no more; their counters go on counting."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in Path(folder).glob("gauge_live*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
