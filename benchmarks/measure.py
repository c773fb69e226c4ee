"""Measure one case: start its contenders, check that they are equivalent, time them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.case import LIBRARY, Case, Contender
from benchmarks.contenders.base import Arrays
from benchmarks.equivalence import max_relative_difference
from benchmarks.interleave import interleave
from benchmarks.other_load import OtherLoad
from benchmarks.worker_process import ContenderUnavailable, Worker, python_with

VARIANT_ROUNDS = 3  # rounds that choose between the variants of a contender


@dataclass
class Measurement:
    """The result of a case, by contender: seconds of each round, versions and settings, the largest relative difference
    from the first contender, the median of each variant that was tried, and why a contender was unavailable.
    other_load: the processors that processes outside the benchmark used meanwhile; None where unknown.
    """

    case: Case
    times: dict[str, list[float]] = field(default_factory=dict)
    info: dict[str, dict[str, str]] = field(default_factory=dict)
    difference: dict[str, float] = field(default_factory=dict)
    variants: dict[str, dict[str, float]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    other_load: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        rows: dict[str, dict[str, Any]] = {}
        for contender in self.case.contenders:
            name = contender.name
            if name in self.unavailable:
                rows[name] = {"unavailable": self.unavailable[name]}
                continue
            rows[name] = {
                "seconds": median(self.times[name]),
                "rounds": self.times[name],
                "threads": contender.threads,
                "info": self.info[name],
            }
            if name in self.difference:
                rows[name]["max_relative_difference"] = self.difference[name]
            if name in self.variants:
                rows[name]["variants"] = self.variants[name]
        extra: dict[str, Any] = {"scale": self.case.scale, "unit": self.case.unit} if self.case.unit else {}
        if self.other_load is not None:
            extra["other_load"] = round(self.other_load, 2)
        return {"description": self.case.description, **extra, "contenders": rows}


class WorkerPool:
    """Worker processes, reused from case to case: one per contender, number of threads and environment."""

    def __init__(self, peers: Path) -> None:
        self._peers = peers
        self._workers: dict[tuple[str, ...], Worker] = {}

    def get(self, contender: Contender, variant: Mapping[str, Any], fresh_process: bool) -> Worker:
        """The worker of a contender and variant."""
        extra = {**contender.environment, **variant.get("environment", {})}
        key = contender.name, str(contender.threads), *sorted(f"{name}={value}" for name, value in extra.items())
        if fresh_process and key in self._workers:
            self._workers.pop(key).close()
        if key not in self._workers:
            python = python_with(LIBRARY[contender.module], self._peers)
            self._workers[key] = Worker(contender.name, contender.module, python, contender.threads, extra)
        return self._workers[key]

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()


def measure(case: Case, pool: WorkerPool, rounds: int, quick: bool, log: Callable[[str], None]) -> Measurement:
    """Load, check and time a case. quick: only the first variant of each contender.

    Raises NotEquivalent where the contenders compute different results, WorkerFailed where one crashes. A contender
    that is unavailable on this machine is left out and logged.
    """
    result = Measurement(case)
    workers: dict[str, Worker] = {}
    outputs: dict[str, Arrays] = {}
    for contender in case.contenders:
        try:
            worker = _load_fastest(case, contender, pool, result, quick)
            if case.equivalent and contender.settings.get("kind") != "sgemm":
                outputs[contender.name] = worker.check()
        except ContenderUnavailable as reason:
            result.unavailable[contender.name] = str(reason)
            log(f"  {contender.name}: {reason}")
            continue
        workers[contender.name] = worker
    if outputs:
        tolerances = {contender.name: contender.tolerance for contender in case.contenders}
        result.difference = max_relative_difference(case.contenders[0].name, outputs, tolerances)
    load = OtherLoad()
    result.times = interleave(workers, rounds, warmup=min(case.warmup, rounds))
    result.other_load = load.processors()
    return result


def _load(case: Case, contender: Contender, worker: Worker, variant: Mapping[str, Any]) -> dict[str, str]:
    settings = {"threads": contender.threads, **case.settings, **contender.settings, **variant}
    kind = settings.pop("kind", case.kind)
    info = worker.load(kind, settings, {} if kind == "sgemm" else case.arrays | contender.arrays)
    environment = "".join(f", {name}={value}" for name, value in variant.get("environment", {}).items())
    return {**info, "settings": info["settings"] + environment}


def _load_fastest(case: Case, contender: Contender, pool: WorkerPool, result: Measurement, quick: bool) -> Worker:
    """The contender's worker with its fastest variant loaded."""
    best = contender.variants[0]
    if len(contender.variants) > 1 and not quick:
        tried = []
        for variant in contender.variants:
            worker = pool.get(contender, variant, case.fresh_process)
            settings = _load(case, contender, worker, variant)["settings"]
            times = interleave({contender.name: worker}, VARIANT_ROUNDS)[contender.name]
            tried.append((median(times), settings))
        result.variants[contender.name] = {settings: seconds for seconds, settings in tried}
        best = contender.variants[min(range(len(tried)), key=lambda n: tried[n])]
    worker = pool.get(contender, best, case.fresh_process)
    result.info[contender.name] = _load(case, contender, worker, best)
    return worker
