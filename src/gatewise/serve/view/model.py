"""A model as the page shows it: its JSON, the JSON of one unit, and the cache of its examples."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict

from gatewise.explain.attribution import METHODS
from gatewise.explain.evaluation import read_history
from gatewise.explain.example import Example
from gatewise.explain.serialize import Json, network_json
from gatewise.explain.units import UnitsReport
from gatewise.model.model import Model
from gatewise.serve.schemas import RequestError
from gatewise.serve.view.examples import examples_of

MAX_STEPS = 2_000  # per example: the page draws each step


DEFAULT_CHANGE: Json = {"gate": "i", "unit": "all", "value": 0}
"""The clamp that the page offers first, at the selected word: nothing of the word is written. It changes the prediction
more than other gates (`python -m benchmarks.first_touch`).
"""

_MAX_EXAMPLES = 64
_MAX_CACHE = 48 << 20  # bytes
_LEAST_EXAMPLES = 2  # before and after a change


class ViewCache:
    """The last examples, by input and clamps, as many as fit into `size` bytes, and of the model its fingerprint and
    what it predicts for the examples of the page. Threads may share one.
    """

    def __init__(self, size: int = _MAX_CACHE) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._examples: OrderedDict[object, Example] = OrderedDict()
        self._model: tuple[Model, str] | None = None
        self._offered: tuple[Model, list[Json]] | None = None

    def example(self, key: object, make: Callable[[], Example]) -> tuple[Example, bool]:
        """The example of that key, and whether it was cached."""
        with self._lock:
            if key in self._examples:
                self._examples.move_to_end(key)
                return self._examples[key], True
        made = make()
        with self._lock:
            self._examples[key] = made
            total = sum(map(_bytes_of, self._examples.values()))
            while len(self._examples) > _LEAST_EXAMPLES and (total > self._size or len(self._examples) > _MAX_EXAMPLES):
                total -= _bytes_of(self._examples.popitem(last=False)[1])
        return made, False

    def offered(self, model: Model) -> list[Json]:
        """`examples_of` the model, computed once."""
        found = self._offered
        if found is None or found[0] is not model:
            self._offered = found = (model, examples_of(model))  # without the lock, for which other requests would wait
        return found[1]

    def fingerprint(self, model: Model) -> str:
        """The fingerprint of the model, computed once."""
        with self._lock:
            if self._model is None or self._model[0] is not model:
                self._model = (model, model.fingerprint)
                self._examples.clear()  # of another model
            return self._model[1]


def _bytes_of(example: Example) -> int:
    """About the memory of an example: for each unit of each LSTM six float32 per step, and the contributions."""
    arch = example.lstm.arch
    return len(example) * sum(layer.size for layer in arch.layers) * 32


def model_json(model: Model, fingerprint: str) -> Json:
    """The model in a few numbers, part of every answer."""
    network = network_json(model.architecture, model.target)
    return {"fingerprint": fingerprint, **network, "channels": model.channels, "max_steps": MAX_STEPS}


def model_view(model: Model, cache: ViewCache | None = None) -> Json:
    """Layers, evaluation results, faithfulness, training history, and the model card in Markdown."""
    metadata, cache = model.metadata, cache or ViewCache()
    rows = model.ensemble.summary()
    return {
        "api": 1,
        "model": model_json(model, cache.fingerprint(model)),
        "name": " ".join(part for part in (metadata.recipe, "model") if part),
        "layers": [{"name": name, "output": shape, "parameters": count} for name, shape, count in rows],
        "parameters": sum(count for _, _, count in rows),
        "members": model.ensemble.weights_json(),
        "evaluations": [{**asdict(one), "figures": one.figures} for one in metadata.evaluations],
        "examples": cache.offered(model),
        "change": DEFAULT_CHANGE,
        "lstm_note": model.ensemble.lstm_note(),
        "scaling": _scaling(model),
        "faithfulness": {name: asdict(one) for name, one in metadata.faithfulness.items()},
        "attribution_method": metadata.attribution_method,
        "methods": list(METHODS),
        "best_epoch": metadata.best_epoch,
        "history": read_history(model.history),
        "card": model.card(),
        "units": _dataset_json(model.units),
    }


def unit_view(model: Model, unit: int, layer: int | None = None) -> Json:
    """One unit of a layer: its bias, its weights, and its summary over a data set, null where the model has none.

    unit: its position in the layer's output, the directions side by side, as everywhere. layer: from 0, None for the
    top layer. weights: what the unit's h adds to the target score, one row per logit with one number per part of the
    pooling; null below the top layer, with hidden layers, and where two directions are merged. Raises RequestError for
    a unit or layer that does not exist.
    """
    arch = model.architecture
    top = len(arch.layers) - 1
    layer = top if layer is None else layer
    if not 0 <= layer <= top:
        raise RequestError("layer", f"must be from 0 to {top}, not {layer}")
    shape = arch.layers[layer]
    if not 0 <= unit < shape.size:
        raise RequestError("unit", f"must be from 0 to {shape.size - 1}, not {unit}")
    place, column = divmod(unit, shape.units)
    direction = shape.directions[place]
    bias = model.parameters[f"lstm.{layer}.{direction}.bias"].reshape(4, shape.units)[:, column]
    weights, report = None, None
    if layer == top and not arch.hidden and shape.merge == "concat":
        dense = model.parameters["dense.weight"][:, unit :: shape.size]  # (outputs, parts of the pooling)
        rows = model.ensemble.lstm_weight * dense
        weights, report = {"parts": arch.pooling.split("+"), "rows": rows.astype(float).tolist()}, model.units
    return {
        "api": 1,
        "unit": unit,
        "layer": layer,
        "direction": direction,
        "bias": {gate: float(x) for gate, x in zip("ifgo", bias, strict=True)},
        "weights": weights,
        "summary": None if report is None else asdict(report.unit(unit)),
        "dataset": _dataset_json(report),
    }


def _scaling(model: Model) -> Json | None:
    """Mean and standard deviation of each channel of the training data; None for texts."""
    scaling = getattr(model.preprocessor, "scaling", None)
    return None if scaling is None else {"mean": list(scaling.mean), "std": list(scaling.std)}


def _dataset_json(report: UnitsReport | None) -> Json | None:
    return None if report is None else {"data": report.data, "n": report.n, "accuracy": report.accuracy}
