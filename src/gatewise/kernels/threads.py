"""Threads: how many per call, and calls at the same time.

The number follows from CPU affinity, the control group's quota, and GATEWISE_THREADS.

All of them can change while a process runs, so each call asks again. The quota takes reading a few files and rarely
changes, so it is cached for some seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from gatewise.errors import InputError, quote

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

MOST_THREADS = 1024
_ROOT = Path("/")
_SECONDS = 10.0  # for which a quota is cached
_worker: ThreadPoolExecutor | None = None
T = TypeVar("T")


def threads() -> int:
    """Threads per call: GATEWISE_THREADS, or as many as the thread's affinity and the process's control groups allow.

    Raises InputError for a bad value of GATEWISE_THREADS.
    """
    forced = os.environ.get("GATEWISE_THREADS")
    if not forced:
        affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(affinity, _quota(_ROOT, time.monotonic() // _SECONDS), MOST_THREADS))
    if not (forced.isascii() and forced.isdigit() and 1 <= int(forced[:9]) <= MOST_THREADS):
        raise InputError(f"GATEWISE_THREADS must be a number from 1 to {MOST_THREADS}, not {quote(forced)}")
    return int(forced)


def at_once(calls: int) -> bool:
    """Whether so many calls of the kernel should run at the same time, on one thread each.

    With two or three threads this is faster than all threads on one call after the other: no thread waits for another,
    and the weights are packed once. The native kernel's pool runs the parts of one call at a time, so that calls with
    several threads each would wait for each other.
    """
    return calls == 2 and 2 <= threads() < 4


def concurrently(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """The results of the tasks, at the same time where `at_once` says so. Tasks that release the interpreter's lock, as
    the native kernel does, gain from it. Exceptions of a task are raised here.
    """
    global _worker
    if not at_once(len(tasks)):
        return in_turn(tasks)
    if _worker is None:
        from concurrent.futures import ThreadPoolExecutor  # the start of a plain prediction does not wait for it

        _worker = ThreadPoolExecutor(1, thread_name_prefix="gatewise")
    second = _worker.submit(tasks[1])
    try:
        first = tasks[0]()
    except BaseException:
        second.exception()  # wait: it may still use the arrays
        raise
    return [first, second.result()]


def in_turn(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """The results of the tasks, one after the other."""
    return [task() for task in tasks]


def _forget_worker() -> None:
    global _worker
    _worker = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_worker)  # a forked child has none of the threads


@lru_cache(maxsize=1)
def _quota(root: Path, period: float) -> int:
    """Processors that the control groups (version 2 or 1) grant, rounded up; MOST_THREADS without a limit."""
    return min((quota for folder in _folders(root) for quota in _quota_of(folder)), default=MOST_THREADS)


def _folders(root: Path) -> Iterator[Path]:
    """Folders of the control groups that may limit this process: its own group, then its parents up to the mount."""
    try:
        groups = dict(line.split(":", 2)[1:] for line in (root / "proc/self/cgroup").read_text().splitlines())
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except (OSError, ValueError):
        return
    for mount in mounts:
        fields, _, kind = mount.partition(" - ")
        if kind.startswith("cgroup2 "):
            path = groups.get("")
        elif kind.startswith("cgroup ") and "cpu" in kind.split()[-1].split(","):
            path = next((path for names, path in groups.items() if "cpu" in names.split(",")), None)
        else:
            continue
        if path is None:
            continue
        _, _, _, mounted, at = (field.replace("\\040", " ") for field in fields.split()[:5])
        top = root / at.lstrip("/")
        inside = PurePosixPath(path)
        # Inside a container the group may lie outside the mount; then only the mount itself counts.
        below = inside.relative_to(mounted) if inside.is_relative_to(mounted) else PurePosixPath()
        for part in (below, *below.parents) if ".." not in below.parts else (PurePosixPath(),):
            yield top / part


def _quota_of(folder: Path) -> list[int]:
    """The limit of one group, in processors; empty without a limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return [] if quota in ("max", "-1") else [max(1, -(-int(quota) // int(period)))]
    except (OSError, ValueError, ZeroDivisionError):
        return []
