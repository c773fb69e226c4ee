"""What the routes share: the served models, their threads, the metrics."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gatewise.errors import GatewiseError, InputError, quote
from gatewise.model.model import Model, load
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.explain_queue import ExplainQueue
from gatewise.serve.http_error import HTTPError
from gatewise.serve.metrics import Metrics
from gatewise.serve.settings import Settings
from gatewise.system.processes import RELOAD_SIGNAL

# Those that may run or wait, for each worker process.
_MAX_EXPLANATIONS = 64
_MAX_ATTRIBUTIONS = 16
_ATTRIBUTION_TIMEOUTS = 3  # an attribution may take so many times the queue timeout


def load_models(settings: Settings) -> dict[str, Model]:
    """The models by folder name. Raises InputError for an invalid or repeated name, ModelFileError for a bad folder."""
    found: dict[str, Model] = {}
    for path in settings.models:
        name = Path(path).resolve().name
        if not name.isascii() or not all(ch.isalnum() or ch in "._-" for ch in name):
            raise InputError(f"{quote(path)}: a served folder's name may hold ASCII letters, digits, '.', '_' and '-'")
        if name in found:
            raise InputError(f"{quote(path)}: a model {quote(name)} is already served; a model's name is its folder's")
        found[name] = load(path, precision=settings.precision)  # type: ignore[arg-type]
    return found


class State:
    """The state of one worker process. Every model has made a prediction, so the first request does not pay for lazy
    initialisation. ready: whether the server is not stopping. explanations: predictions of the page, prefix predictions
    and units; attributions: what takes seconds. Raises InputError naming a model that cannot predict.
    """

    def __init__(self, models: Mapping[str, Model], settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._short, self._long = ThreadPoolExecutor(1, "gatewise-short"), ThreadPoolExecutor(1, "gatewise-long")
        timeout = settings.queue_timeout
        self.explanations = ExplainQueue("gatewise-explain", _MAX_EXPLANATIONS, timeout)
        self.attributions = ExplainQueue(
            "gatewise-attribution", _MAX_ATTRIBUTIONS, _ATTRIBUTION_TIMEOUTS * timeout, returns_memory=True
        )
        self._reloading = threading.Lock()
        self.endpoints = self._endpoints_of(models)
        self.ready = True

    def _endpoints_of(self, models: Mapping[str, Model]) -> dict[str, ModelEndpoint]:
        found: dict[str, ModelEndpoint] = {}
        for name, model in models.items():
            self.metrics.add_model(name)
            found[name] = ModelEndpoint(name, model, self.settings, self._short, self._long, self.metrics)
            try:
                found[name].predict_example()
            except InputError as error:
                raise InputError(f"{quote(name)}: the model cannot predict an example: {error}") from error
        return found

    def reload(self) -> None:
        """Load all models again, and serve them instead of the present ones, all at once. Requests that wait keep the
        model that they were sent to. Raises GatewiseError, and serves what it served, if one cannot be loaded.
        """
        with self._reloading:
            self.endpoints = self._endpoints_of(load_models(self.settings))

    def reload_in_thread(self) -> None:
        """`reload` on SIGHUP, in a thread of its own. The log says what came of it."""

        def work() -> None:
            try:
                self.reload()
                print(f"gatewise: reloaded {', '.join(self.endpoints)}", file=sys.stderr, flush=True)
            except GatewiseError as error:
                print(f"gatewise: the models stay as they are: {error}", file=sys.stderr, flush=True)

        threading.Thread(target=work, daemon=True).start()

    def reload_others(self) -> None:
        """Let the other worker processes reload: their parent passes the signal on."""
        if self.settings.workers > 1 and RELOAD_SIGNAL is not None:
            os.kill(os.getppid(), RELOAD_SIGNAL)

    def metrics_text(self) -> bytes:
        """The metrics in the text format of Prometheus."""
        for name, endpoint in self.endpoints.items():
            self.metrics.queue_size.labels(name).set(endpoint.short.size + endpoint.long.size)
        return self.metrics.text()

    def endpoint(self, name: str | None) -> ModelEndpoint:
        """The model of that name, the default model for None. Raises HTTPError (404)."""
        endpoints = self.endpoints
        if name is None:
            return next(iter(endpoints.values()))
        if name not in endpoints:
            raise HTTPError(404, "no_such_model", "no model of that name is served", "model")
        return endpoints[name]

    def close(self) -> None:
        """Start no further work on the threads."""
        for executor in (self._short, self._long, self.explanations.executor, self.attributions.executor):
            executor.shutdown(wait=False, cancel_futures=True)
