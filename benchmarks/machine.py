"""The machine, the time and the commit of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


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
    """The commit, with "-dirty" for uncommitted changes outside benchmarks/results; empty outside a checkout."""
    others = (".", ":(exclude)benchmarks/results")  # new results do not make the tree dirty
    try:
        head = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", *others], cwd=ROOT, capture_output=True)
    except OSError:
        return ""
    if head.returncode != 0:
        return ""
    return head.stdout.strip() + ("-dirty" if changed.returncode else "")
