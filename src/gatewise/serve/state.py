"""What the routes share: the served models, their threads, the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

from gatewise.errors import InputError, quote
from gatewise.model.model import Model, load
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.explain_queue import ExplainQueue
from gatewise.serve.http_error import HTTPError
from gatewise.serve.metrics import Metrics
from gatewise.serve.settings import Settings

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
    """The state of one worker process. ready: whether every model has made a prediction and the server is not
    stopping. explanations: predictions of the page, prefix predictions and units; attributions: what takes seconds.
    """

    def __init__(self, models: Mapping[str, Model], settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        short, long = ThreadPoolExecutor(1, "gatewise-short"), ThreadPoolExecutor(1, "gatewise-long")
        timeout, rejected = settings.queue_timeout, self.metrics.rejected
        self.explanations = ExplainQueue("gatewise-explain", _MAX_EXPLANATIONS, timeout, rejected)
        self.attributions = ExplainQueue(
            "gatewise-attribution", _MAX_ATTRIBUTIONS, _ATTRIBUTION_TIMEOUTS * timeout, rejected, returns_memory=True
        )
        self._executors = (short, long, self.explanations.executor, self.attributions.executor)
        self.endpoints: Mapping[str, ModelEndpoint] = MappingProxyType(
            {name: ModelEndpoint(name, model, settings, short, long, self.metrics) for name, model in models.items()}
        )
        self.default = next(iter(self.endpoints.values()))
        self.ready = False

    def warm_up(self) -> None:
        """Make one prediction with every model, then report ready. Raises InputError naming a model that fails."""
        for endpoint in self.endpoints.values():
            try:
                endpoint.predict_example()  # the first request does not pay for lazy initialisation
            except InputError as error:
                raise InputError(f"{quote(endpoint.name)}: the model cannot predict an example: {error}") from error
        self.ready = True

    def metrics_text(self) -> bytes:
        """The metrics in the text format of Prometheus."""
        self.metrics.queue_size.set(sum(endpoint.queue_size for endpoint in self.endpoints.values()))
        return self.metrics.text()

    def endpoint(self, name: object) -> ModelEndpoint:
        """The model of that name, the default model for None. Raises HTTPError (404)."""
        if name is None:
            return self.default
        found = self.endpoints.get(name) if isinstance(name, str) else None
        if found is None:
            raise HTTPError(404, "no_such_model", "no model of that name is served", "model")
        return found

    def close(self) -> None:
        """Start no further work on the threads."""
        for executor in self._executors:
            executor.shutdown(wait=False, cancel_futures=True)
