"""`View`: the answers of the page's API about one model, without HTTP, as JSON. Only the requested parts are computed.

Every attribution names its method and the measured faithfulness of that method to the model. No attribution claims to
be a cause.
"""

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.explain import serialize
from gatewise.explain.attribution import METHODS, method_named
from gatewise.explain.attribution.integrated_gradients import IntegratedGradients
from gatewise.explain.example import Example
from gatewise.explain.explanation import DEFAULT_METHOD, explain_example
from gatewise.explain.opening import opening_of
from gatewise.explain.serialize import Json
from gatewise.explain.units import UnitsReport
from gatewise.members.clamp import Clamp, check_clamp
from gatewise.members.contributions import has_contributions
from gatewise.model.input_format import TokenIdFormat
from gatewise.model.model import Model
from gatewise.serve.schemas import ExplainRequest, RequestError, validated, with_row
from gatewise.serve.view.examples import examples_of
from gatewise.serve.view.notices import FREQUENT, text_notices
from gatewise.target import TargetScore, check_logits

DEFAULT_CHANGE: Json = {"gate": "i", "unit": "all", "value": 0}
"""The clamp that the page offers first, at the selected word: nothing of the word is written. It changes the prediction
more than other gates (docs/page.md).
"""
MAX_STEPS = 2_000  # per example: the page draws each step
MAX_PHRASES = 12  # n-grams that are listed, the largest scores first
MAX_LEAVE_ONE_OUT = 600  # steps: leave-one-out makes one prediction per step
MAX_PRODUCTS = 4e11  # multiplications of an attribution: about ten seconds of one core
_RUNS_PER_POINT = 3  # of integrated gradients: a backward pass costs two runs
_MAX_EXAMPLES = 64
_MAX_CACHE = 48 << 20  # bytes
_LEAST_EXAMPLES = 2  # before and after a change


class View:
    """A model as the page shows it. Its last examples are cached, by input and clamps, as many as fit into `size`
    bytes. Threads may share one.
    """

    def __init__(self, model: Model, size: int = _MAX_CACHE) -> None:
        self.model = model
        arch = model.architecture
        self._format = model.preprocessor.format
        # The multiplications of one step in all LSTMs, without the input product of the first layer.
        before = [0, *(layer.width for layer in arch.layers)]
        units = [(arch.layers[n].units, before[n]) for n, _, _ in arch.lstms()]
        self._products = sum(4 * own * (own + below) for own, below in units)
        self._size = size
        self._lock = threading.Lock()
        self._examples: OrderedDict[object, Example] = OrderedDict()

    @cached_property
    def about(self) -> Json:
        """The model in a few numbers, part of every answer. token_ids: of a model without a vocabulary, how many."""
        model = self.model
        network = serialize.network_json(model.architecture, model.target)
        found = {"fingerprint": model.fingerprint, **network, "channels": model.channels, "max_steps": MAX_STEPS}
        names = model.preprocessor.columns
        if names:
            found["columns"] = names.names_by_type
        if isinstance(self._format, TokenIdFormat):
            found["token_ids"] = self._format.vocab_size
        return found

    @cached_property
    def frequent(self) -> range | None:
        """The ids of the most frequent words of the training texts; None where the ids do not tell."""
        # The words of a converted model, which no recipe has trained, may be in any order.
        found = getattr(self.model.preprocessor, "frequent_ids", None) if self.model.metadata.recipe else None
        return None if found is None else found(FREQUENT)

    @cached_property
    def card(self) -> Json:
        """Layers, evaluation results, faithfulness, training history, examples, and the model card in Markdown."""
        return {"api": 1, "model": self.about, "examples": examples_of(self.model), **model_json(self.model)}

    def is_slow(self, request: ExplainRequest) -> bool:
        """Whether the request includes parts that may take seconds: all methods of attribution but prefix differences
        of one direction, and the prefix predictions at every step.
        """
        if "prefix:all" in request.include:
            return True
        is_quick = self.model.architecture.unidirectional and self._method(request) == "prefix-difference"
        return "attribution" in request.include and not is_quick

    def explain(self, request: ExplainRequest | Mapping[str, object]) -> Json:
        """The parts of an explanation that `request` includes.

        request: {"text": str or "series": rows, "include": [...], "changes": [...], "method": name, "layer": from 0,
        "target": class, "against": class}; see docs/page.md. Raises RequestError (an InputError) that names the field.
        """
        started = time.perf_counter()
        asked = request if isinstance(request, ExplainRequest) else validated(ExplainRequest, request)
        before, reused = self._example(asked)
        layer = layer_of(self.model, asked.layer)
        before = self._scored(asked, before)
        example, clamps = before, asked.clamps
        if clamps:
            for field, clamp in clamps:
                self._check(field, clamp, len(before))
            example, reused = self._example(asked, tuple(clamp for _, clamp in clamps))
            example = example if before.step is None else example.at_step(before.step)
            example = example.with_score(before.score)
        include = set(asked.include)
        outside = self.model.outside([before.sequence])
        calibrated = self.model.is_calibrated(outside)
        warnings = self._warnings(example)
        warnings += [{"code": "outside", "message": f"The {message}."} for message in outside.messages()]
        columns = () if asked.columns is None else (sorted(asked.columns.items()),)
        identity = (self.about["fingerprint"], asked.text, asked.series, [clamp for _, clamp in clamps], *columns)
        found: Json = {
            "api": 1,
            "id": hashlib.sha256(repr(identity).encode("utf-8", "replace")).hexdigest()[:12],
            "model": self.about,
            "text": serialize.text_json(example, self.model.preprocessor.unknown),
        }
        if "prediction" in include:
            found["prediction"] = serialize.prediction_json(example, calibrated)
        # Every prefix, where the runs of `prefix_logits` are bounded if no two of them are merged.
        steps = len(example) if example.lstm.arch.unidirectional else len(example) ** 2 / 2
        sampled = "prefix:all" not in include or steps * self._products > MAX_PRODUCTS
        if with_prefix := bool(include & {"prefix", "prefix:all"}):
            found["prefix"] = serialize.prefix_json(example, sampled)
        if "attribution" in include:
            found["attribution"] = self._attribution(asked, example, warnings)
        if "units" in include:
            found["units"] = serialize.units_json(example, layer)
        for unit in asked.values_of("unit")[-1:]:
            found["unit"] = serialize.unit_json(example, _unit(unit, example, layer), layer)
        if heatmaps := asked.values_of("heatmap"):
            found["heatmaps"] = [serialize.heatmap_json(example.values(name, layer), name, layer) for name in heatmaps]
        if clamps:
            prediction = serialize.prediction_json(before, calibrated)
            if with_prefix:
                prediction["prefix"] = serialize.prefix_json(before, sampled)
            found["changed"] = {"before": prediction, "applied": [str(clamp) for _, clamp in clamps]}
        found["warnings"] = warnings
        found["cache"] = {"reused": reused, "ms": round((time.perf_counter() - started) * 1000, 2)}
        return found

    def example(self, request: Mapping[str, object]) -> Example:
        """The example that `explain` explains for a request without changes, with its score."""
        asked = validated(ExplainRequest, request)
        return self._scored(asked, self._example(asked)[0])

    def _example(self, asked: ExplainRequest, clamps: tuple[Clamp, ...] = ()) -> tuple[Example, bool]:
        """The example of a request under `clamps`, and whether it was cached."""
        field = self._format.name
        [other] = {"text", "series"} - {field}
        if getattr(asked, field) is None or getattr(asked, other) is not None:
            raise RequestError(field, f"the model reads a {field}: give `{field}`, not `{other}`")
        try:
            item = self._format.read(getattr(asked, field))
        except InputError as error:
            raise RequestError(field, str(error)) from None
        columns = repr(asked.columns and sorted(asked.columns.items()))
        key = item if isinstance(item, str) else (item.shape, item.tobytes()), columns, clamps
        item = with_row(item, asked.columns, self.model.preprocessor.columns, "columns")
        with self._lock:
            if key in self._examples:
                self._examples.move_to_end(key)
                return self._examples[key], True
        made = self._made(item, clamps)
        with self._lock:
            self._examples[key] = made
            total = sum(map(_bytes_of, self._examples.values()))
            while len(self._examples) > _LEAST_EXAMPLES and (total > self._size or len(self._examples) > _MAX_EXAMPLES):
                total -= _bytes_of(self._examples.popitem(last=False)[1])
        return made, False

    def _made(self, item: Any, clamps: tuple[Clamp, ...]) -> Example:
        """The example of a text or series. Raises RequestError for one that the model cannot read or overflows at."""
        field = self._format.name
        try:
            clamped = self.model.explained.with_lstm(clamps=clamps)
            example = Example(clamped, *self.model.preprocessor.encode(item), item=item)
        except InputError as error:
            raise RequestError(field, str(error).replace(f"{field} 1", f"the {field}", 1), "bad_input") from None
        noun = example.ensemble.token_noun
        if len(example) > MAX_STEPS:
            read = f"the network would read {len(example):,} {noun}s"
            raise RequestError(field, f"{read}; the page shows at most {MAX_STEPS:,}", "too_long")
        for gates in example.lstms:
            bad = np.argwhere(~np.isfinite(gates.c))
            if len(bad):
                layer = example.lstm.arch.layers[gates.layer]
                unit = bad[0, 1] + layer.units * layer.directions.index(gates.direction)
                where = f"unit {unit} of layer {gates.layer + 1} at {noun} {bad[0, 0] + 1}"
                raise RequestError(field, f"the network overflows: {where}", "overflow")
        with _refused(field, "overflow"):
            check_logits(example.logits[None])
        return example

    def _scored(self, asked: ExplainRequest, example: Example) -> Example:
        """The example at the requested step, with the score of the requested target and class to compare with. Raises
        RequestError for a class without a logit.
        """
        with _refused("step"):
            example = example if asked.step is None else example.at_step(asked.step)
        places: list[int | None] = []
        for field, name in (("target", asked.target), ("against", asked.against)):
            with _refused(field):
                places.append(None if name is None else self.model.target.index(name))
        with _refused("against"):
            score: TargetScore = self.model.target.each.score(example.logits, *places)
        return example.with_score(score)

    def _check(self, field: str, clamp: Clamp, steps: int) -> None:
        try:
            check_clamp(clamp, self.model.architecture, steps, first=0)  # requests count from 0
        except InputError as error:
            part = next((p for p in ("unit", "layer", "steps") if str(error).startswith((p, f"the {p}"))), "value")
            raise RequestError(f"{field}.{'to' if part == 'steps' else part}", str(error), "bad_clamp") from None

    def _attribution(self, asked: ExplainRequest, example: Example, warnings: list[Json]) -> Json:
        """The attribution by the requested method, by default the model's. A default method that does not apply is
        replaced by prefix-difference, with a warning.
        """
        metadata, noun = self.model.metadata, example.ensemble.token_noun
        method = self._method(asked)
        most, reason, code = self._max_steps(method), "", "too_long"
        if len(example) > most:
            long = f"{method} takes too long for {len(example):,} {noun}s"
            reason = f"{long}; the page limits it to {most:,} for this model"
        elif method == "integrated-gradients" and asked.changes:
            reason, code = "integrated gradients do not support clamps", "bad_method"
        elif method == "cell-decomposition" and not has_contributions(example.lstm.arch):
            reason, code = "cell decomposition needs units that are not merged", "bad_method"
        if reason:
            if asked.method is not None:
                raise RequestError("method", reason, code)
            method = "prefix-difference"
            message = f"{reason[0].upper()}{reason[1:]}. The attribution shown is prefix-difference."
            warnings.append({"code": "method", "message": message})
        chosen = method_named(method)
        if isinstance(chosen, IntegratedGradients):
            runs = int(MAX_PRODUCTS / (self._products * len(example)))
            chosen = replace(chosen, max_points=min(chosen.max_points, runs // _RUNS_PER_POINT))
        found = explain_example(example, chosen, metadata.faithfulness, metadata.attribution_method)
        default = {"default": method == metadata.attribution_method}
        return serialize.attribution_json(found, list(METHODS), MAX_PHRASES) | default

    def _method(self, asked: ExplainRequest) -> str:
        """The requested method, or the model's."""
        known = self.model.metadata.attribution_method
        return asked.method or (known if known in METHODS else DEFAULT_METHOD)

    def _max_steps(self, method: str) -> int:
        """The most steps for which the page runs a method."""
        if method == "leave-one-out":
            runs = 1 + self.model.architecture.channels  # of a series also each number alone
            return min(MAX_LEAVE_ONE_OUT, math.isqrt(int(MAX_PRODUCTS / (self._products * runs))))
        if method == "integrated-gradients":
            return int(MAX_PRODUCTS / (self._products * _RUNS_PER_POINT * IntegratedGradients().points))
        return MAX_STEPS

    def _warnings(self, example: Example) -> list[Json]:
        length, noun = self.model.metadata.median_length, example.ensemble.token_noun
        found = text_notices(example, self.model.preprocessor.unknown, self.frequent, length)
        if note := example.ensemble.lstm_note():
            found = [{"code": "weight", "message": note}, *found]
        if not example.truncated:
            return found
        first = int((example.rows == np.arange(len(example))).sum())
        ends = [f"the {name} {n:,}" for name, n in (("first", first), ("last", len(example) - first)) if n]
        read = f"Only {len(example):,} of {len(example.names):,} {noun}s are read: {' and '.join(ends)}."
        return [*found, {"code": "truncated", "at": len(example), "message": read}]


def _bytes_of(example: Example) -> int:
    """About the memory of an example: for each unit of each LSTM six float32 per step, and the contributions."""
    arch = example.lstm.arch
    return len(example) * sum(layer.size for layer in arch.layers) * 32


@contextmanager
def _refused(field: str, code: str = "bad_field") -> Iterator[None]:
    """An InputError of the block as a RequestError that names the field."""
    try:
        yield
    except InputError as error:
        raise RequestError(field, str(error), code) from None


def _unit(value: str, example: Example, layer: int) -> int:
    """The requested unit; for "top" the unit with the largest effect, or below the top layer the largest jump of c; for
    "opening" that of `opening_of`.
    """
    layers = example.lstm.arch.layers
    if value == "opening":
        return opening_of(example, layer).unit
    if value == "top":
        return example.top_unit if layer == len(layers) - 1 else int(example.jumps(layer)[0].argmax())
    units = layers[layer].size
    if int(value) >= units:
        raise RequestError("include", f"unit must be from 0 to {units - 1}, not {int(value)}")
    return int(value)


def model_json(model: Model) -> Json:
    """Layers, evaluation results, faithfulness, training history, and the model card in Markdown."""
    metadata = model.metadata
    scaling = getattr(model.preprocessor, "scaling", None)  # of each channel of the training data
    return {
        "name": " ".join(part for part in (metadata.recipe, "model") if part),
        "layers": [
            {"name": name, "output": shape, "parameters": count, "member": member.name, "weight": weight}
            for member, weight in model.ensemble
            for name, shape, count in member.summary()
        ],
        "parameters": sum(count for _, _, count in model.ensemble.summary()),
        "members": model.ensemble.weights_json(),
        "evaluations": [{**asdict(one), "figures": one.figures} for one in metadata.evaluations],
        "change": DEFAULT_CHANGE,
        "lstm_note": model.ensemble.lstm_note(),
        "can_stream": _can_stream(model),
        "scaling": None if scaling is None else {"mean": list(scaling.mean), "std": list(scaling.std)},
        "faithfulness": {name: asdict(one) for name, one in metadata.faithfulness.items()},
        "attribution_method": metadata.attribution_method,
        "methods": list(METHODS),
        "best_epoch": metadata.best_epoch,
        "history": model.history,
        "card": model.card(),
        "units": _dataset_json(model.units),
    }


def _can_stream(model: Model) -> bool:
    """Whether `POST /stream` accepts the requests of the page: those for the LSTM alone where other members have a
    weight.
    """
    others = any(weight for _, weight in model.ensemble.others)
    try:
        model.stream(network_only=others)
    except InputError:
        return False
    return True


def layer_of(model: Model, layer: int | None) -> int:
    """The number of a layer from 0, the top one for None. Raises RequestError for a layer that does not exist."""
    top = len(model.architecture.layers) - 1
    if layer is not None and not 0 <= layer <= top:
        raise RequestError("layer", f"must be from 0 to {top}, not {layer}")
    return top if layer is None else layer


def unit_json(model: Model, unit: int, layer: int | None = None) -> Json:
    """One unit of a layer: its bias, its weights, and its summary over a data set, null where the model has none.

    unit: its position in the layer's output, the directions side by side, as everywhere. layer: from 0, None for the
    top layer. weights: what the unit's h adds to the target score, one row per logit with one number per part of the
    pooling; null below the top layer, with hidden layers, and where two directions are merged. Raises RequestError for
    a unit or layer that does not exist.
    """
    arch, layer = model.architecture, layer_of(model, layer)
    shape = arch.layers[layer]
    if not 0 <= unit < shape.size:
        raise RequestError("unit", f"must be from 0 to {shape.size - 1}, not {unit}")
    place, column = divmod(unit, shape.units)
    direction = shape.directions[place]
    bias = model.parameters[f"lstm.{layer}.{direction}.bias"].reshape(4, shape.units)[:, column]
    weights, report = None, None
    if layer == len(arch.layers) - 1 and not arch.hidden and shape.merge == "concat":
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


def _dataset_json(report: UnitsReport | None) -> Json | None:
    return None if report is None else {"data": report.data, "n": report.n, "accuracy": report.accuracy}
