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
from gatewise.explain import (
    METHODS,
    Example,
    IntegratedGradients,
    UnitsReport,
    explain_example,
    method_named,
    serialize,
)
from gatewise.explain.attribution import methods_of
from gatewise.explain.explanation import DEFAULT_METHOD
from gatewise.explain.opening import opening_of
from gatewise.explain.serialize import Json
from gatewise.members.clamp import Clamp, check_clamp
from gatewise.model import Model, TextPreprocessor
from gatewise.serve.schemas import ExplainRequest, RequestError, validated, with_row
from gatewise.serve.view.examples import examples_of
from gatewise.serve.view.notices import FREQUENT, text_notices
from gatewise.serve.view.offer import DEFAULT_CHANGE, most_steps_of_offer, offer_of
from gatewise.target import TargetScore, check_logits

MAX_STEPS = 2_000  # of an example: the page draws each step
MAX_PHRASES = 12  # n-grams that are listed, the largest scores first
MAX_LEAVE_ONE_OUT = 600  # steps: leave-one-out makes one prediction per step
MAX_PRODUCTS = 4e11  # multiplications of an attribution: about ten seconds of one core
_RUNS_PER_POINT = 3  # cost of a point of integrated gradients: a forward run, and a backward pass that costs two runs
_MAX_EXAMPLES = 64  # that are cached
_MAX_CACHE = 48 << 20  # bytes
_LEAST_EXAMPLES = 2  # that stay in the cache whatever their size: those before and after a change


class View:
    """A model as the page shows it. The last examples are cached by input and clamps, as many as fit into `size` bytes.
    Threads may share a view.
    """

    def __init__(self, model: Model, size: int = _MAX_CACHE) -> None:
        self.model = model
        self._format = model.format
        self._network = model.ensemble.network
        self._size = size
        self._lock = threading.Lock()
        self._examples: OrderedDict[object, Example] = OrderedDict()

    @cached_property
    def about(self) -> Json:
        """The model in a few numbers, which every answer contains. token_ids: the number of ids, for a model that reads
        token ids. arrays: the inputs, for one with several. outputs: their names, for a network that is a graph.
        """
        model = self.model
        network = serialize.network_json(self._network, model.target)
        about = {"fingerprint": model.fingerprint, **network, "channels": model.channels, "max_steps": MAX_STEPS}
        if columns := model.preprocessor.columns:
            about["columns"] = columns.names_by_type
        about |= self._format.described()
        if names := self._network.output_names:
            about["outputs"] = list(names)
        return about

    @cached_property
    def frequent(self) -> range | None:
        """The ids of the most frequent words of the training texts; None where ids are not in this order."""
        preprocessor = self.model.preprocessor
        if not self.model.metadata.recipe:  # a converted model: its words may be in any order
            return None
        if not isinstance(preprocessor, TextPreprocessor):
            return None
        return preprocessor.frequent_ids(FREQUENT)

    @cached_property
    def card(self) -> Json:
        """Layers, evaluation results, faithfulness, training history, examples, and the model card in Markdown."""
        return {"api": 1, "model": self.about, "examples": examples_of(self.model), **model_json(self.model)}

    def is_slow(self, request: ExplainRequest) -> bool:
        """Whether the request includes parts that may take seconds: the prefix predictions at every step, and an
        attribution. The quick one is prefix difference in one direction, which reads a single run of the LSTM.
        """
        if not {"prefix:all", "offer"}.isdisjoint(request.include):
            return True
        if "attribution" not in request.include:
            return False
        is_one_run = self._network.is_causal and self._method(request) == "prefix-difference"
        return not is_one_run

    def explain(self, request: ExplainRequest | Mapping[str, object]) -> Json:
        """The parts of an explanation that `request` includes.

        request: {"text": str or "series": rows, "include": [...], "changes": [...], "method": name, "layer": from 0,
        "target": class, "against": class}; see docs/page.md. Raises RequestError (an InputError) that names the field.
        """
        started = time.perf_counter()
        query = request
        if not isinstance(query, ExplainRequest):
            query = validated(ExplainRequest, request)
        before, reused = self._example(query)
        include = set(query.include)
        reads_units = "units" in include or bool(query.values_of("unit") + query.values_of("heatmap"))
        layer = layer_of(self.model, query.layer, reads_units)
        before = self._scored(query, before)
        example = before
        changes = query.clamps(self._network.layers)
        clamps = tuple(clamp for _, clamp in changes)
        if changes:
            for field, clamp in changes:
                self._check(field, clamp, len(before))
            example, reused = self._example(query, clamps)
            if before.step is not None:
                example = example.at_step(before.step)
            example = example.with_score(before.score)  # of the same class before and after the change

        outside = self.model.outside([before.sequence])
        calibrated = self.model.is_calibrated(outside)
        warnings = self._warnings(example)
        warnings += [{"code": "outside", "message": f"The {message}."} for message in outside.messages()]
        answer: Json = {
            "api": 1,
            "id": self._identity(query, clamps),
            "model": self.about,
            "text": serialize.text_json(example, self.model.preprocessor.unknown),
        }
        if "prediction" in include:
            answer["prediction"] = serialize.prediction_json(example, calibrated)
        if "outputs" in include:
            with _refused("include", "bad_part"):
                [outputs] = example.network.outputs_of_rows([example.sequence])
            answer["outputs"] = serialize.outputs_json(outputs, self._network)
        if "offer" in include:
            answer["offer"] = self._offer(before, calibrated)
        sampled = "prefix:all" not in include or self._prefix_products(example) > MAX_PRODUCTS
        with_prefix = not include.isdisjoint({"prefix", "prefix:all"})
        if with_prefix:
            answer["prefix"] = serialize.prefix_json(example, sampled)
        if "attribution" in include:
            answer["attribution"] = self._attribution(query, example, warnings)
        if "units" in include:
            answer["units"] = serialize.units_json(example, layer)
        if units := query.values_of("unit"):
            answer["unit"] = serialize.unit_json(example, _unit(units[-1], example, layer), layer)
        if heatmaps := query.values_of("heatmap"):
            names = example.layer(layer)[0].names
            for name in heatmaps:
                if name not in names:
                    raise RequestError("include", f"the layer has the values {', '.join(names)}, not {name}")
            answer["heatmaps"] = [serialize.heatmap_json(example.values(name, layer), name, layer) for name in heatmaps]
        if changes:
            prediction = serialize.prediction_json(before, calibrated)
            if with_prefix:
                prediction["prefix"] = serialize.prefix_json(before, sampled)
            answer["changed"] = {"before": prediction, "applied": [str(clamp) for clamp in clamps]}
        answer["warnings"] = warnings
        answer["cache"] = {"reused": reused, "ms": round((time.perf_counter() - started) * 1000, 2)}
        return answer

    def _identity(self, query: ExplainRequest, clamps: tuple[Clamp, ...]) -> str:
        """The id of what is explained: the model, the input with its columns, and the clamps."""
        identity = [self.about["fingerprint"], query.text, query.series, list(clamps)]
        if query.arrays is not None:
            identity.append(sorted(query.arrays.items()))
        if query.columns is not None:
            identity.append(sorted(query.columns.items()))
        # A text with a lone surrogate is refused elsewhere; "replace" keeps this line from failing first.
        return hashlib.sha256(repr(tuple(identity)).encode("utf-8", "replace")).hexdigest()[:12]

    def _prefix_products(self, example: Example) -> float:
        """The multiplications of the predictions after every prefix, at most. A backward direction reads each prefix
        anew.
        """
        steps: float = len(example)
        if not example.network.is_causal:
            steps = len(example) ** 2 / 2
        return steps * self._network.products_per_step

    def example(self, request: Mapping[str, object]) -> Example:
        """The example that `explain` explains for a request without changes, with its score."""
        query = validated(ExplainRequest, request)
        example, _ = self._example(query)
        return self._scored(query, example)

    def _example(self, query: ExplainRequest, clamps: tuple[Clamp, ...] = ()) -> tuple[Example, bool]:
        """The example of a request under `clamps`, and whether it was cached."""
        field = self._format.name
        others = [name for name in ("text", "series", "arrays") if name != field]
        given = [name for name in others if getattr(query, name) is not None]
        if getattr(query, field) is None or given:
            noun = self._format.nouns.one
            raise RequestError(field, f"the model reads a {noun}: give `{field}`, not `{(given or others)[0]}`")
        try:
            item = self._format.read(getattr(query, field))
        except InputError as error:
            raise RequestError(field, str(error)) from None
        content = _content(item)
        columns = repr(query.columns and sorted(query.columns.items()))
        key = (content, columns, clamps)
        item = with_row(item, query.columns, self.model.preprocessor.columns, "columns")
        with self._lock:
            if key in self._examples:
                self._examples.move_to_end(key)
                return self._examples[key], True
        # Outside of the lock: it may take long. Two threads that compute the same example store it twice.
        example = self._computed(item, clamps)
        with self._lock:
            self._examples[key] = example
            self._evict()
        return example, False

    def _evict(self) -> None:
        """Remove the examples that were used longest ago, until the others fit."""
        size = sum(map(_bytes_of, self._examples.values()))
        while len(self._examples) > _LEAST_EXAMPLES:
            if size <= self._size and len(self._examples) <= _MAX_EXAMPLES:
                return
            _, oldest = self._examples.popitem(last=False)
            size -= _bytes_of(oldest)

    def _computed(self, item: Any, clamps: tuple[Clamp, ...]) -> Example:
        """The example of a text or series. Raises RequestError for one that the model cannot read, and for one at which
        the network overflows.
        """
        field = self._format.name
        try:
            clamped = self.model.explained.with_lstm(clamps=clamps)
            encoded = self.model.preprocessor.encode(item)
            clamped.network.check_sequences([encoded.sequence])
            example = Example(clamped, encoded.sequence, encoded.names, encoded.spans, item=encoded.item)
        except InputError as error:
            raise RequestError(field, str(error).replace(f"{field} 1", f"the {field}", 1), "bad_input") from None
        noun = example.ensemble.token_noun
        if len(example) > MAX_STEPS:
            read = f"the network would read {len(example):,} {noun}s"
            raise RequestError(field, f"{read}; the page shows at most {MAX_STEPS:,}", "too_long")
        for gates in example.lstms:
            overflows = np.argwhere(~np.isfinite(getattr(gates, gates.memory)))  # rows of step and unit
            if len(overflows):
                step, column = overflows[0]
                layer = example.network.layers[gates.layer]
                unit = column + layer.units * layer.directions.index(gates.direction)
                where = f"unit {unit} of layer {gates.layer + 1} at {noun} {step + 1}"
                raise RequestError(field, f"the network overflows: {where}", "overflow")
        with _refused(field, "overflow"):
            check_logits(example.logits[None])
        return example

    def _scored(self, query: ExplainRequest, example: Example) -> Example:
        """The example at the requested step, with the score of the requested target and class to compare with. Raises
        RequestError for a class without a logit.
        """
        if query.step is not None:
            with _refused("step"):
                example = example.at_step(query.step)
        target = self._index("target", query.target)
        against = self._index("against", query.against)
        with _refused("against"):
            score: TargetScore = self.model.target.each.score(example.logits, target, against)
        return example.with_score(score)

    def _index(self, field: str, name: str | None) -> int | None:
        """The index of a requested class, label or number; None where none is requested."""
        if name is None:
            return None
        with _refused(field):
            return self.model.target.index(name)

    def _check(self, field: str, clamp: Clamp, steps: int) -> None:
        """Raise RequestError for a clamp that does not fit the model or the example. It names the field of the request
        that the message of the library begins with.
        """
        try:
            # Requests count from 0.
            check_clamp(clamp, self._network.layers, steps, first=0, binary=self._network.has_binary_gates)
        except InputError as error:
            message = str(error).removeprefix("the ")
            name = "value"
            for start, field_name in (("unit", "unit"), ("layer", "layer"), ("steps", "to")):
                if message.startswith(start):
                    name = field_name
            raise RequestError(f"{field}.{name}", str(error), "bad_clamp") from None

    def _offer(self, example: Example, calibrated: bool) -> Json | None:
        """The clamp that the page offers for this example.

        None where the network has no input gates, the LSTM has weight 0, or the example is too long to try each step.
        """
        layers = self._network.layers
        if not layers or layers[-1].cell != "LSTM" or not self.model.ensemble.lstm_weight:
            return None
        if len(example) > most_steps_of_offer(self._network.products_per_step):
            return None
        return offer_of(example, calibrated)

    def _attribution(self, query: ExplainRequest, example: Example, warnings: list[Json]) -> Json:
        """The attribution by the requested method, by default the model's.

        A requested method that does not apply is an error. A default method that does not apply is replaced by
        prefix-difference, with a warning.
        """
        metadata = self.model.metadata
        name = self._method(query)
        try:
            self._check_method(name, query, example)
        except RequestError as error:
            if query.method is not None:
                raise
            name = methods_of(self.model.ensemble)[0]
            reason = str(error)
            message = f"{reason[0].upper()}{reason[1:]}. The attribution shown is {name}."
            warnings.append({"code": "method", "message": message})
        method = method_named(name)
        if isinstance(method, IntegratedGradients):
            # It adds points until the integral is exact enough, but none that would exceed the time.
            runs = int(MAX_PRODUCTS / (self._network.products_per_step * len(example)))
            method = replace(method, max_points=min(method.max_points, runs // _RUNS_PER_POINT))
        explanation = explain_example(example, method, metadata.faithfulness, metadata.attribution_method)
        attribution = serialize.attribution_json(explanation, methods_of(self.model.ensemble), MAX_PHRASES)
        attribution["default"] = name == metadata.attribution_method
        return attribution

    def _check_method(self, method: str, query: ExplainRequest, example: Example) -> None:
        """Raise RequestError for a method that the page does not run on this example."""
        if refusal := self._network.refusal(method):
            raise RequestError("method", refusal, "bad_method")
        most = self._max_steps(method)
        if len(example) > most:
            noun = example.ensemble.token_noun
            message = f"{method} takes too long for {len(example):,} {noun}s"
            raise RequestError("method", f"{message}; the page limits it to {most:,} for this model", "too_long")
        if method == "integrated-gradients" and query.changes:
            raise RequestError("method", "integrated gradients do not support clamps", "bad_method")
        if method == "cell-decomposition" and not example.network.has_contributions:
            raise RequestError("method", "cell decomposition needs units that are not merged", "bad_method")

    def _method(self, query: ExplainRequest) -> str:
        """The requested method, or the model's."""
        if query.method:
            return query.method
        if self.model.metadata.attribution_method in METHODS:
            return self.model.metadata.attribution_method
        return DEFAULT_METHOD

    def _max_steps(self, method: str) -> int:
        """The most steps for which the page runs a method."""
        runs = int(MAX_PRODUCTS / self._network.products_per_step)  # of one step
        if method == "leave-one-out":
            # One run of the network per step, and with series one per channel of each step.
            runs_per_step = 1 + self._network.channels
            return min(MAX_LEAVE_ONE_OUT, math.isqrt(runs // runs_per_step))
        if method == "integrated-gradients":
            return runs // (_RUNS_PER_POINT * IntegratedGradients().points)
        return MAX_STEPS

    def _warnings(self, example: Example) -> list[Json]:
        warnings: list[Json] = []
        if note := example.ensemble.lstm_note():
            warnings.append({"code": "weight", "message": note})
        median_length = self.model.metadata.median_length
        warnings += text_notices(example, self.model.preprocessor.unknown, self.frequent, median_length)
        if example.truncated:
            warnings.append({"code": "truncated", "at": len(example), "message": _truncation(example)})
        return warnings


def _content(item: Any) -> Any:
    """What tells inputs apart in the cache."""
    if isinstance(item, str):
        return item
    if isinstance(item, dict):
        return tuple((name, array.shape, array.dtype.str, array.tobytes()) for name, array in sorted(item.items()))
    return item.shape, item.tobytes()


def _truncation(example: Example) -> str:
    """The steps of a long example that the model reads: from the start, from the end, or both."""
    noun = example.ensemble.token_noun
    first = int((example.rows == np.arange(len(example))).sum())
    last = len(example) - first
    ends = []
    if first:
        ends.append(f"the first {first:,}")
    if last:
        ends.append(f"the last {last:,}")
    return f"Only {len(example):,} of {len(example.names):,} {noun}s are read: {' and '.join(ends)}."


def _bytes_of(example: Example) -> int:
    """About the memory of an example: for each unit of each LSTM six float32 per step, and the contributions."""
    return len(example) * sum(layer.size for layer in example.network.layers) * 32


@contextmanager
def _refused(field: str, code: str = "bad_field") -> Iterator[None]:
    """Turn an InputError of the block into a RequestError that names the field."""
    try:
        yield
    except InputError as error:
        raise RequestError(field, str(error), code) from None


def _unit(value: str, example: Example, layer: int) -> int:
    """The requested unit. "opening": the unit of `opening_of`. "top": in the top layer the unit with the largest
    effect; the units below have no weights of the dense layer, so there it is the one with the largest jump of c.
    """
    layers = example.network.layers
    if value == "opening":
        return opening_of(example, layer).unit
    if value == "top":
        if layer == len(layers) - 1:
            return example.top_unit
        return int(example.jumps(layer)[0].argmax())
    units = layers[layer].size
    if int(value) >= units:
        raise RequestError("include", f"unit must be from 0 to {units - 1}, not {int(value)}")
    return int(value)


def model_json(model: Model) -> Json:
    """Layers, evaluation results, faithfulness, training history, and the model card in Markdown."""
    metadata = model.metadata
    return {
        "name": f"{metadata.recipe} model".lstrip(),
        "layers": [
            {"name": name, "output": shape, "parameters": count, "member": member.name, "weight": weight}
            for member, weight in model.ensemble
            for name, shape, count in member.summary()
        ],
        "parameters": sum(count for _, _, count in model.ensemble.summary()),
        "members": model.ensemble.weights_json(),
        "evaluations": [{**asdict(evaluation), "figures": evaluation.figures} for evaluation in metadata.evaluations],
        "change": DEFAULT_CHANGE,
        "lstm_note": model.ensemble.lstm_note(),
        "can_stream": _can_stream(model),
        "faithfulness": {method: asdict(faithfulness) for method, faithfulness in metadata.faithfulness.items()},
        "attribution_method": metadata.attribution_method,
        "methods": methods_of(model.ensemble),
        "best_epoch": metadata.best_epoch,
        "history": model.history,
        "card": model.card(),
        "units": _dataset_json(model.units),
    }


def _can_stream(model: Model) -> bool:
    """Whether `POST /stream` accepts the requests of the page. The page asks for the LSTM alone where other members
    have a weight.
    """
    has_others = any(weight for _, weight in model.ensemble.others)
    try:
        model.stream(network_only=has_others)
    except InputError:
        return False
    return True


def layer_of(model: Model, layer: int | None, is_needed: bool = True) -> int:
    """The number of a layer from 0, the top one for None. is_needed: whether there must be one. Raises RequestError for
    a layer that does not exist.
    """
    top = len(model.ensemble.network.layers) - 1
    if top < 0 and is_needed:
        reason = "no recurrent layer that reads the steps of the input, so it has no units and no heat maps"
        raise RequestError("include", f"the network has {reason}")
    if layer is None:
        return top
    if not 0 <= layer <= top:
        raise RequestError("layer", f"must be from 0 to {top}, not {layer}")
    return layer


def unit_summary_json(model: Model, unit: int, layer: int | None = None) -> Json:
    """One unit of a layer: its bias, its weights, and its summary over a data set, null where the model has none.

    unit: its position in the layer's output, the directions side by side, as everywhere. layer: from 0, None for the
    top layer. weights: what the unit's h adds to the target score, one row per logit with one number per part of the
    pooling; null below the top layer, with hidden layers, and where two directions are merged. Raises RequestError for
    a unit or layer that does not exist.
    """
    network = model.ensemble.network
    layer = layer_of(model, layer)
    shape = network.layers[layer]
    if not 0 <= unit < shape.size:
        raise RequestError("unit", f"must be from 0 to {shape.size - 1}, not {unit}")
    bias, of_logits = network.gate_weights(unit, layer)
    weights = None
    summary = None
    report = None
    if of_logits is not None:
        rows = model.ensemble.lstm_weight * of_logits
        weights = {"parts": network.pooling_parts, "rows": rows.astype(float).tolist()}
    if layer == len(network.layers) - 1:  # the units of which a report has summaries
        report = model.units
    if report is not None:
        summary = asdict(report.unit(unit))
    return {
        "api": 1,
        "unit": unit,
        "layer": layer,
        "direction": shape.directions[unit // shape.units],
        "bias": bias,
        "weights": weights,
        "summary": summary,
        "dataset": _dataset_json(report),
    }


def _dataset_json(report: UnitsReport | None) -> Json | None:
    """The data that the units were summarised over."""
    if report is None:
        return None
    return {"data": report.data, "n": report.n, "accuracy": report.accuracy}
