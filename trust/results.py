"""trust/results.jsonl, one line per part of a run in the order in which they ran, and the table of the site."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from trust.attack import ROOT, Attack

FILE = ROOT / "trust" / "results.jsonl"


@dataclass(frozen=True)
class Part:
    """Tries `first` to `first + tries - 1` of an attack with a seed. failures: by the number of the try. commit: of the
    code. date: of its end. seconds: it took. notes: how many tries had each outcome, such as what was refused.
    """

    attack: str
    seed: int
    first: int
    tries: int
    failures: Mapping[str, str]
    commit: str
    date: str
    seconds: float
    notes: Mapping[str, int] = field(default_factory=dict)


def read(file: Path = FILE) -> list[Part]:
    """All parts."""
    return [Part(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def append(part: Part, file: Path = FILE) -> None:
    """Add a part at the end of the file. Paths in it are relative to the repository: the file is published."""
    failures = {number: text.replace(f"{ROOT}{os.sep}", "") for number, text in part.failures.items()}
    with file.open("a", encoding="utf-8") as lines:
        entry = {
            name: value for name, value in asdict(replace(part, failures=failures)).items() if name != "notes" or value
        }
        lines.write(json.dumps(entry, ensure_ascii=False) + "\n")


def last_run(parts: list[Part], attack: str) -> list[Part]:
    """The parts of the attack's last run, which begins with its last try 0: a seed may be run again."""
    own = [part for part in parts if part.attack == attack]
    return own[max((n for n, part in enumerate(own) if part.first == 0), default=0) :]


def next_try(parts: list[Part], attack: str, full: int, commit: str, seed: int | None) -> tuple[int, int]:
    """Seed and first try of what is left to run: of the last run if it is unfinished, has this commit and, where one is
    given, this seed; else a new run.
    """
    run = last_run(parts, attack)
    done = sum(part.tries for part in run)
    if run and done < full and run[-1].commit == commit and seed in (None, run[-1].seed):
        return run[-1].seed, done
    return (secrets.randbits(32) if seed is None else seed), 0


def table(parts: list[Part], attacks: Iterable[Attack]) -> str:
    """The attacks with their last results, in Markdown."""
    rows = "".join(_row(attack, last_run(parts, attack.name)) for attack in attacks)
    return f"| promise | attack | tries | result | date, commit | command |\n|---|---|---:|---|---|---|\n{rows}"


def _row(attack: Attack, run: list[Part]) -> str:
    command = f"`python -m trust {attack.name}`"
    if not run:
        return f"| {attack.promise} | {attack.method} | 0 | not run yet | – | {command} |\n"
    failures = {number: text for part in run for number, text in part.failures.items()}
    result = "held" if not failures else f"{len(failures)} failed, the first in try {min(map(int, failures))}"
    tries = sum(part.tries for part in run)
    command = f"`python -m trust {attack.name} --seed {run[-1].seed}`"
    when = f"{run[-1].date}, {run[-1].commit}"
    return f"| {attack.promise} | {attack.method} | {tries:,} | {result} | {when} | {command} |\n"
