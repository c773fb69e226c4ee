"""Write the table of docs/trust.md from trust/results.jsonl."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from trust.attack import Attack
from trust.registry import ATTACKS
from trust.results import ROOT, Part, last_run, read

PAGE = ROOT / "docs" / "trust.md"
_MARKED = re.compile(r"(<!-- trust: results -->\n).*?(<!-- end -->)", re.DOTALL)


def page(text: str, parts: list[Part], attacks: Iterable[Attack] = tuple(ATTACKS.values())) -> str:
    """The page with the table of these results."""
    rows = "".join(_row(attack, last_run(parts, attack.name)) for attack in attacks)
    head = "| promise | attack | tries | result | date, commit | command |\n|---|---|---:|---|---|---|\n"
    return _MARKED.sub(lambda found: found[1] + head + rows + found[2], text)


def write_page(page_file: Path = PAGE) -> str:
    """Write the page and return its path in the repository."""
    page_file.write_text(page(page_file.read_text(encoding="utf-8"), read()), encoding="utf-8")
    return str(page_file.relative_to(ROOT))


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
