"""Processes: signals, forks, memory of the C library, and what the server needs of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

STOP_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that ask a program to end. SIGHUP: the terminal was closed. Windows: has no SIGHUP."""

RELOAD_SIGNAL: int | None = getattr(signal, "SIGHUP", None)
"""The signal that asks a server to read its files again. Windows: None."""


def is_alive(pid: int) -> bool:
    """Whether a process of this number exists. Windows: True, because signal 0 is Ctrl-C there."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to somebody else
        return True
    return True


def call_after_fork(function: Callable[[], object]) -> None:
    """Call `function` in each forked child. Windows: has no fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)


def trim_memory() -> None:
    """Return to the system the memory that the C library keeps: malloc_trim of glibc. Others have no such function."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    import ctypes

    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # TypeError: Windows has no library of the whole process
        return None


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
