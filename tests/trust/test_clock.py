"""The clock jumps as it says, and a negative time is found in what a command prints."""

from __future__ import annotations

from itertools import pairwise

import pytest

from trust.attacks.clocks import NEGATIVE
from trust.clock import DECADE, JumpingClock


def test_the_wall_clock_goes_back_and_the_monotonic_clock_does_not() -> None:
    clock = JumpingClock(1)
    wall = [clock.time() for _ in range(300)]
    assert min(b - a for a, b in pairwise(wall)) < -DECADE / 10
    steady = [clock.monotonic() for _ in range(300)]
    steps = [b - a for a, b in pairwise(steady)]
    assert min(steps) == 0
    assert max(steps) > 600


@pytest.mark.parametrize("printed", ["in -3.1 s", "-0.5 ms", "  2  0.4  0.8  -9.9\nmore", '"seconds": -0.1', "nan"])
def test_a_negative_time_is_found(printed: str) -> None:
    assert NEGATIVE.search(printed)


@pytest.mark.parametrize("printed", ["in 3.1 s", "shift -0.03, fitted", "  2  -0.4  9.9\n", "2026-11-27", "n-grams"])
def test_other_negative_numbers_are_not(printed: str) -> None:
    assert not NEGATIVE.search(printed)
