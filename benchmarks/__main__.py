"""Compare gatewise with other libraries.

    python -m benchmarks [--quick] [--only CASE,...] [--skip CASE,...] [--data PATH] [--rounds N] [--peers DIR]

A full run writes results/full.json; `python -m benchmarks.tables` then renders the pages, where a case that --skip left
out is "not measured". --quick and --only write nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks.case import Case
from benchmarks.cases import cases, names
from benchmarks.machine import MAX_OTHER_LOAD, ROOT, machine, now, revision
from benchmarks.measure import PAUSE, NotEquivalent, WorkerPool, measure
from benchmarks.reviews import read
from benchmarks.tables import RESULTS, format_value
from benchmarks.targets import TARGETS, summary
from benchmarks.worker import WorkerFailed

QUICK_ROUNDS = 3
MAX_LOAD = 0.5  # load average at the start


def main() -> int:
    options = _options()
    began = time.perf_counter()
    reviews = read(options.data)
    chosen = [
        case
        for case in cases(reviews)
        if (options.only is None or _matches(case.name, options.only))
        and (options.skip is None or not _matches(case.name, options.skip))
    ]
    head: dict[str, Any] = {
        "date": now(),
        "command": _command(options),
        "commit": revision(),
        "machine": machine(),
        "data": reviews.source,
        "pause_seconds": PAUSE,
    }
    if (load := head["machine"].get("load_at_start", 0)) > MAX_LOAD:
        print(f"warning: the machine is busy (load {load}), so times and ratios are unreliable", file=sys.stderr)
    pool, measured = WorkerPool(options.peers.resolve()), {}
    try:
        for number, case in enumerate(chosen, start=1):
            print(f"[{number}/{len(chosen)}] {case.name}: {case.description}", flush=True)
            rounds = options.rounds or (QUICK_ROUNDS if options.quick else case.rounds)
            measured[case.name] = measure(case, pool, rounds, options.quick, lambda line: print(line, flush=True))
            _print(case, measured[case.name])
    except (NotEquivalent, WorkerFailed) as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    finally:
        pool.close()
    full = {**head, "minutes": round((time.perf_counter() - began) / 60, 1), "cases": measured}
    figures = summary(measured)
    print()
    for target in TARGETS:
        # A statistic of some of its cases is another figure, such as the lowest ratio of a few sizes.
        if all(name in measured for name in names() if fnmatch(name, target.case)):
            value, goal = format_value(target, figures[target.name]), format_value(target, target.goal)
            print(f"{target.name:45} {value:>12}   target {goal}")
    if not options.quick and not options.only:
        (RESULTS / "full.json").write_text(json.dumps(full, indent=1) + "\n", encoding="utf-8")
    return 0


def _command(options: argparse.Namespace) -> str:
    """The command of a full run, without the folders of this machine: the name of --data alone, and no --peers."""
    words = ["python -m benchmarks"]
    if options.data:
        words.append(f"--data {Path(options.data).name}")
    if options.rounds:
        words.append(f"--rounds {options.rounds}")
    if options.skip:
        words.append(f"--skip '{options.skip}'")
    return " ".join(words)


def _matches(name: str, patterns: str) -> bool:
    return any(fnmatch(name, pattern.strip()) for pattern in patterns.split(","))


def _print(case: Case, found: dict[str, Any]) -> None:
    for name, row in found["contenders"].items():
        if "seconds" not in row:
            continue
        note = f", differs by {row['max_relative_difference']:.0e}" if "max_relative_difference" in row else ""
        seconds, rate = row["seconds"], ""
        if name.startswith("sgemm"):
            rate, seconds = f" ({1 / seconds:.0f} GFLOP/s)", seconds * case.scale
        elif case.unit:
            rate = f" ({case.scale / seconds:.2f} {case.unit}/s)"
        print(f"  {name:26} {1e3 * seconds:9.3f} ms{rate}  [{row['info']['settings']}{note}]", flush=True)
    if (load := found.get("other_load", 0)) > MAX_OTHER_LOAD:
        print(f"warning: other processes used {load:.2f} processors during {case.name}", file=sys.stderr)


def _options() -> argparse.Namespace:
    known = names()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds, only each library's first settings"
    )
    parser.add_argument("--only", help=f"names of cases, * matches any text: {', '.join(known)}")
    parser.add_argument("--skip", help="names of cases that are left out, as --only")
    parser.add_argument("--data", help="the IMDB archive or its folder, or 'embedded'")
    parser.add_argument("--rounds", type=int, help="rounds per case (default: set by the case)")
    parser.add_argument(
        "--peers", type=Path, default=ROOT / ".venv-peers", help="virtual environment of the other libraries"
    )
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: it must be at least 1")
    for option in ("only", "skip"):
        patterns = getattr(options, option)
        for pattern in patterns.split(",") if patterns else []:
            if not any(_matches(name, pattern) for name in known):
                parser.error(f"--{option}: no case is called {pattern.strip()!r}")
    return options


if __name__ == "__main__":
    sys.exit(main())
