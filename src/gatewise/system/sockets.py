"""What the server needs of the system: its event loop, its socket, its worker processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


def event_loop() -> str:
    """The event loop of uvicorn by name. Windows: that of Python, since uvloop does not exist there."""
    return "uvloop" if os.name == "posix" else "asyncio"


def one_listener(sock: socket.socket) -> None:
    """Set `sock` so that it can be bound right after an earlier server ended, and by one process at a time.

    Windows: SO_REUSEADDR would let a second process take the connections, and waiting is not needed.
    """
    import socket  # a prediction does not wait for it

    exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)  # of Windows alone
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if exclusive is None else exclusive, 1)


def workers_unavailable() -> str:
    """Why the server cannot have several worker processes, "" where it can. Windows: ending one loses its requests."""
    return "" if os.name == "posix" else "this system cannot end a worker without losing its requests"
