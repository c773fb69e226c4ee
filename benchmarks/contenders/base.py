"""A contender's task and shared helpers. Imports only NumPy, because every worker imports this."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Settings = dict[str, Any]


class Unavailable(Exception):
    """The contender cannot run on this machine or in this build; the message gives the reason."""


@dataclass(frozen=True)
class Task:
    """A task that is ready to run. run: once, as a user would; seconds. info: versions and settings by name, for the
    results. check: loss, logits and gradients by name, computed from the given weights.
    """

    run: Callable[[], float]
    info: dict[str, str]
    check: Callable[[], Arrays] = dict


def sgemm(
    settings: Settings,
    random: Callable[[int], Any],
    product: Callable[[Any, Any], Any],
    name: str,
    versions: dict[str, str],
) -> Task:
    """Seconds for 10⁹ floating-point operations of a square product: product(a, b) of matrices that `random` makes from
    their size. name, versions: for the results.
    """
    size = int(settings["size"])
    a, b = random(size), random(size)
    return Task(
        lambda: seconds_of(lambda: product(a, b), warmup=1, repeats=3) / (2e-9 * size**3),
        versions | {"settings": f"{name}, {size}"},
    )


def random_matrix(size: int) -> NDArray[np.float32]:
    """(size, size)."""
    return np.random.default_rng(size).standard_normal((size, size), dtype=np.float32)


def reviews_of(arrays: Arrays) -> list[NDArray[np.int32]]:
    """The reviews, each (length,) ids, from ids (N,) and lengths (R,)."""
    return np.split(arrays["ids"], np.cumsum(arrays["lengths"])[:-1])


def batches_of(rows: list[Any], size: int) -> list[list[Any]]:
    """The rows in batches, in their order."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def padded(reviews: list[NDArray[np.int32]], steps: int, side: str) -> NDArray[np.int64]:
    """Ids (B, steps), padded with zeros at the start (side "pre") or the end ("post")."""
    out = np.zeros((len(reviews), steps), dtype=np.int64)
    for row, ids in zip(out, reviews, strict=True):
        row[slice(steps - len(ids), steps) if side == "pre" else slice(len(ids))] = ids
    return out


def inference_task(logits: Callable[[], list[NDArray[np.float32]]], settings: Settings, info: dict[str, str]) -> Task:
    """Logits of all reviews. logits(): those of each batch (B, 1)."""
    return Task(
        lambda: seconds_of(logits, repeats=settings["repeats"]),
        info,
        lambda: {"logits": np.concatenate(logits())[:, 0]},
    )


def predict_task(predict: Callable[[], NDArray[Any]], settings: Settings, info: dict[str, str]) -> Task:
    """Outputs (B,) of a batch by `predict`."""
    return Task(
        lambda: seconds_of(predict, warmup=1, repeats=settings["repeats"]),
        info,
        lambda: {"outputs": predict()},
    )


def seconds_of_steps(step: Callable[[], Any], settings: Settings) -> float:
    """Seconds of `steps` consecutive training steps, each on the next batch, after `warmup_steps` that do not count;
    with `per_step`, the mean per step.
    """
    for _ in range(settings["warmup_steps"]):
        step()
    began = time.perf_counter()
    for _ in range(settings["steps"]):
        step()
    took = time.perf_counter() - began
    return took / settings["steps"] if settings["per_step"] else took


def seconds_of(work: Callable[[], Any], *, warmup: int = 0, repeats: int = 1) -> float:
    """The median seconds of `repeats` calls in a row, after `warmup` that do not count."""
    for _ in range(warmup):
        work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return float(np.median(times))
