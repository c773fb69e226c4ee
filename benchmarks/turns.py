"""Taking turns: A B C A B C, with a pause between; medians, and the median of the ratios within a turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

PAUSE = 0.05  # seconds: threads that spin when idle have gone to sleep by then


class Runs(Protocol):
    """Something that can be run once and says how long that took."""

    def run(self) -> float: ...


def interleave(
    contenders: Mapping[str, Runs], turns: int, *, warm: int = 1, pause: float = PAUSE
) -> dict[str, list[float]]:
    """Seconds of each in each turn, after `warm` turns that do not count. Every other turn goes the other way round,
    so that nobody always comes after the same one.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(warm + turns):
        names = list(contenders)[:: 1 if turn % 2 == 0 else -1]
        for name in names:
            time.sleep(pause)
            seconds = contenders[name].run()
            if turn >= warm:
                times[name].append(seconds)
    return times


def median(times: Sequence[float]) -> float:
    return statistics.median(times)


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median over the turns of above / below: what disturbs a whole turn cancels out."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
