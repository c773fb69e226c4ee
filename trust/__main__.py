"""`make trust`: run the attacks and record the results."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from fnmatch import fnmatch

from benchmarks.machine import revision
from trust.attack import Attack
from trust.registry import ATTACKS
from trust.results import Part, append, next_try, read, table
from trust.run import run

PART = 60.0  # seconds after which a part of a run is recorded


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m trust", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="attacks, a pattern such as '*-onnx', or a group such as fuzz; default: all",
    )
    parser.add_argument("--seed", type=int, help="default: that of an unfinished run, or a random one")
    parser.add_argument("--tries", type=int, help="number of tries; default: the attack's full count")
    parser.add_argument("--try", type=int, dest="number", help="repeat this try of --seed; nothing is recorded")
    parser.add_argument("--list", action="store_true", help="list the attacks")
    parser.add_argument("--table", action="store_true", help="print the attacks with their last results and exit")
    options = parser.parse_args()
    if options.tries is not None and options.tries < 1:
        parser.error("--tries: it must be at least 1")
    unknown = [name for name in options.names if not named(name)]
    if unknown:
        parser.error(f"unknown attack {unknown[0]!r}; choose from {', '.join(ATTACKS)}")
    attacks = [ATTACKS[name] for pattern in options.names or ["*"] for name in named(pattern)]
    if options.number is not None:
        if options.seed is None or len(attacks) != 1:
            parser.error("--try needs one NAME and --seed")
        outcome: Counter[str] = Counter()
        [(_, failure)] = run(attacks[0], options.seed, [options.number], outcome)
        print(failure or ": ".join(["held", *outcome]))
        return int(failure is not None)
    if options.list:
        for attack in attacks:
            print(f"{attack.name:20} {attack.full:7,} tries  {attack.promise}")
        return 0
    if options.table:
        print(table(read(), attacks), end="")
        return 0
    failures = sum(_run(attack, options.seed, options.tries) for attack in attacks)
    return int(failures > 0)


def named(pattern: str) -> list[str]:
    """The attacks of a pattern: "imports" is that of all whose names begin with "imports-". A name is that attack."""
    if pattern in ATTACKS:
        return [pattern]
    return [name for name in ATTACKS if fnmatch(name, pattern) or name.startswith(f"{pattern}-")]


def _run(attack: Attack, seed: int | None, tries: int | None) -> int:
    """Run what is left of the attack, and return the number of failures."""
    reason = attack.unavailable()
    if reason:
        print(f"{attack.name}: skipped: {reason}", flush=True)
        return 0
    code, full = revision(), tries or attack.full
    seed, first = next_try(read(), attack.name, full, code, seed)
    print(f"{attack.name}: seed {seed}, tries {first:,} to {full - 1:,}", flush=True)
    failures, start = 0, time.monotonic()
    found: dict[str, str] = {}
    notes: Counter[str] = Counter()
    for number, failure in run(attack, seed, range(first, full), notes):
        if failure is not None:
            failures += 1
            found[str(number)] = failure
            print(f"FAILED: python -m trust {attack.name} --seed {seed} --try {number}: {failure}", flush=True)
        seconds, end = time.monotonic() - start, number + 1
        if seconds > PART or end == full:
            date = datetime.now(UTC).date().isoformat()
            append(Part(attack.name, seed, first, end - first, found, code, date, round(seconds, 1), dict(notes)))
            print(f"{attack.name}: {end:,} of {full:,} tries, {failures} failures", flush=True)
            for note, count in notes.most_common():
                print(f"  {count:6,} {note}", flush=True)
            first = end
            start = time.monotonic()
            found = {}
            notes.clear()
    return failures


if __name__ == "__main__":
    sys.exit(main())
