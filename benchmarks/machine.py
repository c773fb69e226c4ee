"""The machine, its load by other processes, the time and the commit of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MAX_OTHER_LOAD = 0.1  # processors during a case: with more, two threads on two processors lose much of one


def cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Processor, number of cores that this process may use, operating system, Python and load average."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    pairs = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    found = {key.strip(): value.strip() for key, value in pairs.items()}
    name = found.get("model name") or platform.processor() or "unknown"
    kind = f"family {found['cpu family']} model {found['model']}" if "cpu family" in found else ""
    out: dict[str, Any] = {"processor": " ".join([name, kind]).strip(), "cores": cores()}
    out |= {"system": f"{platform.system()} {platform.machine()}", "python": platform.python_version()}
    if hasattr(os, "getloadavg"):
        out["load_at_start"] = round(os.getloadavg()[0], 2)
    return out


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())


def revision() -> str:
    """The commit, with "-dirty" for uncommitted changes other than of results; empty outside a checkout."""
    results = ("benchmarks/results", "trust/results.jsonl")
    others = (".", *(f":(exclude){path}" for path in results))  # new results do not make the tree dirty
    try:
        head = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", *others], cwd=ROOT, capture_output=True)
    except OSError:
        return ""
    if head.returncode != 0:
        return ""
    return head.stdout.strip() + ("-dirty" if changed.returncode else "")


class OtherLoad:
    """The processors that other processes than this one and its children use, from its creation until `processors()`.

    Time that a virtual machine did not get from its host counts too.
    """

    def __init__(self) -> None:
        self._began = self._now()

    def processors(self) -> float | None:
        """Their number: 0.5 for one that was busy half of the time, None on systems without /proc."""
        now = self._now()
        if now is None or self._began is None:
            return None
        wall, machine, own = (b - a for a, b in zip(self._began, now, strict=True))
        return max(0.0, machine - own) / wall

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """Seconds: of the clock, of all processors in use, of this process and its children."""
        try:
            total = Path("/proc/stat").read_text(encoding="utf-8").split(maxsplit=9)
        except OSError:
            return None
        user, nice, system, _, _, irq, softirq, steal = map(int, total[1:9])
        me, own = os.getpid(), 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            if me in (int(path.parent.name), int(fields[1])):
                own += int(fields[11]) + int(fields[12])
        tick = os.sysconf("SC_CLK_TCK")
        return time.monotonic(), (user + nice + system + irq + softirq + steal) / tick, own / tick
