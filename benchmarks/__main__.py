"""Measure gatewise beside its peers.

    python -m benchmarks [--quick] [--only CASE,... [--update]] [--data PATH] [--turns N] [--json FILE] [--peers FOLDER]

A full run writes results/full.json and results/summary.json; `python -m benchmarks.tables` then renders the pages. With
--quick or --only nothing is written but what --json asks for; --update puts those cases, with the date and the commit
of this run, in the place of the older ones.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks.bars import BARS, summary
from benchmarks.case import Case
from benchmarks.cases import cases, names
from benchmarks.equal import Different
from benchmarks.machine import machine, now, revision
from benchmarks.measure import EvalResult, Workers, measure
from benchmarks.process import Failed
from benchmarks.reviews import read
from benchmarks.tables import RESULTS, shown
from benchmarks.turns import PAUSE, median

PEERS = Path(__file__).resolve().parents[1] / ".venv-peers"
QUICK_TURNS = 3
BUSY = 0.5  # processes that run besides, on average over the last minute


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    began = time.perf_counter()
    reviews = read(options.data)
    chosen = [case for case in cases(reviews) if _wanted(case.name, options.only)]
    head: dict[str, Any] = {
        "date": now(),
        "command": _command(sys.argv[1:] if arguments is None else arguments),
        "revision": revision(),
        "machine": machine(),
        "data": reviews.source,
        "pause_seconds": PAUSE,
    }
    if (load := head["machine"].get("load_at_start", 0)) > BUSY:
        print(f"the machine has other work (load {load}): times and ratios will be off", file=sys.stderr)
    workers, measured = Workers(options.peers.resolve()), {}
    try:
        for number, case in enumerate(chosen, start=1):
            print(f"[{number}/{len(chosen)}] {case.name}: {case.what}", flush=True)
            turns = options.turns or (QUICK_TURNS if options.quick else case.turns)
            found = measure(case, workers, turns, options.quick, lambda line: print(line, flush=True))
            _print(case, found)
            measured[case.name] = {**found.as_dict(), "date": head["date"], "revision": head["revision"]}
    except (Different, Failed) as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    finally:
        workers.close()
    full = {**head, "minutes": round((time.perf_counter() - began) / 60, 1), "cases": measured}
    figures = summary(measured)
    print()
    for bar in BARS:
        if bar.case in measured:
            print(f"{bar.name:45} {shown(bar, figures[bar.name]):>12}   bar {shown(bar, bar.want)}")
    if options.update:
        older = json.loads((RESULTS / "full.json").read_text(encoding="utf-8"))
        full = {**older, "cases": {**older["cases"], **measured}}
        figures = summary(full["cases"])
    whole = not options.quick and (not options.only or options.update)
    for path, content in ((RESULTS / "full.json", full), (RESULTS / "summary.json", figures)) if whole else ():
        _write(path, content)
    if options.json:
        _write(options.json, {**full, "summary": figures})
    return 0


def _command(arguments: Sequence[str]) -> str:
    """What was typed, without where the peers are kept on this machine."""
    kept = list(arguments)
    if "--peers" in kept:
        at = kept.index("--peers")
        del kept[at : at + 2]
    return " ".join(["python -m benchmarks", *kept])


def _wanted(name: str, only: str | None) -> bool:
    return only is None or any(fnmatch(name, pattern.strip()) for pattern in only.split(","))


def _print(case: Case, found: EvalResult) -> None:
    for name, times in found.times.items():
        differs = f", differs by {found.difference[name]:.0e}" if name in found.difference else ""
        middle = median(times)
        rate = ""
        if name.startswith("sgemm"):
            rate, middle = f" ({1 / middle:.0f} GFLOP/s)", middle * case.scale
        elif case.unit:
            rate = f" ({case.scale / middle:.2f} {case.unit}/s)"
        settings = found.about[name]["settings"]
        print(f"  {name:26} {1e3 * middle:9.3f} ms{rate}  [{settings}{differs}]", flush=True)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TURNS} turns, each peer's first settings")
    parser.add_argument("--only", help=f"cases by name, * for any: {', '.join(names())}")
    parser.add_argument("--update", action="store_true", help="with --only: put those cases into the results")
    parser.add_argument("--data", help="the IMDB archive or its folder, or 'embedded'")
    parser.add_argument("--turns", type=int, help="turns of each case, in the place of its own number")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--peers", type=Path, default=PEERS, help="the peers' virtual environment")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
