"""What one worker holds while it serves: the models, their threads, the page, the counters, and whether it is ready."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

from gatewise.errors import InputError, quote
from gatewise.model.model import Model, load
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.http_error import HTTPError
from gatewise.serve.metrics import Metrics
from gatewise.serve.settings import Settings
from gatewise.serve.static_files import read_page

__all__ = ["State", "open_models"]


def open_models(settings: Settings) -> dict[str, Model]:
    """The models by name, which is that of the folder. Raises InputError or ModelFileError for what cannot be."""
    found: dict[str, Model] = {}
    for path in settings.models:
        name = Path(path).resolve().name
        if not name.isascii() or not all(ch.isalnum() or ch in "._-" for ch in name):
            raise InputError(f"{quote(path)}: a served folder's name has ASCII letters, digits, '.', '_' and '-' alone")
        if name in found:
            raise InputError(f"{quote(path)}: there is a model {quote(name)} already; folders' names are the models'")
        found[name] = load(path, precision=settings.precision)  # type: ignore[arg-type]
    return found


class State:
    """Made before the first request, closed after the last."""

    def __init__(self, models: Mapping[str, Model], settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.assets = read_page()
        self.short = ThreadPoolExecutor(1, "gatewise-short")
        self.long = ThreadPoolExecutor(1, "gatewise-long")
        self.explaining = ThreadPoolExecutor(1, "gatewise-explain")
        served = {
            name: ModelEndpoint(name, model, settings, self.short, self.long, self.metrics)
            for name, model in models.items()
        }
        self.served: Mapping[str, ModelEndpoint] = MappingProxyType(served)
        self.default = next(iter(served.values()))
        self.ready = False
        self.explaining_now = 0

    def warm_up(self) -> None:
        """A prediction by every model; from then on the server says that it is ready."""
        for one in self.served.values():
            one.warm_up()
        self.ready = True

    def count_waiting(self) -> None:
        """Tell the metrics how much waits."""
        self.metrics.waiting.set(sum(one.short.items + one.long.items for one in self.served.values()))

    def of(self, name: object) -> ModelEndpoint:
        """The model of that name, the default one for None. Raises Refusal (404)."""
        if name is None:
            return self.default
        found = self.served.get(name) if isinstance(name, str) else None
        if found is None:
            raise HTTPError(404, "no_such_model", "no model of that name is served here", "model")
        return found

    def close(self) -> None:
        """Start nothing more on the threads."""
        for executor in (self.short, self.long, self.explaining):
            executor.shutdown(wait=False, cancel_futures=True)
