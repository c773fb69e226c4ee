"""The answers of the page's API, without HTTP. Only the requested parts are computed.

Every attribution names its method and the measured faithfulness of that method to the model. No attribution claims to
be a cause.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.explain import serialize
from gatewise.explain.attribution import METHODS, method_named
from gatewise.explain.attribution.integrated_gradients import IntegratedGradients
from gatewise.explain.example import Example
from gatewise.explain.explanation import DEFAULT_METHOD, explain_example
from gatewise.explain.opening import opening_of
from gatewise.explain.score import TargetScore, target_score
from gatewise.explain.serialize import Json
from gatewise.members.clamp import Clamp, check_clamp
from gatewise.members.contributions import has_contributions
from gatewise.model.model import Model
from gatewise.network.architecture import Architecture
from gatewise.serve.schemas import ExplainRequest, RequestError, as_array, validated
from gatewise.serve.view.model import MAX_STEPS, ViewCache, model_json
from gatewise.serve.view.notices import FREQUENT, text_notices
from gatewise.target import check_logits

MAX_PHRASES = 12  # n-grams that are listed, the largest scores first
MAX_LEAVE_ONE_OUT = 600  # steps: leave-one-out makes one prediction per step
MAX_PRODUCTS = 4e11  # multiplications of an attribution: about ten seconds of one core
_RUNS_PER_POINT = 3  # of integrated gradients: a backward pass costs two runs


def is_slow(model: Model, request: ExplainRequest) -> bool:
    """Whether the request includes parts that may take seconds: all methods of attribution but prefix differences of
    one direction, and the prefix predictions at every step.
    """
    if "prefix:all" in request.include:
        return True
    method = request.method or _default_method(model)
    return "attribution" in request.include and (method != "prefix-difference" or not model.architecture.unidirectional)


def explain_view(model: Model, request: ExplainRequest | Mapping[str, object], cache: ViewCache | None = None) -> Json:
    """The parts of an explanation that `request` includes.

    request: {"text": str or "series": rows, "include": [...], "changes": [...], "method": name, "layer": from 0,
    "target": class, "against": class}; see docs/page.md. cache: shared by the requests to one model. Raises
    RequestError (an InputError) that names the field.
    """
    started = time.perf_counter()
    cache = cache or ViewCache()
    asked = request if isinstance(request, ExplainRequest) else validated(ExplainRequest, request)
    fingerprint, before, reused = _example(model, asked, (), cache)
    layer = _layer(model, asked)
    before = _at_step(asked, before)
    before = before.with_score(_score(model, asked, before))
    example, clamps = before, asked.clamps
    if clamps:
        for field, clamp in clamps:
            _check(field, clamp, model, len(before))
        _, example, reused = _example(model, asked, tuple(clamp for _, clamp in clamps), cache)
        example = example if before.step is None else example.at_step(before.step)
        example = example.with_score(before.score)
    include = set(asked.include)
    calibrated = model.metadata.calibration is not None
    warnings = _warnings(model, example)
    identity = (fingerprint, asked.text, asked.series, [clamp for _, clamp in clamps])
    found: Json = {
        "api": 1,
        "id": hashlib.sha256(repr(identity).encode("utf-8", "replace")).hexdigest()[:12],
        "model": model_json(model, fingerprint),
        "text": serialize.text_json(example, model.preprocessor.unknown),
    }
    if "prediction" in include:
        found["prediction"] = serialize.prediction_json(example, calibrated)
    sampled = "prefix:all" not in include or not _every_prefix_fits(example)
    if with_prefix := bool(include & {"prefix", "prefix:all"}):
        found["prefix"] = serialize.prefix_json(example, sampled)
    if "attribution" in include:
        found["attribution"] = _attribution(model, asked, example, warnings)
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


def viewed_example(model: Model, request: Mapping[str, object], cache: ViewCache) -> Example:
    """The example that `explain_view` explains for a request without changes, with its score."""
    asked = validated(ExplainRequest, request)
    _, example, _ = _example(model, asked, (), cache)
    example = _at_step(asked, example)
    return example.with_score(_score(model, asked, example))


def _example(
    model: Model, asked: ExplainRequest, clamps: tuple[Clamp, ...], cache: ViewCache
) -> tuple[str, Example, bool]:
    """The model's fingerprint, the example of a request under `clamps`, and whether it was cached."""
    field, other = ("text", "series") if model.architecture.inputs == "tokens" else ("series", "text")
    if getattr(asked, field) is None or getattr(asked, other) is not None:
        raise RequestError(field, f"the model reads a {field}: give `{field}`, not `{other}`")
    try:
        item: Any = asked.text if asked.series is None else as_array(asked.series)
    except ValueError:
        raise RequestError(field, "each step must have as many numbers as the first one") from None

    def make() -> Example:
        try:
            clamped = model.explained.with_lstm(clamps=tuple(clamps))
            example = Example(clamped, *model.preprocessor.encode(item), item=item)
        except InputError as error:
            raise RequestError(field, str(error).replace(f"{field} 1", f"the {field}", 1), "bad_input") from None
        if len(example) > MAX_STEPS:
            read = f"the network would read {len(example):,} {model.ensemble.token_noun}s"
            raise RequestError(field, f"{read}; the page shows at most {MAX_STEPS:,}", "too_long")
        _check_finite(example, field)
        return example

    fingerprint = cache.fingerprint(model)
    key = item if isinstance(item, str) else (item.shape, item.tobytes())
    return fingerprint, *cache.example((key, clamps), make)


def _at_step(asked: ExplainRequest, example: Example) -> Example:
    """The example with the prediction of the requested step. Raises RequestError for a step without one."""
    try:
        return example if asked.step is None else example.at_step(asked.step)
    except InputError as error:
        raise RequestError("step", str(error)) from None


def _score(model: Model, asked: ExplainRequest, example: Example) -> TargetScore:
    """The score of the requested target and class to compare with. Raises RequestError for a class without a logit."""
    places: list[int | None] = []
    for field, name in (("target", asked.target), ("against", asked.against)):
        try:
            places.append(None if name is None else model.target.index(name))
        except InputError as error:
            raise RequestError(field, str(error)) from None
    try:
        return target_score(model.target, example.logits, *places)
    except InputError as error:
        raise RequestError("against", str(error)) from None


def _check_finite(example: Example, field: str) -> None:
    for gates in example.lstms:
        bad = np.argwhere(~np.isfinite(gates.c))
        if len(bad):
            layer = example.lstm.arch.layers[gates.layer]
            unit = bad[0, 1] + layer.units * layer.directions.index(gates.direction)
            where = f"unit {unit} of layer {gates.layer + 1} at {example.ensemble.token_noun} {bad[0, 0] + 1}"
            raise RequestError(field, f"the network overflows: {where}", "overflow")
    try:
        check_logits(example.logits[None])
    except InputError as error:
        raise RequestError(field, str(error), "overflow") from None


def _check(field: str, clamp: Clamp, model: Model, steps: int) -> None:
    try:
        check_clamp(clamp, model.architecture, steps, first=0)  # requests count from 0
    except InputError as error:
        part = next((p for p in ("unit", "layer", "steps") if str(error).startswith((p, f"the {p}"))), "value")
        raise RequestError(f"{field}.{'to' if part == 'steps' else part}", str(error), "bad_clamp") from None


def _layer(model: Model, asked: ExplainRequest) -> int:
    layers = len(model.architecture.layers)
    if asked.layer is not None and asked.layer >= layers:
        raise RequestError("layer", f"must be from 0 to {layers - 1}, not {asked.layer}")
    return layers - 1 if asked.layer is None else asked.layer


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


def _attribution(model: Model, asked: ExplainRequest, example: Example, warnings: list[Json]) -> Json:
    """The attribution by the requested method, by default the model's. A default method that does not apply is replaced
    by prefix-difference, with a warning.
    """
    metadata, noun = model.metadata, example.ensemble.token_noun
    method = asked.method or _default_method(model)
    most, reason, code = _max_steps(method, example), "", "too_long"
    if len(example) > most:
        reason = f"{method} takes too long for {len(example):,} {noun}s; the page limits it to {most:,} for this model"
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
        runs = int(MAX_PRODUCTS / (_products_per_step(model.architecture) * len(example)))
        chosen = replace(chosen, max_points=min(chosen.max_points, runs // _RUNS_PER_POINT))
    found = explain_example(example, chosen, metadata.faithfulness, metadata.attribution_method)
    default = {"default": method == metadata.attribution_method}
    return serialize.attribution_json(found, list(METHODS), MAX_PHRASES) | default


def _default_method(model: Model) -> str:
    known = model.metadata.attribution_method
    return known if known in METHODS else DEFAULT_METHOD


def _max_steps(method: str, example: Example) -> int:
    """The most steps for which the page runs a method."""
    products = _products_per_step(example.lstm.arch)
    if method == "leave-one-out":
        runs = 1 + example.lstm.arch.channels  # of a series also each number alone
        return min(MAX_LEAVE_ONE_OUT, math.isqrt(int(MAX_PRODUCTS / (products * runs))))
    if method == "integrated-gradients":
        return int(MAX_PRODUCTS / (products * _RUNS_PER_POINT * IntegratedGradients().points))
    return MAX_STEPS


def _every_prefix_fits(example: Example) -> bool:
    """Whether the prefix predictions at every step are bounded, if no two runs of `prefix_logits` are merged."""
    steps = len(example) if example.lstm.arch.unidirectional else len(example) ** 2 / 2
    return steps * _products_per_step(example.lstm.arch) <= MAX_PRODUCTS


def _products_per_step(arch: Architecture) -> int:
    """The multiplications of one step in all LSTMs, without the input product of the first layer."""
    layers = arch.layers
    return sum(4 * layers[n].units * (layers[n].units + (layers[n - 1].width if n else 0)) for n, _, _ in arch.lstms())


def frequent_ids(model: Model) -> range | None:
    """The ids of the most frequent words of the training texts; None where the ids do not tell."""
    # The words of a converted model, which no recipe has trained, may be in any order.
    found = getattr(model.preprocessor, "frequent_ids", None) if model.metadata.recipe else None
    return None if found is None else found(FREQUENT)


def _warnings(model: Model, example: Example) -> list[Json]:
    unknown, length = model.preprocessor.unknown, model.metadata.median_length
    found = text_notices(example, unknown, frequent_ids(model), length)
    if note := example.ensemble.lstm_note():
        found = [{"code": "weight", "message": note}, *found]
    if not example.truncated:
        return found
    first = int((example.rows == np.arange(len(example))).sum())
    ends = [f"the {name} {n:,}" for name, n in (("first", first), ("last", len(example) - first)) if n]
    count = f"{len(example):,} of {len(example.names):,} {example.ensemble.token_noun}s"
    read = f"Only {count} are read: {' and '.join(ends)}."
    return [*found, {"code": "truncated", "at": len(example), "message": read}]
