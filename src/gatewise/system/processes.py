"""Processes: forks, memory of the C library, the processors that they may use, and what the server needs.

The number of processors can change while a process runs, so each call asks again. The quota of the control groups takes
reading a few files and rarely changes, so it is cached for some seconds.
"""

from __future__ import annotations

import math
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
    """Limit this process to `memory` further bytes of address space, and to `seconds` on every processor. macOS and
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
    if os.name == "posix":
        return "uvloop"
    return "asyncio"


def one_listener(sock: socket.socket) -> None:
    """Set `sock` so that it can be bound right after an earlier server ended, and by one process at a time.

    Windows: SO_REUSEADDR would let a second process take the connections, and waiting is not needed.
    """
    import socket  # a prediction does not wait for it

    option = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)  # Windows only
    if option is None:
        option = socket.SO_REUSEADDR
    sock.setsockopt(socket.SOL_SOCKET, option, 1)


def ignore_new_clients(sock: socket.socket) -> None:
    """Leave attempts to connect to a listening TCP socket without an answer, for all processes that share it. Clients
    that have sent their first packet are not affected. Linux only; other systems have no such filter, and nothing
    happens.

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
        (0x15, 0, 1, 0x02),  # SYN alone: go on; otherwise skip one instruction
        (0x06, 0, 0, 0),  # drop the packet
        (0x06, 0, 0, 0xFFFFFFFF),  # accept all of it
    )
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *fields) for fields in program))
    with suppress(OSError):  # a sandbox may not allow it
        filter_program = struct.pack("HL", len(program), ctypes.addressof(instructions))
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_program)


@contextmanager
def blocked_signals(numbers: Iterable[int]) -> Iterator[None]:
    """Keep signals pending in this thread and in the processes that the block starts. Windows: has no such mask."""
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def block_signal(number: int | None) -> None:
    """Keep a signal pending until `receive_signals`. None, and Windows: nothing happens."""
    if number is not None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])


def receive_signals(numbers: Iterable[int]) -> None:
    """Unblock signals; those that are pending are received at once. Windows: no signal can be blocked."""
    if os.name == "posix":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def worker_context() -> BaseContext:
    """The way in which the server starts its worker processes. Linux: by a fork, which takes milliseconds and shares
    the memory of the models. Other systems: by a new process, because libraries of macOS fail in forked ones.
    """
    import multiprocessing

    if sys.platform == "linux":
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def workers_unavailable() -> str:
    """The reason why the server cannot have several worker processes; "" where it can. Windows: it cannot."""
    if os.name == "posix":
        return ""
    return "this system cannot end a worker without losing its requests"


def available_processors() -> int:
    """Processors that the thread's affinity and the process's control groups allow, at least 1. macOS and Windows: all
    of the machine.
    """
    # Each call of a kernel asks. On Linux, os.cpu_count lists a folder of the kernel and takes 15 times as long as the
    # affinity.
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    period = time.monotonic() // _SECONDS  # an argument, so that the cache of `_quota` ends with it
    return max(1, min(processors, _quota(_ROOT, period)))


def processor_name() -> str:
    """The processor's name, where the system gives it."""
    import platform  # a prediction does not wait for it

    cpuinfo = _ROOT / "proc/cpuinfo"
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, name = line.partition(":")
            if key.strip() == "model name" and name.strip():
                return name.strip()
    return platform.processor() or "unknown processor"


@lru_cache(maxsize=1)
def _quota(root: Path, period: float) -> int:
    """The number of processors that the control groups (version 2 or 1) of this process grant, rounded up; a large
    number without a limit. A group has at most the quota of each group above it, up to the mount. root: of the file
    system. period: ends the cache.
    """
    least = _UNLIMITED
    try:
        groups = dict(line.split(":", 2)[1:] for line in (root / "proc/self/cgroup").read_text().splitlines())
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except (OSError, ValueError):
        return least
    for mount in mounts:
        fields, _, file_system = mount.partition(" - ")
        group = _group_of_mount(file_system, groups)
        if group is None:
            continue
        _, _, _, mounted, mount_point = (field.replace("\\040", " ") for field in fields.split()[:5])
        # Inside a container the group may lie outside of the mount; then only the mount itself counts.
        below = PurePosixPath()
        if group.is_relative_to(mounted) and ".." not in group.relative_to(mounted).parts:
            below = group.relative_to(mounted)
        for relative in (below, *below.parents):
            least = min(least, _quota_of(root / mount_point.lstrip("/") / relative))
    return least


def _group_of_mount(file_system: str, groups: dict[str, str]) -> PurePosixPath | None:
    """The control group of this process in a mounted hierarchy; None for a mount without a hierarchy that limits
    processors. file_system: type, source and options of the mount. groups: the group by controllers, "" for version 2.
    """
    if file_system.startswith("cgroup2 ") and "" in groups:
        return PurePosixPath(groups[""])
    if file_system.startswith("cgroup ") and "cpu" in file_system.split()[-1].split(","):
        for controllers, group in groups.items():
            if "cpu" in controllers.split(","):
                return PurePosixPath(group)
    return None


def _quota_of(folder: Path) -> int:
    """The number of processors that one control group grants, rounded up; a large number without a limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, microseconds = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            microseconds = (folder / "cpu.cfs_period_us").read_text().strip()
        if quota in ("max", "-1"):
            return _UNLIMITED
        return max(1, math.ceil(int(quota) / int(microseconds)))
    except (OSError, ValueError, ZeroDivisionError):
        return _UNLIMITED
