"""One case, from starting its contenders to their times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.case import LIBRARY, Case, Entry
from benchmarks.equal import difference
from benchmarks.process import NotHere, Worker, python_with
from benchmarks.turns import interleave, median
from benchmarks.wire import Arrays

TRIALS = 3  # turns that decide between the variants of a contender


@dataclass
class EvalResult:
    """What a case gave. Each by contender: seconds of each turn, what it said of itself, its largest relative
    difference from gatewise, the median of each variant that was tried, and why it took no part.
    """

    case: Case
    times: dict[str, list[float]] = field(default_factory=dict)
    about: dict[str, dict[str, str]] = field(default_factory=dict)
    difference: dict[str, float] = field(default_factory=dict)
    tried: dict[str, dict[str, float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        rows: dict[str, dict[str, Any]] = {}
        for entry in self.case.entries:
            name = entry.name
            if name in self.absent:
                rows[name] = {"absent": self.absent[name]}
                continue
            rows[name] = {
                "seconds": median(self.times[name]),
                "turns": self.times[name],
                "threads": entry.threads,
                "about": self.about[name],
            }
            for key, found in (("difference", self.difference), ("tried", self.tried)):
                if name in found:
                    rows[name][key] = found[name]
        extra = {"scale": self.case.scale, "unit": self.case.unit} if self.case.unit else {}
        return {"what": self.case.what, **extra, "contenders": rows}


class Workers:
    """The processes, kept from case to case: one for each contender and number of threads."""

    def __init__(self, peers: Path) -> None:
        self._peers = peers
        self._kept: dict[tuple[str, ...], Worker] = {}
        self._pythons: dict[str, Path] = {}

    def of(self, entry: Entry, variant: Mapping[str, Any], fresh: bool) -> Worker:
        """The process for this entry; a variant with an environment of its own has one of its own."""
        extra = {**entry.environment, **variant.get("environment", {})}
        key = entry.name, str(entry.threads), *sorted(f"{name}={value}" for name, value in extra.items())
        if fresh and key in self._kept:
            self._kept.pop(key).close()
        if key not in self._kept:
            self._kept[key] = Worker(entry.name, entry.module, self._python(entry.module), entry.threads, extra)
        return self._kept[key]

    def close(self) -> None:
        for worker in self._kept.values():
            worker.close()
        self._kept.clear()

    def _python(self, module: str) -> Path:
        library = LIBRARY[module]
        if module not in self._pythons:
            self._pythons[module] = python_with(library, self._peers)
        return self._pythons[module]


def measure(case: Case, workers: Workers, turns: int, quick: bool, say: Callable[[str], None]) -> EvalResult:
    """Load, check, time. quick: the first variant of each, as few turns as asked. Raises Different where the contenders
    do not compute the same, Failed where one breaks off; a contender that cannot take part here is left out by name.
    """
    out = EvalResult(case)
    running: dict[str, Worker] = {}
    found: dict[str, Arrays] = {}
    for entry in case.entries:
        try:
            worker = _choose(case, entry, workers, out, quick)
            if case.same and entry.settings.get("kind") != "sgemm":
                found[entry.name] = worker.check()
        except NotHere as reason:
            out.absent[entry.name] = str(reason)
            say(f"  {entry.name}: {reason}")
            continue
        running[entry.name] = worker
    if found:
        out.difference = difference(case.entries[0].name, found, {e.name: e.tolerance for e in case.entries})
    out.times = interleave(running, turns, warm=min(case.warm, turns))
    return out


def _load(case: Case, entry: Entry, worker: Worker, variant: Mapping[str, Any]) -> dict[str, str]:
    settings = {"threads": entry.threads, **case.settings, **entry.settings, **variant}
    kind = settings.pop("kind", case.kind)
    about = worker.load(kind, settings, {} if kind == "sgemm" else case.arrays | entry.arrays)
    said = "".join(f", {name}={value}" for name, value in variant.get("environment", {}).items())
    return {**about, "settings": about["settings"] + said}


def _choose(case: Case, entry: Entry, workers: Workers, out: EvalResult, quick: bool) -> Worker:
    """The entry's worker with its fastest variant loaded."""
    best = entry.variants[0]
    if len(entry.variants) > 1 and not quick:
        tried = []
        for variant in entry.variants:
            worker = workers.of(entry, variant, case.fresh)
            settings = _load(case, entry, worker, variant)["settings"]
            tried.append((median(interleave({entry.name: worker}, TRIALS)[entry.name]), settings))
        out.tried[entry.name] = {settings: seconds for seconds, settings in tried}
        best = entry.variants[min(range(len(tried)), key=lambda n: tried[n])]
    worker = workers.of(entry, best, case.fresh)
    out.about[entry.name] = _load(case, entry, worker, best)
    return worker
