"""Processes: signals, limits, forks, and memory of the C library."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from gatewise.system.optional import optional

_resource = optional("resource")

STOP_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that ask a program to end. SIGHUP: the terminal was closed. Windows: has no SIGHUP."""


def limit_this_process(memory: int, seconds: int) -> None:
    """Limit this process to `memory` bytes of address space and `seconds` of CPU time, without a core dump.

    Windows: no limits. macOS: none of the address space.
    """
    if _resource is None:
        return
    limits = ((_resource.RLIMIT_AS, memory), (_resource.RLIMIT_CPU, seconds), (_resource.RLIMIT_CORE, 0))
    for kind, limit in limits:
        highest = _resource.getrlimit(kind)[1]
        soft = limit if highest == _resource.RLIM_INFINITY else min(limit, highest)
        with suppress(OSError, ValueError):  # macOS refuses a limit of the address space
            _resource.setrlimit(kind, (soft, highest))


def exceeded_cpu_time(returncode: int) -> bool:
    """Whether a process with this return code was ended by its limit of CPU time. Windows: False, there is none."""
    return hasattr(signal, "SIGXCPU") and returncode == -signal.SIGXCPU


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
