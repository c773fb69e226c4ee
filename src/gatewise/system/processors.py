"""Processors: how many this process may use, and what they are called.

The number can change while a process runs, so each call asks again. The quota of the control groups takes reading a few
files and rarely changes, so it is cached for some seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

_ROOT = Path("/")
_SECONDS = 10.0  # for which a quota is cached
_UNLIMITED = 1 << 30


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
    """Processors that the control groups (version 2 or 1) grant, rounded up; a large number without a limit."""
    least = _UNLIMITED
    for folder in _folders(root):
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


def _folders(root: Path) -> Iterator[Path]:
    """Folders of the control groups that may limit this process: its own group, then its parents up to the mount."""
    try:
        groups = dict(line.split(":", 2)[1:] for line in (root / "proc/self/cgroup").read_text().splitlines())
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except (OSError, ValueError):
        return
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
        top = root / at.lstrip("/")
        inside = PurePosixPath(path)
        # Inside a container the group may lie outside the mount; then only the mount itself counts.
        below = inside.relative_to(mounted) if inside.is_relative_to(mounted) else PurePosixPath()
        for part in (below, *below.parents) if ".." not in below.parts else (PurePosixPath(),):
            yield top / part
