"""How long a whole `gatewise predict "text"` takes, and a few lesser programs that it contains.

python -m benchmarks.cold_start [MODEL] [--times N]     without MODEL: the model in the box

The programs take turns, so that a busy moment meets them all. Wall clock on a quiet machine is the figure; the CPU's
time is what a busy one can still say.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

TEXT = "A quiet film that stays with you for days."


def programs(model: str | None) -> dict[str, list[str]]:
    """By what they show, from the least to the whole."""
    gatewise = str(Path(sys.executable).parent / "gatewise")
    named = [] if model is None else [model]
    load = f"import gatewise as gw; gw.load({model!r})"
    return {
        "python": [sys.executable, "-c", "pass"],
        "+ import numpy": [sys.executable, "-c", "import numpy"],
        "+ import gatewise.model": [sys.executable, "-c", "import gatewise.model"],
        "+ load": [sys.executable, "-c", load],
        "gatewise --help": [gatewise, "--help"],
        "gatewise predict": [gatewise, "predict", *named, TEXT],
        "gatewise explain": [gatewise, "explain", *named, TEXT],
    }


def once(command: list[str]) -> tuple[float, float]:
    """Seconds by the clock and of the CPU."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line a program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--times", type=int, default=20)
    asked = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in programs(asked.model)}
    for turn in range(asked.times + 1):
        for name, command in programs(asked.model).items():
            seconds = once(command)
            if turn:  # the first one warms the disk's cache
                found[name].append(seconds)
    print(f"{'milliseconds':26}{'median':>8}{'lowest':>8}{'CPU':>8}   n {asked.times}")
    for name, runs in found.items():
        wall, cpu = zip(*runs, strict=True)
        print(f"{name:26}{1e3 * median(wall):8.0f}{1e3 * min(wall):8.0f}{1e3 * median(cpu):8.0f}")


if __name__ == "__main__":
    main()
