"""Processes: forks, memory of the C library, the processors that they may use, and what the server needs.

The number of processors can change while a process runs, so each call asks again. The quota of the control groups takes
reading a few files and rarely changes, so it is cached for some seconds.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from multiprocessing.context import BaseContext

RELOAD_SIGNAL: int | None = getattr(signal, "SIGHUP", None)
"""The signal that asks a server to read its files again. Windows: None."""

_SO_ATTACH_FILTER = 26  # of Linux, which Python's socket module does not name
_ROOT = Path("/")
_SECONDS = 10.0  # for which a quota is cached
_UNLIMITED = 1 << 30


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


def can_limit_memory() -> bool:
    """Whether `limit_process` limits the memory. Other systems than Linux ignore the limit of the address space."""
    return sys.platform == "linux"


def limit_process(memory: int, seconds: int) -> None:
    """Let this process add so many bytes to its address space, and use every processor for so many seconds. macOS and
    Windows: no limit.
    """
    if not can_limit_memory():
        return
    import resource

    pages = int((_ROOT / "proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    all_processors = seconds * (os.cpu_count() or 1)  # the time of all threads counts
    resource.setrlimit(resource.RLIMIT_CPU, (all_processors, all_processors))


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


def ignore_new_clients(sock: socket.socket) -> None:
    """Leave attempts to connect to a listening TCP socket without an answer, for all processes that share it. Who has
    connected, or is about to, is not affected. Linux only; other systems have no such filter, and nothing happens.

    A classic BPF program drops every packet with SYN and without ACK, which is the first one of a connection (RFC 9293,
    section 3.5). The program sees the packet from its TCP header on.
    """
    if sys.platform != "linux":
        return
    import ctypes
    import socket

    program = (
        (0x30, 0, 0, 13),  # load the byte with the flags
        (0x54, 0, 0, 0x12),  # keep SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone: go on; else skip one instruction
        (0x06, 0, 0, 0),  # drop the packet
        (0x06, 0, 0, 0xFFFFFFFF),  # accept all of it
    )
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *fields) for fields in program))
    with suppress(OSError):  # a sandbox may not allow it
        filter_program = struct.pack("HL", len(program), ctypes.addressof(instructions))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_program)


@contextmanager
def blocked_signals(numbers: Iterable[int]) -> Iterator[None]:
    """Keep signals pending in this thread, and in the processes that it starts meanwhile. Windows: has no such mask."""
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def block_signal(number: int | None) -> None:
    """Keep a signal pending until `receive_signals` has it. None, and Windows: nothing happens."""
    if number is not None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])


def receive_signals(numbers: Iterable[int]) -> None:
    """Receive signals that were blocked, also those that came meanwhile. Windows: none can be blocked."""
    if os.name == "posix":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def worker_context() -> BaseContext:
    """How the server starts its worker processes. Linux: by a fork, which takes milliseconds and shares the memory of
    the models. Elsewhere by a new process: libraries of macOS fail in forked ones.
    """
    import multiprocessing

    return multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


def workers_unavailable() -> str:
    """Why the server cannot have several worker processes, "" where it can. Windows: ending one loses its requests."""
    return "" if os.name == "posix" else "this system cannot end a worker without losing its requests"


def available_processors() -> int:
    """Processors that the thread's affinity and the process's control groups allow, at least 1. macOS and Windows: all
    of the machine.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, _quota(_ROOT, time.monotonic() // _SECONDS)))


def processor_name() -> str:
    """The processor's name, where the system gives it."""
    import platform  # a prediction does not wait for it

    cpuinfo = _ROOT / "proc/cpuinfo"
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.processor() or "unknown processor"


@lru_cache(maxsize=1)
def _quota(root: Path, period: float) -> int:
    """Processors that the control groups (version 2 or 1) of this process and their parents up to the mount grant,
    rounded up; a large number without a limit.
    """
    least = _UNLIMITED
    try:
        groups = dict(line.split(":", 2)[1:] for line in (root / "proc/self/cgroup").read_text().splitlines())
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except (OSError, ValueError):
        return least
    for mount in mounts:
        fields, _, kind = mount.partition(" - ")
        path = None
        if kind.startswith("cgroup2 "):
            path = groups.get("")
        elif kind.startswith("cgroup ") and "cpu" in kind.split()[-1].split(","):
            path = next((path for names, path in groups.items() if "cpu" in names.split(",")), None)
        if path is None:
            continue
        _, _, _, mounted, at = (field.replace("\\040", " ") for field in fields.split()[:5])
        inside = PurePosixPath(path)
        # Inside a container the group may lie outside the mount; then only the mount itself counts.
        below = inside.relative_to(mounted) if inside.is_relative_to(mounted) else PurePosixPath()
        for part in (below, *below.parents) if ".." not in below.parts else (PurePosixPath(),):
            folder = root / at.lstrip("/") / part
            try:
                if (folder / "cpu.max").exists():
                    quota, microseconds = (folder / "cpu.max").read_text().split()
                else:
                    quota = (folder / "cpu.cfs_quota_us").read_text().strip()
                    microseconds = (folder / "cpu.cfs_period_us").read_text().strip()
                if quota not in ("max", "-1"):
                    least = min(least, max(1, -(-int(quota) // int(microseconds))))
            except (OSError, ValueError, ZeroDivisionError):
                continue
    return least
