"""The ASGI scope of a request, and what `Connection` adds to it."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]

DISCONNECTED = "gatewise.disconnected"


def disconnected_of(scope: Scope) -> Callable[[], bool]:
    """The function that says whether the client has closed its connection."""
    found: Callable[[], bool] = scope.get(DISCONNECTED, lambda: False)
    return found
