"""Processes: signals, forks, and memory of the C library."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import cache
from typing import Any

STOP_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that ask a program to end. SIGHUP: the terminal was closed. Windows: has no SIGHUP."""


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
