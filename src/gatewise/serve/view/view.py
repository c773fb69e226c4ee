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

import numpy as np

from gatewise.errors import InputError
from gatewise.explain import serialize
from gatewise.explain.attribution import METHODS, method_named
from gatewise.explain.attribution.integrated_gradients import IntegratedGradients
from gatewise.explain.example import Example
from gatewise.explain.explanation import DEFAULT_METHOD, explain_example
from gatewise.explain.score import TargetScore, target_score
from gatewise.explain.serialize import Json
from gatewise.members.clamp import Clamp, check_clamp
from gatewise.model.model import Model
from gatewise.network.architecture import Architecture
from gatewise.serve.view.model import MAX_STEPS, ViewCache, model_json, model_view, unit_view
from gatewise.serve.view.notices import FREQUENT, text_notices
from gatewise.serve.view.request import RequestError, ViewRequest, parse_request
from gatewise.target import check_logits

__all__ = ["RequestError", "ViewCache", "explain_view", "is_slow", "model_view", "unit_view", "viewed_example"]

MAX_PHRASES = 12  # n-grams that are listed, the largest scores first
MAX_LEAVE_ONE_OUT = 600  # steps: leave-one-out makes one prediction per step
MAX_PRODUCTS = 4e11  # multiplications of an attribution: about ten seconds of one core
_RUNS_PER_POINT = 3  # of integrated gradients: a backward pass costs two runs


def is_slow(model: Model, request: Mapping[str, object]) -> bool:
    """Whether the request, checked or not, includes parts that may take seconds: all methods of attribution but prefix
    differences of one direction, the prefix predictions at every step, and the similarity of the units.
    """
    include = request.get("include")
    if not isinstance(include, list):
        return False
    if "prefix:all" in include or "similarity" in include:
        return True
    method = request.get("method") or _default_method(model)
    return "attribution" in include and (method != "prefix-difference" or model.architecture.bidirectional)


def explain_view(model: Model, request: Mapping[str, object], cache: ViewCache | None = None) -> Json:
    """The parts of an explanation that `request` includes.

    request: {"text": str or "series": rows, "include": [...], "changes": [...], "method": name, "layer": from 0,
    "target": class, "against": class}; see docs/page.md. cache: shared by the requests to one model. Raises
    RequestError (an InputError) that names the field.
    """
    started = time.perf_counter()
    cache = cache or ViewCache()
    parsed = parse_request(request, model.architecture.inputs)
    fingerprint = cache.fingerprint(model)
    layer = _layer(model, parsed)
    before, reused = _example(model, parsed, (), cache)
    before = before.with_score(_score(model, parsed, before))
    example = before
    if parsed.changes:
        for field, clamp in parsed.changes:
            _check(field, clamp, model, len(before))
        example, reused = _example(model, parsed, parsed.clamps, cache)
        example = example.with_score(before.score)
    include = parsed.include
    calibrated = model.metadata.calibration is not None
    warnings = _warnings(model, example)
    found: Json = {
        "api": 1,
        "id": hashlib.sha256(repr((fingerprint, parsed.item, parsed.clamps)).encode("utf-8", "replace")).hexdigest()[
            :12
        ],
        "model": model_json(model, fingerprint),
        "text": serialize.text_json(example, model.preprocessor.unknown),
    }
    if "prediction" in include:
        found["prediction"] = serialize.prediction_json(example, calibrated)
    sampled = "prefix:all" not in include or not _every_prefix_fits(example)
    if with_prefix := bool(include & {"prefix", "prefix:all"}):
        found["prefix"] = serialize.prefix_json(example, sampled)
    if "attribution" in include:
        found["attribution"] = _attribution(model, parsed, example, warnings)
    if "units" in include:
        found["units"] = serialize.units_json(example, layer)
    if "similarity" in include:
        found["similarity"] = serialize.similarity_json(example, layer)
    if parsed.unit is not None:
        found["unit"] = serialize.unit_json(example, _unit(parsed.unit, example, layer), layer)
    if parsed.heatmaps:
        values = {name: example.values(name, layer) for name in parsed.heatmaps}
        found["heatmaps"] = [serialize.heatmap_json(array, name, layer) for name, array in values.items()]
    if parsed.changes:
        prediction = serialize.prediction_json(before, calibrated)
        if with_prefix:
            prediction["prefix"] = serialize.prefix_json(before, sampled)
        found["changed"] = {"before": prediction, "applied": [str(clamp) for clamp in parsed.clamps]}
    found["warnings"] = warnings
    found["cache"] = {"reused": reused, "ms": round((time.perf_counter() - started) * 1000, 2)}
    return found


def viewed_example(model: Model, request: Mapping[str, object], cache: ViewCache) -> Example:
    """The example that `explain_view` explains for a request without changes, with its score."""
    parsed = parse_request(request, model.architecture.inputs)
    cache.fingerprint(model)
    example, _ = _example(model, parsed, (), cache)
    return example.with_score(_score(model, parsed, example))


def _example(model: Model, parsed: ViewRequest, clamps: tuple[Clamp, ...], cache: ViewCache) -> tuple[Example, bool]:
    """The example of a request under `clamps`, and whether it was cached."""
    field = "text" if isinstance(parsed.item, str) else "series"
    item = parsed.item if isinstance(parsed.item, str) else np.asarray(parsed.item, dtype=np.float64)

    def make() -> Example:
        try:
            example = Example(model.explained.with_clamps(clamps), *model.preprocessor.encode(parsed.item), item=item)
        except InputError as error:
            raise RequestError(field, str(error).replace(f"{field} 1", f"the {field}", 1), "bad_input") from None
        if len(example) > MAX_STEPS:
            read = f"the network would read {len(example):,} {model.ensemble.token_noun}s"
            raise RequestError(field, f"{read}; the page shows at most {MAX_STEPS:,}", "too_long")
        _check_finite(example, field)
        return example

    return cache.example((item if isinstance(item, str) else (item.shape, item.tobytes()), clamps), make)


def _score(model: Model, parsed: ViewRequest, example: Example) -> TargetScore:
    """The score of the requested target and class to compare with. Raises RequestError for a class without a logit."""
    places: list[int | None] = []
    for field, name in (("target", parsed.target), ("against", parsed.against)):
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
            arch = example.lstm.arch
            unit = bad[0, 1] + arch.units * arch.directions.index(gates.direction)
            where = f"unit {unit} of layer {gates.layer + 1} at {example.lstm.token_noun} {bad[0, 0] + 1}"
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


def _layer(model: Model, parsed: ViewRequest) -> int:
    layers = model.architecture.layers
    if parsed.layer is not None and parsed.layer >= layers:
        raise RequestError("layer", f"must be from 0 to {layers - 1}, not {parsed.layer}")
    return layers - 1 if parsed.layer is None else parsed.layer


def _unit(unit: int, example: Example, layer: int) -> int:
    """The requested unit; for -1 the unit with the largest effect, or below the top layer the largest jump of c."""
    arch = example.lstm.arch
    units = arch.units * len(arch.directions)
    if unit >= units:
        raise RequestError("include", f"unit must be from 0 to {units - 1}, not {unit}")
    if unit >= 0:
        return unit
    if layer == arch.layers - 1:
        return example.top_unit
    return int(serialize.jumps(example, layer)[0].argmax())


def _attribution(model: Model, parsed: ViewRequest, example: Example, warnings: list[Json]) -> Json:
    """The attribution by the requested method, by default the model's. A default method that does not apply is replaced
    by prefix-difference, with a warning.
    """
    metadata, noun = model.metadata, example.lstm.token_noun
    method = parsed.method or _default_method(model)
    most, reason, code = _max_steps(method, example), "", "too_long"
    if len(example) > most:
        reason = f"{method} takes too long for {len(example):,} {noun}s; the page limits it to {most:,} for this model"
    elif method == "integrated-gradients" and parsed.changes:
        reason, code = "integrated gradients do not support clamps", "bad_method"
    if reason:
        if parsed.method is not None:
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
    steps = len(example) ** 2 / 2 if example.lstm.arch.bidirectional else len(example)
    return steps * _products_per_step(example.lstm.arch) <= MAX_PRODUCTS


def _products_per_step(arch: Architecture) -> int:
    """The multiplications of one step in all LSTMs, without the input product of the first layer."""
    width = arch.units * len(arch.directions)
    return sum(4 * arch.units * (arch.units + (width if layer else 0)) for layer, _, _ in arch.lstms())


def _warnings(model: Model, example: Example) -> list[Json]:
    # The words of a converted model, which no recipe has trained, may be in any order.
    frequent = getattr(model.preprocessor, "frequent_ids", None) if model.metadata.recipe else None
    found = text_notices(
        example,
        model.preprocessor.unknown,
        None if frequent is None else frequent(FREQUENT),
        model.metadata.median_length,
    )
    if note := example.ensemble.lstm_note():
        found = [{"code": "weight", "message": note}, *found]
    if not example.truncated:
        return found
    first = int((example.rows == np.arange(len(example))).sum())
    ends = [f"the {name} {n:,}" for name, n in (("first", first), ("last", len(example) - first)) if n]
    read = f"Only {len(example):,} of {len(example.names):,} {example.lstm.token_noun}s are read: {' and '.join(ends)}."
    return [*found, {"code": "truncated", "at": len(example), "message": read}]
