"""Compare the training steps, the start and the memory of two versions of gatewise, in turn.

    python -m benchmarks.training_steps BASELINE [--cases NAME,...] [--rounds N] [--steps N] [--threads N]

BASELINE: the Python of an environment with the other version, for example of commit f2bca14. Data are made; cases:
"tutorial", "fast", "short" (texts of 20 words), "finetune" (512 units, both directions, 32 texts) and "pretrain" (512
units, both directions). A step is the median of a process, a figure the median over the rounds of the ratio within a
round. start: seconds from the first line of the program to the first step, with imports, tokenisation and vocabulary.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.interleave import ratio
from benchmarks.machine import machine

WORKER = Path(__file__).with_name("training_step_worker.py")
CASES = ("tutorial", "fast", "short", "finetune", "pretrain")


def main() -> None:
    """Print a line per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("baseline")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, help="GATEWISE_THREADS of both")
    options = parser.parse_args()
    print(machine())
    for case in options.cases.split(","):
        pythons = {"baseline": options.baseline, "now": sys.executable}
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
        for number in range(options.rounds):
            for name in list(pythons)[:: 1 if number % 2 == 0 else -1]:
                runs[name].append(_run(pythons[name], case, options.steps, options.threads))
        line = [f"{case:10}"]
        for what, unit in (("step", 1e3), ("start", 1.0), ("peak_mb", 1.0)):
            before, now = ([run[what] for run in runs[name]] for name in pythons)
            line.append(f"{what} {unit * median(before):.4g} -> {unit * median(now):.4g} ({ratio(before, now):.2f}x)")
        print("  ".join(line), flush=True)


def _run(python: str, case: str, steps: int, threads: int | None) -> dict[str, float]:
    environment = dict(os.environ) | ({} if threads is None else {"GATEWISE_THREADS": str(threads)})
    command = [python, "-W", "ignore", str(WORKER), case, str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/")
    if done.returncode:
        raise SystemExit(f"{python}, {case}: {done.stderr[-800:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    main()
