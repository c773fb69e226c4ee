"""gatewise with a clock that jumps: python -m trust.clock SEED COMMAND...

The functions of Python's `time` are replaced before gatewise is imported. The wall clock jumps to any time within ten
years, forwards and backwards. The monotonic clocks jump forwards by up to an hour or stand still for some calls, as
they do for a process that was stopped and where their resolution is low; no system lets them go backwards.
"""

from __future__ import annotations

import random
import sys
import threading
import time

DECADE = 10 * 365 * 86_400.0
HOUR = 3600.0
JUMP = 0.1  # share of the calls that jump

_time, _monotonic = time.time, time.monotonic
_gmtime, _localtime = time.gmtime, time.localtime


class JumpingClock:
    """The clocks. wall, steady: seconds that they are ahead."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.wall = self.steady = self._last = 0.0
        self._still = 0

    def time(self) -> float:
        """The wall clock."""
        with self._lock:
            if self._random.random() < JUMP:
                self.wall = self._random.uniform(-DECADE, DECADE)
            return _time() + self.wall

    def monotonic(self) -> float:
        """The monotonic clock."""
        with self._lock:
            if self._still:
                self._still -= 1
                return self._last
            drawn = self._random.random()
            if drawn < JUMP:
                self.steady += self._random.uniform(0, HOUR)
            elif drawn < 2 * JUMP:
                self._still = self._random.randrange(1, 50)
            self._last = _monotonic() + self.steady
            return self._last

    def install(self) -> None:
        """Replace the functions of `time`."""
        time.time, time.time_ns = self.time, lambda: int(self.time() * 1e9)
        time.monotonic = time.perf_counter = self.monotonic
        time.monotonic_ns = time.perf_counter_ns = lambda: int(self.monotonic() * 1e9)
        time.gmtime = lambda seconds=None: _gmtime(self.time() if seconds is None else seconds)
        time.localtime = lambda seconds=None: _localtime(self.time() if seconds is None else seconds)


def main() -> None:
    """Run `gatewise` with the clock of the seed in the first argument."""
    JumpingClock(int(sys.argv[1])).install()
    sys.argv = ["gatewise", *sys.argv[2:]]
    from gatewise.cli import main as gatewise

    gatewise()


if __name__ == "__main__":
    main()
