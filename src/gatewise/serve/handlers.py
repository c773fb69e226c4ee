"""The handlers of /predict, /explain, /model and /units: from a request's body to the JSON of the response."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.explain_queue import ExplainQueue
from gatewise.serve.http_error import HTTPError, without_quotes
from gatewise.serve.scope import Scope, disconnected_of
from gatewise.serve.state import State
from gatewise.serve.view import view
from gatewise.storage.strict_json import parse_json
from gatewise.types import Array

_PREDICT_KEYS = frozenset({"text", "series", "inputs", "model", "id"})
_FIELD = re.compile(r"(?:text|series|include|changes|method|layer|unit|target|against)(?:\[\d+\]|\.[a-z]+)*")


def parse(body: bytes) -> dict[str, Any]:
    """The object in a request's body. Raises HTTPError 400 "bad_json" for anything but an object in strict JSON.

    Lone surrogates pass: the preprocessor refuses them with the number of the text and the position in it.
    """
    # The server limits a body by --max-body before it reads it.
    value = parse_json(body, "body", error=_bad_json, echo=False, surrogates=True, max_bytes=len(body))
    if not isinstance(value, dict):
        raise _bad_json("body: must be a JSON object")
    return value


def _bad_json(message: str) -> HTTPError:
    return HTTPError(400, "bad_json", message, "body")


def text_of(value: object, field: str) -> str:
    """A string of at most 200 characters. Raises HTTPError 400 naming the field for anything else."""
    if not isinstance(value, str) or len(value) > 200:
        raise HTTPError(400, "bad_field", f"{field} must be a string of at most 200 characters", field)
    return value


async def predict(state: State, scope: Scope, body: bytes) -> bytes:
    """POST /predict. Raises HTTPError."""
    request = parse(body)
    if not _PREDICT_KEYS.issuperset(request):
        raise HTTPError(400, "unknown_field", f"the fields of a request are {', '.join(sorted(_PREDICT_KEYS))}", "body")
    for name in ("model", "id"):
        if name in request:
            text_of(request[name], name)
    endpoint = state.endpoint(request.get("model"))
    inputs = _inputs_of(request, endpoint)
    field = "inputs[{}]" if "inputs" in request else endpoint.input_kind
    found = await endpoint.predict(inputs, field, disconnected_of(scope))
    return endpoint.to_json(found, request.get("id"))


def _inputs_of(request: dict[str, Any], endpoint: ModelEndpoint) -> list[Any]:
    """The texts or series of a request: one under `text` or `series`, or a list under `inputs`."""
    kind, kinds = endpoint.input_kind, endpoint.input_kinds
    given = [name for name in ("text", "series", "inputs") if name in request]
    if len(given) != 1 or given[0] not in (kind, "inputs"):
        raise HTTPError(400, "bad_field", f"give either {kind} or inputs; the model reads {kinds}", kind)
    inputs = request["inputs"] if "inputs" in request else [request[kind]]
    if not isinstance(inputs, list):
        raise HTTPError(400, "bad_field", f"inputs must be a list of {kinds}", "inputs")
    channels = endpoint.model.channels
    for n, item in enumerate(inputs):
        field = f"inputs[{n}]" if "inputs" in request else kind
        if kind == "text" and not isinstance(item, str):
            raise HTTPError(400, "bad_field", f"{field} must be a string", field)
        if kind == "series" and not _is_series(item, channels):
            one = " or one number" if channels == 1 else ""
            message = (
                f"{field} must be a list of time steps, each a list of {channels} numbers{one}; null is a missing one"
            )
            raise HTTPError(400, "bad_field", message, field)
    return inputs if kind == "text" else [series_array(item) for item in inputs]


def _is_series(item: object, channels: int) -> bool:
    """Whether it is a list of steps, each a list of `channels` numbers, or of one channel a number; null is missing."""
    if not isinstance(item, list) or not item:
        return False
    if channels == 1 and not isinstance(item[0], list):
        item = [[x] for x in item]
    steps_fit = all(isinstance(step, list) and len(step) == channels for step in item)
    return steps_fit and all(x is None or (type(x) in (int, float) and -3e38 < x < 3e38) for step in item for x in step)


def series_array(item: list[Any]) -> Array:
    """A series (length, channels) float32 from a checked list; NaN where a value is missing."""
    series = np.array(item, dtype=np.float32)  # None becomes NaN
    return series[:, None] if series.ndim == 1 else series


async def explain(state: State, scope: Scope, body: bytes) -> bytes:
    """POST /explain: the request of `explain_view` with an optional `model`. Slow parts have a thread of their own, so
    that they delay no prediction. A request whose client has disconnected is not computed to its end.
    """
    request = parse(body)
    endpoint = state.endpoint(text_of(request.pop("model"), "model") if "model" in request else None)
    queue = state.attributions if view.is_slow(endpoint.model, request) else state.explanations
    compute = partial(view.explain_view, endpoint.model, request, endpoint.views)
    return await _run(queue, compute, disconnected_of(scope))


async def model_card(state: State, name: str | None) -> bytes:
    """GET /model. served: the model's name; models: every served model and what it reads."""
    endpoint = state.endpoint(name)
    models = [{"name": one.name, "inputs": one.input_kind} for one in state.endpoints.values()]
    served = {"served": endpoint.name, "models": models}
    return await _run(state.explanations, lambda: view.model_view(endpoint.model, endpoint.views) | served)


async def unit(state: State, name: str | None, number: int, layer: int | None) -> bytes:
    """GET /units/{unit}."""
    model = state.endpoint(name).model
    return await _run(state.explanations, lambda: view.unit_view(model, number, layer))


async def _run(
    queue: ExplainQueue, compute: Callable[[], dict[str, object]], disconnected: Callable[[], bool] = lambda: False
) -> bytes:
    """The JSON of what `compute` returns on the queue's thread. Raises HTTPError."""
    try:
        return await queue.run(lambda: to_json(compute()), disconnected)
    except InputError as error:
        code, field = getattr(error, "code", "input"), getattr(error, "field", "")
        known = _FIELD.fullmatch(field)  # any other field is a name from the client
        raise HTTPError(400, code, without_quotes(error), field if known else "body") from None


def to_json(found: dict[str, Any]) -> bytes:
    """Compact JSON without NaN or infinity."""
    return json.dumps(found, allow_nan=False, separators=(",", ":")).encode()
