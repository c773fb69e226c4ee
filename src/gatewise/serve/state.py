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
from gatewise.model.model import Model, load
from gatewise.serve.batch_queue import ExplainQueue
from gatewise.serve.endpoint import Endpoint, ModelEndpoint
from gatewise.serve.forecasts import ForecastEndpoint
from gatewise.serve.http_error import HTTPError
from gatewise.serve.metrics import Metrics
from gatewise.serve.settings import Settings
from gatewise.system.processes import RELOAD_SIGNAL

# Those that may wait, for each worker process.
_MAX_EXPLANATIONS = 64
_MAX_ATTRIBUTIONS = 16
_ATTRIBUTION_TIMEOUTS = 3  # an attribution may take so many times the queue timeout

Kind = TypeVar("Kind", bound=Endpoint)


def load_models(settings: Settings) -> dict[str, Any]:
    """The models and forecasters by folder name. Raises InputError for an invalid or repeated name, ModelFileError for
    a bad folder.
    """
    found: dict[str, Model] = {}
    for path in settings.models:
        name = Path(path).resolve().name
        if not name.isascii() or not all(ch.isalnum() or ch in "._-" for ch in name):
            raise InputError(f"{quote(path)}: a served folder's name may hold ASCII letters, digits, '.', '_' and '-'")
        if name in found:
            raise InputError(f"{quote(path)}: a model {quote(name)} is already served; a model's name is its folder's")
        open_folder: Any = settings.load or load
        found[name] = open_folder(path, precision=settings.precision)
    return found


class State:
    """The state of one worker process. Every model has made a prediction, so the first request does not pay for lazy
    initialisation. models: what is served, by name. ready: whether the server is not stopping. refusing: whether
    requests that arrive now are answered with 503. explanations: predictions of the page, prefix predictions
    and units; attributions: what takes seconds. Raises InputError naming a model that cannot predict.
    """

    def __init__(self, models: Mapping[str, Any], settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._short, self._long = ThreadPoolExecutor(1, "gatewise-short"), ThreadPoolExecutor(1, "gatewise-long")
        quick, slow = settings.queue_timeout, min(3600.0, _ATTRIBUTION_TIMEOUTS * settings.queue_timeout)
        self.explanations = ExplainQueue("gatewise-explain", settings, _MAX_EXPLANATIONS, quick)
        self.attributions = ExplainQueue("gatewise-attribution", settings, _MAX_ATTRIBUTIONS, slow, returns_memory=True)
        self._reloading = threading.Lock()
        self._reload_waits = False
        self.models = dict(models)
        self.endpoints = self._endpoints_of(models)
        self.ready = True
        self.refusing = False

    def _endpoints_of(self, models: Mapping[str, Any]) -> dict[str, Endpoint]:
        found: dict[str, Endpoint] = {}
        for name, model in models.items():
            self.metrics.add_model(name)
            if not isinstance(model, Model):  # its forecasts were checked when its folder was read
                found[name] = ForecastEndpoint(name, model, partial(self.metrics.rejected, name))
                continue
            made = found[name] = ModelEndpoint(name, model, self.settings, self._short, self._long, self.metrics)
            try:
                made.predict_example()
            except InputError as error:
                raise InputError(f"{quote(name)}: the model cannot predict an example: {error}") from error
        return found

    def reload(self) -> None:
        """Load all models again, and serve them instead of the present ones, all at once. Requests that wait keep the
        model that they were sent to. Raises GatewiseError, and serves what it served, if one cannot be loaded.
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
        """`reload` on SIGHUP, in a thread of its own. The log says what came of it. A reload that has not begun yet
        reads the folders as they are then, so a second one does not wait behind it.
        """
        if self._reload_waits:
            return
        self._reload_waits = True

        def work() -> None:
            if self.try_reload():
                print(f"gatewise: reloaded {', '.join(self.endpoints)}", file=sys.stderr, flush=True)

        threading.Thread(target=work, daemon=True).start()

    def reload_others(self) -> None:
        """Let the other worker processes reload: their parent passes the signal on."""
        parent = multiprocessing.parent_process()
        if self.settings.workers > 1 and RELOAD_SIGNAL is not None and parent is not None and parent.is_alive():
            os.kill(parent.pid or 0, RELOAD_SIGNAL)

    def metrics_text(self) -> bytes:
        """The metrics in the text format of Prometheus."""
        for one in self.of_kind(ModelEndpoint):
            self.metrics.queue_size.labels(one.name).set(one.short.size + one.long.size)
        return self.metrics.text()

    def of_kind(self, kind: type[Kind]) -> list[Kind]:
        """The served models, or the served forecasters."""
        return [one for one in self.endpoints.values() if isinstance(one, kind)]

    def endpoint(self, name: str | None, kind: type[Kind]) -> Kind:
        """What is served under that name, the first one of that kind for None. Raises HTTPError (404)."""
        found = next((one for one in self.of_kind(kind) if name in (None, one.name)), None)
        if found is not None:
            return found
        noun, other = ("forecaster", "models") if kind is ForecastEndpoint else ("model", "forecasters")
        of_name = "" if name is None else " of that name"
        hint = f"; {other} answer other paths" if name is None or name in self.endpoints else ""
        raise HTTPError(404, "no_such_model", f"no {noun}{of_name} is served{hint}", "model")

    def close(self) -> None:
        """Start no further work on the threads."""
        for executor in (self._short, self._long, self.explanations.executor, self.attributions.executor):
            executor.shutdown(wait=False, cancel_futures=True)
