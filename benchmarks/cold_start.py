"""Measure the cold start: `gatewise predict "text"`, and the parts of its start-up.

    python -m benchmarks.cold_start [MODEL] [--rounds N]     default MODEL: the bundled model

The programs run interleaved. Wall time is the figure on an idle machine; CPU time is less affected by other processes.
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
    """Commands by name, from an empty Python to whole commands."""
    gatewise = str(Path(sys.executable).parent / "gatewise")
    arguments = [] if model is None else ["-m", model]
    load = f"import gatewise as gw; gw.load({model!r})"
    return {
        "python": [sys.executable, "-c", "pass"],
        "+ import numpy": [sys.executable, "-c", "import numpy"],
        "+ import gatewise.model.model": [sys.executable, "-c", "import gatewise.model.model"],
        "+ load": [sys.executable, "-c", load],
        "gatewise --help": [gatewise, "--help"],
        "gatewise predict": [gatewise, "predict", *arguments, TEXT],
        "gatewise explain": [gatewise, "explain", *arguments, TEXT],
    }


def once(command: list[str]) -> tuple[float, float]:
    """Wall seconds and CPU seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print one line per program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in programs(options.model)}
    for round_number in range(options.rounds + 1):
        for name, command in programs(options.model).items():
            seconds = once(command)
            if round_number:  # the first round fills the disk cache
                times[name].append(seconds)
    print(f"{'milliseconds':26}{'median':>8}{'lowest':>8}{'CPU':>8}   n {options.rounds}")
    for name, runs in times.items():
        wall, cpu = zip(*runs, strict=True)
        print(f"{name:26}{1e3 * median(wall):8.0f}{1e3 * min(wall):8.0f}{1e3 * median(cpu):8.0f}")


if __name__ == "__main__":
    main()
