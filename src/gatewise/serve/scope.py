"""The ASGI scope of a request, and what the connection and the handlers add to it."""

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]

DISCONNECTED = "gatewise.disconnected"
ARRIVING_SINCE = "gatewise.arriving_since"
MODEL = "gatewise.model"  # the name of the model that answers, for the log and the metrics


def disconnected_of(scope: Scope) -> Callable[[], bool]:
    """The function that says whether the client has closed its connection."""
    found: Callable[[], bool] = scope.get(DISCONNECTED, lambda: False)
    return found


def arriving_since(scope: Scope) -> float | None:
    """When the first byte of the request arrived, on the clock of the event loop; None if all of it is here."""
    found: Callable[[], float | None] = scope.get(ARRIVING_SINCE, asyncio.get_running_loop().time)
    return found()
