"""What every contender gives, and the parts of a task that they share. NumPy alone: every peer's Python imports it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Settings = dict[str, Any]


class Unavailable(Exception):
    """This contender cannot take part here; the message says why."""


class Loaded(Protocol):
    """A task, ready to run."""

    def check(self) -> Arrays:
        """What it computes: loss, logits and gradients by name, from the weights it was given."""
        ...

    def run(self) -> float:
        """Do it once, as a user would; the seconds that it took."""
        ...

    def about(self) -> dict[str, str]:
        """Versions and settings, by name, for the results."""
        ...


def reviews_of(arrays: Arrays) -> list[NDArray[np.int32]]:
    """The reviews, each (length,) ids, from ids (N,) and lengths (R,)."""
    return np.split(arrays["ids"], np.cumsum(arrays["lengths"])[:-1])


def padded(reviews: list[NDArray[np.int32]], steps: int, side: str) -> NDArray[np.int64]:
    """Ids (B, steps), zeros where there is no word: in front ("pre") or behind ("post")."""
    out = np.zeros((len(reviews), steps), dtype=np.int64)
    for row, ids in zip(out, reviews, strict=True):
        row[slice(steps - len(ids), steps) if side == "pre" else slice(len(ids))] = ids
    return out


def seconds_of_steps(step: Callable[[], Any], settings: Settings) -> float:
    """Seconds of `per_run` training steps, each on the next batch, after `lead` that do not count: training is step
    after step, not one step after a pause. With "each", of one of them.
    """
    for _ in range(settings["lead"]):
        step()
    began = time.perf_counter()
    for _ in range(settings["per_run"]):
        step()
    took = time.perf_counter() - began
    return took / settings["per_run"] if settings["each"] else took


def seconds_of(work: Callable[[], Any], *, warm: int = 0, repeats: int = 1) -> float:
    """The median seconds of `repeats` calls in a row, after `warm` that do not count."""
    for _ in range(warm):
        work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return float(np.median(times))
