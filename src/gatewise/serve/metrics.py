"""Prometheus metrics. Labels are models, routes, statuses and reasons, never a text or a path from a client."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from gatewise.system.processes import is_alive

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def share_metrics(folder: str) -> Iterator[None]:
    """Let the processes that start inside of the context count in files of this folder."""
    before = os.environ.get(_FOLDER)
    os.environ[_FOLDER] = folder
    # prometheus_client reads the variable when it is imported, which has happened.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FOLDER]
        else:
            os.environ[_FOLDER] = before
        values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one worker process. Several workers share a folder (`share_metrics`), and each of them reports the
    sum. A model is "" where a request names none.
    """

    type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._responses = Counter("gatewise_requests", "Responses.", ("route", "model", "status"), registry=registry)
        self._response_seconds = Histogram(
            "gatewise_request_seconds",
            "From the request's headers to the response.",
            ("route", "model"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch_sizes = Histogram(
            "gatewise_batch_size", "Inputs per batch.", ("model",), buckets=_SIZES, registry=registry
        )
        self._batch_seconds = Histogram(
            "gatewise_batch_seconds", "Time per batch.", ("model",), buckets=_SECONDS, registry=registry
        )
        self._rejected = Counter("gatewise_rejected", "Requests not computed.", ("model", "reason"), registry=registry)
        self.queue_size = Gauge(
            "gatewise_queue_size", "Inputs in the queues.", ("model",), multiprocess_mode="livesum", registry=registry
        )
        # `labels` of prometheus_client takes a lock and builds a key, so its results are kept.
        self._by_route: dict[tuple[str, str, int], tuple[Any, Any]] = {}
        self._by_model: dict[str, tuple[Any, Any]] = {}

    def add_model(self, model: str) -> None:
        """Report all metrics of a model, with 0 before its first request."""
        self._by_model[model] = (self._batch_sizes.labels(model), self._batch_seconds.labels(model))
        for reason in ("queue_full", "timeout", "disconnected"):
            self._rejected.labels(model, reason)

    def request(self, route: str, model: str, status: int, seconds: float) -> None:
        """Count one response."""
        if (route, model, status) not in self._by_route:
            counter = self._responses.labels(route, model, str(status))
            histogram = self._response_seconds.labels(route, model)
            self._by_route[route, model, status] = (counter, histogram)
        counter, histogram = self._by_route[route, model, status]
        counter.inc()
        histogram.observe(seconds)

    def batch(self, model: str, size: int, seconds: float) -> None:
        """Count one batch."""
        sizes, batches = self._by_model[model]
        sizes.observe(size)
        batches.observe(seconds)

    def rejected(self, model: str, reason: str) -> None:
        """Count a request that was not computed: queue_full, timeout or disconnected."""
        self._rejected.labels(model, reason).inc()

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        folder = os.environ.get(_FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        for pid in {int(path.stem.rpartition("_")[2]) for path in Path(folder).glob("gauge_live*.db")}:
            # The counters of a worker that has ended stay in the sum. Its gauges do not: its queue is gone.
            if not is_alive(pid):
                mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
