"""The load of other processes on the same processors."""

from __future__ import annotations

import os
import time
from pathlib import Path

MAX_OTHER_LOAD = 0.1  # processors during a case: with more, two threads on two processors lose much of one


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
