"""/explain, /model and /units: the glass box over HTTP. What they answer is made by `explain.view.view`; here they
get a thread of their own, so that no explanation holds up a prediction, and a bound on how many may wait for it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, MutableMapping
from typing import Any

from gatewise.errors import InputError
from gatewise.explain.view import view
from gatewise.serve.body import parse, text_of
from gatewise.serve.http_error import HTTPError, unquoted
from gatewise.serve.state import State

__all__ = ["explain", "model_card", "unit"]

_FIELD = re.compile(r"(?:text|series|want|changes|method|layer)(?:\[\d+\]|\.[a-z]+)*")
_WAITING = 16  # explanations that may wait


async def explain(state: State, scope: MutableMapping[str, Any], body: bytes) -> bytes:
    """POST /explain: the body as page and view agreed on it, with `model` beside it for a server of several. A page
    that asks at every keystroke gives up on what it asked before: that is not computed any more.
    """
    request = parse(body)
    served = state.of(text_of(request.pop("model"), "model") if "model" in request else None)
    gone: Callable[[], bool] = scope.get("gatewise.gone", lambda: False)

    def make() -> dict[str, object]:
        if gone():
            state.metrics.refused("gone")
            raise HTTPError(499, "gone", "the client left")
        return view.explain_view(served.model, request, served.views)

    return await _run(state, make)


async def model_card(state: State, name: str | None) -> bytes:
    """GET /model."""
    served = state.of(name)
    return await _run(state, lambda: view.model_view(served.model, served.views))


async def unit(state: State, name: str | None, number: int, layer: int, direction: str) -> bytes:
    """GET /units/{k}."""
    model = state.of(name).model
    return await _run(state, lambda: view.unit_view(model, number, layer, direction))


async def _run(state: State, make: Callable[[], dict[str, object]]) -> bytes:
    if state.explaining_now >= _WAITING:
        state.metrics.refused("queue")
        raise HTTPError(429, "busy", "too many explanations are waiting already", headers=((b"retry-after", b"1"),))
    state.explaining_now += 1
    try:
        work = asyncio.get_running_loop().run_in_executor(state.explaining, lambda: _json(make()))
        async with asyncio.timeout(state.settings.deadline):
            return await work
    except TimeoutError:
        state.metrics.refused("deadline")
        raise HTTPError(504, "deadline", "the explanation was not ready in time") from None
    except InputError as error:
        code, field = getattr(error, "code", "input"), getattr(error, "field", "")
        known = _FIELD.fullmatch(field)  # else it is a name that the client made up
        raise HTTPError(400, code, unquoted(error), field if known else None) from None
    finally:
        state.explaining_now -= 1


def _json(found: dict[str, Any]) -> bytes:
    return json.dumps(found, allow_nan=False, separators=(",", ":")).encode()
