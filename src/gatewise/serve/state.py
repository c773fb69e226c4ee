"""What the routes share: the served models, their threads, the metrics."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from gatewise.errors import GatewiseError, InputError, quote
from gatewise.model import Model
from gatewise.model.model import load
from gatewise.serve.batch_queue import ExplainQueue
from gatewise.serve.endpoint import Endpoint, ModelEndpoint
from gatewise.serve.forecasts import ForecastEndpoint
from gatewise.serve.http_error import HTTPError
from gatewise.serve.metrics import Metrics
from gatewise.serve.settings import Settings
from gatewise.system.processes import RELOAD_SIGNAL

_MAX_EXPLANATIONS = 64  # that wait in one worker process
_MAX_ATTRIBUTIONS = 16  # that wait in one worker process
_ATTRIBUTION_TIMEOUTS = 3  # the timeout of an attribution, in queue timeouts

Kind = TypeVar("Kind", bound=Endpoint)


def load_models(settings: Settings) -> dict[str, Any]:
    """The models and forecasters by folder name. Raises InputError for an invalid or repeated name, ModelFileError for
    a bad folder.
    """
    open_folder: Any = settings.load or load
    models: dict[str, Any] = {}
    for path in settings.models:
        name = Path(path).resolve().name
        if not name.isascii() or not all(ch.isalnum() or ch in "._-" for ch in name):
            raise InputError(f"{quote(path)}: a served folder's name may hold ASCII letters, digits, '.', '_' and '-'")
        if name in models:
            raise InputError(f"{quote(path)}: a model {quote(name)} is already served; a model's name is its folder's")
        models[name] = open_folder(path, precision=settings.precision)
    return models


class State:
    """The state of one worker process. Every model makes a prediction at the start, so that the first request does not
    wait for lazy initialisation.

    models: the served models and forecasters by name. ready: whether the server is not stopping. refusing: whether
    requests that arrive now are answered with 503. explanations: the queue of predictions of the page, prefix
    predictions and units. attributions: the queue of explanations that take seconds. streams: the queue of long
    messages of WebSockets. open_streams: how many streams these have.

    Raises InputError, which names the model, where none can predict.
    """

    def __init__(self, models: Mapping[str, Any], settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._short = ThreadPoolExecutor(1, "gatewise-short")
        self._long = ThreadPoolExecutor(1, "gatewise-long")
        self.explanations = ExplainQueue("gatewise-explain", settings, _MAX_EXPLANATIONS, settings.queue_timeout)
        timeout = min(3600.0, _ATTRIBUTION_TIMEOUTS * settings.queue_timeout)
        self.attributions = ExplainQueue(
            "gatewise-attribution", settings, _MAX_ATTRIBUTIONS, timeout, returns_memory=True
        )
        # Each connection has one message at a time in the queue.
        self.streams = ExplainQueue("gatewise-streams", settings, settings.limit_concurrency, settings.queue_timeout)
        self.open_streams = 0
        self._reloading = threading.Lock()
        self._reload_waits = False
        self.models = dict(models)
        self.endpoints = self._endpoints_of(models, leave_out=True)
        self.ready = True
        self.refusing = False

    def _endpoints_of(self, models: Mapping[str, Any], *, leave_out: bool = False) -> dict[str, Endpoint]:
        """The endpoints of the models. leave_out: of several models, one that cannot predict is left out, with a line
        in the log; else, and where none is left, it is an InputError.
        """
        endpoints: dict[str, Endpoint] = {}
        reasons: list[InputError] = []
        for name, model in models.items():
            self.metrics.add_model(name)
            if not isinstance(model, Model):  # a forecaster was checked when its folder was read
                endpoints[name] = ForecastEndpoint(name, model, partial(self.metrics.rejected, name))
                continue
            endpoint = ModelEndpoint(name, model, self.settings, self._short, self._long, self.metrics)
            try:
                endpoint.predict_example()
            except InputError as error:
                reason = InputError(f"{quote(name)}: the model cannot predict an example: {error}")
                if not leave_out:
                    raise reason from error
                reasons.append(reason)
                continue
            endpoints[name] = endpoint
        if reasons and not endpoints:
            raise reasons[0]
        for reason in reasons:
            print(f"gatewise: {reason}; it is not served", file=sys.stderr, flush=True)
        return endpoints

    def reload(self) -> None:
        """Load all models again, and replace all served models at once. Requests that wait keep the model that they
        were sent to. Raises GatewiseError if a model cannot be loaded; the served models then stay as they are.
        """
        with self._reloading:
            self._reload_waits = False
            models = load_models(self.settings)
            self.endpoints = self._endpoints_of(models)
            self.models = models

    def try_reload(self) -> bool:
        """`reload`; False, with a line in the log, where the models stay as they are."""
        try:
            self.reload()
        except (GatewiseError, OSError, MemoryError) as error:
            reason = str(error) or type(error).__name__
            print(f"gatewise: the models stay as they are: {reason}", file=sys.stderr, flush=True)
            return False
        return True

    def reload_in_thread(self) -> None:
        """`reload` on SIGHUP, in a thread of its own. Its result is a line in the log. A call while another reload
        waits to begin does nothing: that reload will read the folders as they are now, or newer.
        """
        if self._reload_waits:
            return
        self._reload_waits = True

        def work() -> None:
            if self.try_reload():
                print(f"gatewise: reloaded {', '.join(self.endpoints)}", file=sys.stderr, flush=True)

        threading.Thread(target=work, daemon=True).start()

    def reload_others(self) -> None:
        """Make the other worker processes reload: their parent passes the signal on."""
        parent = multiprocessing.parent_process()
        if self.settings.workers > 1 and RELOAD_SIGNAL is not None and parent is not None and parent.is_alive():
            os.kill(parent.pid or 0, RELOAD_SIGNAL)

    def metrics_text(self) -> bytes:
        """The metrics in the text format of Prometheus."""
        for endpoint in self.of_kind(ModelEndpoint):
            self.metrics.queue_size.labels(endpoint.name).set(endpoint.short.size + endpoint.long.size)
        return self.metrics.text()

    def of_kind(self, kind: type[Kind]) -> list[Kind]:
        """The served models, or the served forecasters."""
        return [endpoint for endpoint in self.endpoints.values() if isinstance(endpoint, kind)]

    def endpoint(self, name: str | None, kind: type[Kind]) -> Kind:
        """The endpoint of that name, or the first one of that kind for None. Raises HTTPError (404)."""
        for endpoint in self.of_kind(kind):
            if name in (None, endpoint.name):
                return endpoint
        if kind is ForecastEndpoint:
            noun = "forecaster"
            others = "models"
        else:
            noun = "model"
            others = "forecasters"
        message = f"no {noun} is served"
        if name is not None:
            message = f"no {noun} of that name is served"
        if name is None or name in self.endpoints:
            message += f"; {others} answer other paths"
        raise HTTPError(404, "no_such_model", message, "model")

    def close(self) -> None:
        """Start no further work on the threads."""
        queues = (self.explanations, self.attributions, self.streams)
        for executor in (self._short, self._long, *(queue.executor for queue in queues)):
            executor.shutdown(wait=False, cancel_futures=True)
