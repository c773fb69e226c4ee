"""POST /predict: what a request may hold, and the inputs in it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from gatewise.serve.body import parse, text_of
from gatewise.serve.endpoint import ModelEndpoint
from gatewise.serve.http_error import HTTPError
from gatewise.serve.state import State

__all__ = ["inputs_of", "predict"]

_KEYS = frozenset({"text", "series", "inputs", "model", "id"})


async def predict(state: State, scope: MutableMapping[str, Any], body: bytes) -> bytes:
    """The answer's JSON. Raises Refusal."""
    request = parse(body)
    if not _KEYS.issuperset(request):
        raise HTTPError(400, "unknown_field", f"a request has no other fields than {', '.join(sorted(_KEYS))}")
    if "model" in request:
        text_of(request["model"], "model")
    if "id" in request:
        text_of(request["id"], "id")
    served = state.of(request.get("model"))
    answer = await served.predict(inputs_of(request, served), scope.get("gatewise.gone", _stays))
    return served.json_of(answer, request.get("id"))


def inputs_of(request: dict[str, Any], served: ModelEndpoint) -> list[Any]:
    """The texts, or the series as lists of steps, of a request: one under `text` or `series`, any number under
    `inputs`.
    """
    given = [name for name in ("text", "series", "inputs") if name in request]
    if len(given) != 1 or given[0] not in (served.takes, "inputs"):
        raise HTTPError(400, "bad_field", f"give either {served.takes} or inputs; the model reads {served.takes}s")
    inputs = request["inputs"] if "inputs" in request else [request[served.takes]]
    if not isinstance(inputs, list):
        raise HTTPError(400, "bad_field", f"inputs must be a list of {served.takes}s", "inputs")
    channels = served.model.architecture.channels
    for n, item in enumerate(inputs):
        field = f"inputs[{n}]" if "inputs" in request else served.takes
        if served.takes == "text" and not isinstance(item, str):
            raise HTTPError(400, "bad_field", f"{field} must be a string", field)
        if served.takes == "series" and not _is_series(item, channels):
            say = f"{field} must be a list of steps, each a list of {channels} numbers"
            raise HTTPError(400, "bad_field", say, field)
    return inputs


def _is_series(item: object, channels: int) -> bool:
    return (
        isinstance(item, list)
        and len(item) > 0
        and all(isinstance(step, list) and len(step) == channels for step in item)
        and all(type(x) in (int, float) and -3e38 < x < 3e38 for step in item for x in step)
    )


def _stays() -> bool:
    return False
