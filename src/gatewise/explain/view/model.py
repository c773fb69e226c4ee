"""A model as the page shows it: its JSON, the JSON of one unit, and the cache of its examples."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from gatewise.errors import printable
from gatewise.explain.evaluation import read_history
from gatewise.explain.example import Example
from gatewise.explain.net import ExplainedNetwork
from gatewise.explain.units import UnitsReport
from gatewise.explain.view.request import RequestError
from gatewise.explain.view.serialize import Json, network_json
from gatewise.network.architecture import Architecture, summary
from gatewise.network.convolutions import Convolutions
from gatewise.network.linear import LinearModel
from gatewise.target import Target
from gatewise.types import Array

MAX_STEPS = 2_000  # per example: the page draws each step


class _Preprocessor(Protocol):
    @property
    def unknown(self) -> int | None: ...
    def encode(self, item: Any) -> tuple[Array, list[str], list[tuple[int, int]]]: ...


class ViewedModel(Protocol):
    """What a view needs of a model; `gatewise.Model` has it."""

    @property
    def architecture(self) -> Architecture: ...
    @property
    def parameters(self) -> Mapping[str, Array]: ...
    @property
    def preprocessor(self) -> _Preprocessor: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def target(self) -> Target: ...
    @property
    def channels(self) -> int: ...
    @property
    def metadata(self) -> Any: ...
    @property
    def history(self) -> str: ...
    @property
    def net(self) -> ExplainedNetwork: ...
    @property
    def units(self) -> UnitsReport | None: ...
    def card(self) -> str: ...


class ViewCache:
    """The last examples, by input and clamps, and the model's fingerprint. Threads may share one."""

    def __init__(self, size: int = 6) -> None:  # two texts, each before and after a change, and two for undo
        self._size = size
        self._lock = threading.Lock()
        self._examples: OrderedDict[object, Example] = OrderedDict()
        self._model: tuple[ViewedModel, str] | None = None

    def example(self, key: object, make: Callable[[], Example]) -> tuple[Example, bool]:
        """The example of that key, and whether it was cached."""
        with self._lock:
            if key in self._examples:
                self._examples.move_to_end(key)
                return self._examples[key], True
        made = make()
        with self._lock:
            self._examples[key] = made
            while len(self._examples) > self._size:
                self._examples.popitem(last=False)
        return made, False

    def fingerprint(self, model: ViewedModel) -> str:
        """Eight hexadecimal digits over classes, architecture, parameters and n-grams."""
        with self._lock:
            if self._model is None or self._model[0] is not model:
                digest = hashlib.sha256(repr((model.architecture, model.target)).encode("utf-8", "surrogatepass"))
                for name in sorted(model.parameters):
                    digest.update(name.encode())
                    digest.update(np.ascontiguousarray(model.parameters[name]).tobytes())
                for array in _arrays_of(model.net.linear):
                    digest.update(np.ascontiguousarray(array).tobytes())
                self._model = (model, digest.hexdigest()[:8])
                self._examples.clear()  # of another model
            return self._model[1]


def model_json(model: ViewedModel, fingerprint: str) -> Json:
    """The model in a few numbers, part of every answer."""
    network = network_json(model.architecture, model.target)
    return {"fingerprint": fingerprint, **network, "channels": model.channels, "max_steps": MAX_STEPS}


def model_view(model: ViewedModel, cache: ViewCache | None = None) -> Json:
    """Layers, evaluation results, faithfulness, training history, and the model card in Markdown."""
    metadata = model.metadata
    rows = [*summary(model.architecture), *([] if model.net.linear is None else [model.net.linear.summary()])]
    return {
        "api": 1,
        "model": model_json(model, (cache or ViewCache()).fingerprint(model)),
        "name": " ".join(part for part in (metadata.recipe, "model") if part),
        "layers": [{"name": name, "output": shape, "parameters": count} for name, shape, count in rows],
        "parameters": sum(count for _, _, count in rows),
        "evaluations": [{**asdict(one), "figures": one.figures} for one in metadata.evaluations],
        "examples": [{"label": one.label, "text": one.text, "series": one.series} for one in metadata.examples],
        "scaling": _scaling(model),
        "faithfulness": {name: asdict(one) for name, one in metadata.faithfulness.items()},
        "attribution_method": metadata.attribution_method,
        "best_epoch": metadata.best_epoch,
        "history": read_history(model.history),
        "card": model.card(),
        "units": _dataset_json(model.units),
    }


def unit_view(model: ViewedModel, unit: int, layer: int = 0, direction: str = "forward") -> Json:
    """One unit of one LSTM: its bias, its weights, and its summary over a data set, null where the model has none.

    weights: what the unit's h adds to the target score, one row per logit with one number per part of the pooling; null
    below the top layer. Raises RequestError for a unit, layer or direction that does not exist.
    """
    arch = model.architecture
    if not 0 <= layer < arch.layers:
        raise RequestError("layer", f"must be from 0 to {arch.layers - 1}, not {layer}")
    if direction not in arch.directions:
        raise RequestError("direction", f"must be {' or '.join(arch.directions)}, not '{printable(direction)}'")
    if not 0 <= unit < arch.units:
        raise RequestError("unit", f"must be from 0 to {arch.units - 1}, not {unit}")
    place = unit + arch.units * arch.directions.index(direction)
    bias = model.parameters[f"lstm.{layer}.{direction}.bias"].reshape(4, arch.units)[:, unit]
    weights, report = None, None
    if layer == arch.layers - 1:
        rows = model.parameters["dense.weight"][:, place :: arch.units * len(arch.directions)]  # (outputs, parts)
        weights, report = {"parts": arch.pooling.split("+"), "rows": rows.astype(float).tolist()}, model.units
    return {
        "api": 1,
        "unit": place,
        "layer": layer,
        "direction": direction,
        "bias": {gate: float(x) for gate, x in zip("ifgo", bias, strict=True)},
        "weights": weights,
        "summary": None if report is None else asdict(report.unit(place)),
        "dataset": _dataset_json(report),
    }


def _scaling(model: ViewedModel) -> Json | None:
    """Mean and standard deviation of each channel of the training data; None for texts."""
    scaling = getattr(model.preprocessor, "scaling", None)
    return None if scaling is None else {"mean": list(scaling.mean), "std": list(scaling.std)}


def _dataset_json(report: UnitsReport | None) -> Json | None:
    return None if report is None else {"data": report.data, "n": report.n, "accuracy": report.accuracy}


def _arrays_of(linear: LinearModel | None) -> list[Array]:
    """The arrays of a linear model, in the order of their names."""
    found = {} if linear is None else dict(vars(linear))
    if isinstance(linear, Convolutions):
        found |= vars(linear.banks)
    return [found[name] for name in sorted(found) if isinstance(found[name], np.ndarray)]
