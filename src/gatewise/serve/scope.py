"""The ASGI scope of a request, and what the connection and the handlers add to it."""

from collections.abc import Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]

DISCONNECTED = "gatewise.disconnected"
ARRIVING_SINCE = "gatewise.arriving_since"  # a function: when the first byte arrived; None if all of it is here
MODEL = "gatewise.model"  # the name of the model that answers, for the log and the metrics


def disconnected_of(scope: Scope) -> Callable[[], bool]:
    """The function that says whether the client has closed its connection."""
    found: Callable[[], bool] = scope.get(DISCONNECTED, lambda: False)
    return found
