"""Interleaved timing: rounds in the order A B C, C B A, with pauses; the median of ratios within a round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

PAUSE = 0.05  # seconds: threads that spin when idle sleep by then


class Runnable(Protocol):
    """Runs once and returns the seconds that it took."""

    def run(self) -> float: ...


def interleave(
    contenders: Mapping[str, Runnable], rounds: int, *, warmup: int = 1, pause: float = PAUSE
) -> dict[str, list[float]]:
    """Seconds of each contender in each round, after `warmup` rounds that do not count. The order alternates, so that
    no contender always follows the same one.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(warmup + rounds):
        for name in list(contenders)[:: 1 if number % 2 == 0 else -1]:
            time.sleep(pause)
            seconds = contenders[name].run()
            if number >= warmup:
                times[name].append(seconds)
    return times


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median over the rounds of the ratio within a round; what slows down a whole round cancels out."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))
