"""Measure one case: start its contenders, check that they are equivalent, time them in interleaved rounds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.case import KEPT_HEAP, LIBRARY, Case, Contender
from benchmarks.contenders.base import Arrays, Unavailable
from benchmarks.machine import OtherLoad
from benchmarks.worker import Worker, python_with

PAUSE = 0.05  # seconds: threads that spin when idle sleep by then
VARIANT_ROUNDS = 3  # rounds that choose between the variants of a contender


class WorkerPool:
    """Worker processes, reused from case to case: one per contender, number of threads and environment."""

    def __init__(self, peers: Path) -> None:
        self._peers = peers
        self._workers: dict[tuple[str, ...], Worker] = {}

    def get(self, contender: Contender, variant: Mapping[str, Any]) -> Worker:
        """The worker of a contender and variant."""
        extra = {**contender.environment, **variant.get("environment", {})}
        variables = sorted(f"{name}={value}" for name, value in extra.items())
        key = contender.module, contender.name, str(contender.threads), *variables
        if key not in self._workers:
            python = python_with(LIBRARY.get(contender.module), self._peers)
            self._workers[key] = Worker(contender.name, contender.module, python, contender.threads, extra)
        return self._workers[key]

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()


class NotEquivalent(Exception):
    """Two contenders compute different results; the message names them and the array."""


def max_relative_difference(
    reference: str, results: Mapping[str, Arrays], tolerances: Mapping[str, float]
) -> dict[str, float]:
    """Each contender's largest difference from `reference` over all arrays, relative to each array's largest number.

    Raises NotEquivalent for a difference above the tolerance, and for an array that is missing, has another shape or is
    not finite.
    """
    expected, worst = results[reference], {}
    for name, arrays in results.items():
        if missing := set(expected) ^ set(arrays):
            raise NotEquivalent(f"{name} and {reference}: only one of them returns {', '.join(sorted(missing))}")
        worst[name] = 0.0
        for part, correct in expected.items():
            array = arrays[part]
            if array.shape != correct.shape:
                raise NotEquivalent(f"{name}: {part} has shape {array.shape}, in {reference} {correct.shape}")
            if not np.isfinite(array).all():
                raise NotEquivalent(f"{name}: {part} is not finite")
            error = float(np.abs(array.astype(np.float64) - correct).max(initial=0))
            relative = error / max(float(np.abs(correct).max(initial=0)), 1e-30)
            if not relative <= tolerances[name]:
                raise NotEquivalent(f"{name} and {reference} are not equivalent: {part} differs by {relative:.1e}")
            worst[name] = max(worst[name], relative)
    return worst


def measure(case: Case, pool: WorkerPool, rounds: int, quick: bool, log: Callable[[str], None]) -> dict[str, Any]:
    """Load, check and time a case; the results as plain data. Each contender has its rounds in seconds, their median,
    versions and settings, the largest relative difference from the first contender, and the median of each variant that
    was tried. quick: only the first variant. other_load: the processors that other processes used meanwhile.

    Raises NotEquivalent where the contenders compute different results, WorkerFailed where one crashes. A contender
    that is unavailable on this machine has the reason in place of its times.
    """
    workers: dict[str, Worker] = {}
    outputs: dict[str, Arrays] = {}
    rows: dict[str, dict[str, Any]] = {}
    for contender in case.contenders:
        name = contender.name
        try:
            worker, rows[name] = _load_fastest(case, contender, pool, quick)
            if case.equivalent and contender.settings.get("kind") != "sgemm":
                outputs[name] = worker.check()
            workers[name] = worker
        except Unavailable as reason:
            rows[name] = {"unavailable": str(reason)}
            log(f"  {name}: {reason}")
    if outputs:
        tolerances = {contender.name: contender.tolerance for contender in case.contenders}
        for name, difference in max_relative_difference(case.contenders[0].name, outputs, tolerances).items():
            rows[name]["max_relative_difference"] = difference
    load = OtherLoad()
    for name, times in _interleave(workers, rounds, min(case.warmup, rounds)).items():
        rows[name] |= {"seconds": median(times), "rounds": times}
    found: dict[str, Any] = {"description": case.description, "contenders": rows}
    if case.unit:
        found |= {"scale": case.scale, "unit": case.unit}
    if (processors := load.processors()) is not None:
        found["other_load"] = round(processors, 2)
    return found


def _interleave(workers: Mapping[str, Worker], rounds: int, warmup: int = 1) -> dict[str, list[float]]:
    """Seconds of each worker in each round, after `warmup` rounds that do not count. The order is A B C, C B A, with
    pauses, so that no worker always follows the same one.
    """
    times: dict[str, list[float]] = {name: [] for name in workers}
    for number in range(warmup + rounds):
        for name in list(workers)[:: 1 if number % 2 == 0 else -1]:
            time.sleep(PAUSE)
            seconds = workers[name].run()
            if number >= warmup:
                times[name].append(seconds)
    return times


def _load(case: Case, contender: Contender, worker: Worker, variant: Mapping[str, Any]) -> dict[str, str]:
    settings = {"threads": contender.threads, **case.settings, **contender.settings, **variant}
    kind = settings.pop("kind", case.kind)
    info = worker.load(kind, settings, {} if kind == "sgemm" else case.arrays | contender.arrays)
    return {**info, "settings": info["settings"] + _shown(variant.get("environment", {}))}


def _shown(environment: Mapping[str, str]) -> str:
    """The environment of a variant for the results."""
    variables = "".join(f", {name}={value}" for name, value in environment.items() if name not in KEPT_HEAP)
    if KEPT_HEAP.keys() <= environment.keys():
        return f"{variables}, kept heap"
    return variables


def _load_fastest(case: Case, contender: Contender, pool: WorkerPool, quick: bool) -> tuple[Worker, dict[str, Any]]:
    """The contender's worker with its fastest variant loaded, and what is known of it."""
    row: dict[str, Any] = {"threads": contender.threads}
    best: Mapping[str, Any] = contender.variants[0]
    if len(contender.variants) > 1 and not quick:
        row["variants"], best = _tried(case, contender, pool)
    worker = pool.get(contender, best)
    return worker, row | {"info": _load(case, contender, worker, best)}


def _tried(case: Case, contender: Contender, pool: WorkerPool) -> tuple[dict[str, float | str], Mapping[str, Any]]:
    """The seconds of each variant by its settings, or the reason why it is unavailable here; and the fastest one.
    Raises Unavailable where all are.
    """
    times: dict[str, float | str] = {}
    fastest = math.inf
    best: Mapping[str, Any] = {}
    reason = Unavailable(f"{contender.name} has no variant")
    for variant in contender.variants:
        worker = pool.get(contender, variant)
        try:
            settings = _load(case, contender, worker, variant)["settings"]
        except Unavailable as error:
            reason = error
            times[str(dict(variant))] = str(error)
            continue
        seconds = median(_interleave({"": worker}, VARIANT_ROUNDS)[""])
        times[settings] = seconds
        if seconds < fastest:
            fastest = seconds
            best = variant
    if fastest == math.inf:
        raise reason
    return times, best
