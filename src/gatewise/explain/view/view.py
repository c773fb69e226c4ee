"""What the page, the HTML report and the notebook draw, as plain data: JSON without a browser, lazy by what is wanted.

No HTTP here. Every account carries its method's name and what deleting words said of that method on this very model;
none of it claims a cause.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.attribution import METHODS
from gatewise.explain.clamp import Clamp, check_clamp
from gatewise.explain.example import Example
from gatewise.explain.explanation import DEFAULT_METHOD, explain_example
from gatewise.explain.view.model import about, model_view, unit_view
from gatewise.explain.view.parts import (
    alike_part,
    plane_part,
    running_part,
    text_part,
    unit_part,
    units_part,
    verdict_part,
)
from gatewise.explain.view.request import RequestError, ViewRequest, parse_request
from gatewise.explain.view.run import ViewCache, ViewedModel, checked_example

__all__ = ["RequestError", "ViewCache", "explain_view", "model_view", "unit_view"]

TELLING = 12  # n-grams that are named, the heaviest
QUADRATIC = 600  # steps up to which leave-one-out, a run for each of them, is still an answer while someone waits


def explain_view(
    model: ViewedModel, request: Mapping[str, object], cache: ViewCache | None = None
) -> dict[str, object]:
    """The parts of a view that `request` wants.

    request: {"text": str or "series": rows, "want": [...], "changes": [...], "method": name, "layer": from 0}; see
    docs/page.md. cache: shared by the requests to one model. Raises RequestError (an InputError) that names the field.
    """
    start = time.perf_counter()
    cache = cache or ViewCache()
    asked = parse_request(request, model.architecture.inputs)
    fingerprint = cache.fingerprint(model)
    layer = _layer(model, asked)
    plain, reused = _run(model, asked, (), cache)
    run = plain
    if asked.changes:
        for field, clamp in asked.changes:
            _check(field, clamp, model, len(plain.rows))
        run, reused = _run(model, asked, asked.clamps, cache)
    say: list[dict[str, object]] = _warnings(model, run)
    found: dict[str, object] = {
        "api": 1,
        "id": hashlib.sha256(repr((fingerprint, asked.item, asked.clamps)).encode("utf-8", "replace")).hexdigest()[:12],
        "model": about(model, fingerprint),
        "text": text_part(model, asked.item, run),
    }
    if "verdict" in asked.want:
        found["verdict"] = verdict_part(model, run)
    if "running" in asked.want:
        found["running"] = running_part(run, plain.target, plain.predicted)
    if "account" in asked.want:
        found["account"] = _account(model, asked, run, say)
    if "units" in asked.want:
        found["units"] = units_part(
            run.layer(layer), run.contributions if layer == model.architecture.layers - 1 else None
        )
    if "alike" in asked.want:
        found["alike"] = alike_part(run, layer)
    if asked.unit is not None:
        found["unit"] = unit_part(run, _unit(asked.unit, run, layer), layer)
    if asked.planes:
        found["planes"] = [plane_part(run.values(name, layer), name, layer) for name in asked.planes]
    if asked.changes:
        before = verdict_part(model, plain)
        if "running" in asked.want:
            before["running"] = running_part(plain, plain.target, plain.predicted)
        found["changed"] = {"before": before, "applied": [str(clamp) for clamp in asked.clamps]}
    found["warnings"] = say
    found["cache"] = {"reused": reused, "ms": round((time.perf_counter() - start) * 1000, 2)}
    return found


def _run(model: ViewedModel, asked: ViewRequest, clamps: tuple[Clamp, ...], cache: ViewCache) -> tuple[Example, bool]:
    def make() -> Example:
        field = "text" if isinstance(asked.item, str) else "series"
        try:
            return checked_example(model.net.with_clamps(clamps), *model.preprocessor.encode(asked.item))
        except RequestError:
            raise
        except InputError as error:
            raise RequestError(field, str(error).replace(f"{field} 1", f"the {field}", 1), "bad_input") from None

    item = asked.item if isinstance(asked.item, str) else np.asarray(asked.item, dtype=np.float64).tobytes()
    return cache.example((item, clamps), make)


def _check(field: str, clamp: Clamp, model: ViewedModel, steps: int) -> None:
    try:
        check_clamp(clamp, model.architecture, steps)
    except InputError as error:
        part = next((p for p in ("unit", "layer", "steps") if str(error).startswith((p, f"the {p}"))), "value")
        raise RequestError(f"{field}.{'to' if part == 'steps' else part}", str(error), "bad_clamp") from None


def _layer(model: ViewedModel, asked: ViewRequest) -> int:
    layers = model.architecture.layers
    if asked.layer is not None and asked.layer >= layers:
        raise RequestError("layer", f"must be from 0 to {layers - 1}, not {asked.layer}")
    return layers - 1 if asked.layer is None else asked.layer


def _unit(unit: int, run: Example, layer: int) -> int:
    units = run.net.arch.units * len(run.net.arch.directions)
    if unit >= units:
        raise RequestError("want", f"unit must be from 0 to {units - 1}, not {unit}")
    if unit >= 0:
        return unit
    if layer == run.net.arch.layers - 1:
        return int(np.abs(run.contributions.sum(axis=0)).argmax())
    return int(np.abs(run.values("c", layer)).max(axis=0).argmax())


def _account(model: ViewedModel, asked: ViewRequest, run: Example, say: list[dict[str, object]]) -> dict[str, Any]:
    metadata = model.metadata
    method = asked.method or (metadata.attribution_method if metadata.attribution_method in METHODS else DEFAULT_METHOD)
    if method == "leave-one-out" and len(run.rows) > QUADRATIC:
        reason = f"leave-one-out predicts the text once per {run.net.token_noun}; here it is limited to {QUADRATIC}"
        if asked.method is not None:
            raise RequestError("method", reason, "too_long")
        method = "prefix-difference"
        say.append({"code": "method", "say": f"{reason}. The attribution shown is prefix-difference."})
    if method == "integrated-gradients" and asked.changes:
        reason = "integrated gradients need the kernel, which has no clamps"
        if asked.method is not None:
            raise RequestError("method", f"{reason}: remove the changes", "bad_method")
        method = "prefix-difference"
        say.append({"code": "method", "say": f"With clamps the attribution shown is prefix-difference: {reason}."})
    found = explain_example(run, model.classes, method, metadata.faithfulness, metadata.attribution_method)
    return {
        "method": found.method,
        "default": method == metadata.attribution_method,
        "methods": list(METHODS),
        "note": found.method_note,
        "faithfulness": None if found.faithfulness is None else asdict(found.faithfulness),
        "faithfulness_note": found.faithfulness_note(),
        "unit": "logit",
        "towards": found.target,
        "words": np.round(found.scores, 6).tolist(),
        "start": found.base_value,
        "start_note": found.base_value_note,
        "logit": found.logit,
        "residual": found.residual,
        "adds_up": found.adds_up,
        **found.ngram_dict(TELLING),
    }


def _warnings(model: ViewedModel, run: Example) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    token_noun, left = run.net.token_noun, len(run.names) - len(run.rows)
    if left:
        where = "last ones" if model.architecture.truncation == "front" else "first third and the last two"
        say = f"The network reads {len(run.rows):,} of {len(run.names):,} {token_noun}s: the {where}."
        found.append({"code": "truncated", "at": len(run.rows), "say": say})
    return found
