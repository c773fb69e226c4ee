"""What `gatewise bench` measures on: random batches of review-like lengths; and how: in turns, medians."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.types import Array

__all__ = ["FLOPS", "in_turns", "kernel_batch", "lengths", "review_tokens"]

FLOPS = {"forward": 8, "both": 24}  # a step and H² weights: four gates, multiply and add; backward twice as much
ROWS = 10_000  # vocabulary, as in the tutorial
_SPIN = 0.12  # seconds; OpenBLAS was seen to spin for more than 0.05, and for less than 0.1
_FULL = 128  # up to this many units a batch has reviews of full length, beyond it shorter ones: the same work


def lengths(rng: np.random.Generator, count: int, units: int = 1) -> NDArray[np.int64]:
    """(count,) steps, spread as those of IMDB reviews are: log-normal, mean near 238, at most 1000."""
    drawn = np.clip(np.exp(rng.normal(5.2, 0.72, count)), 10, 1000)
    return np.maximum(1, drawn * min(1.0, (_FULL / units) ** 2)).astype(np.int64)


def review_tokens(rng: np.random.Generator, count: int) -> list[NDArray[np.int32]]:
    """Random reviews: token ids from 4 on, the small ones far more often, as words are."""
    return [(4 + (ROWS - 4) * rng.random(n) ** 4).astype(np.int32) for n in lengths(rng, count)]


def kernel_batch(rng: np.random.Generator, units: int, count: int) -> dict[str, Any]:
    """Arguments for a kernel's forward: `count` sequences, each distinct token's row of `pre` used by all its steps."""
    steps = lengths(rng, count, units)
    tokens = ROWS * rng.random(int(steps.sum())) ** 4
    distinct, index = np.unique(tokens.astype(np.int32), return_inverse=True)

    def normal(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    return {
        "pre": normal(len(distinct), 4 * units),
        "index": index.astype(np.int32),
        "lengths": steps,
        "weight_hh": normal(4 * units, units) / np.float32(units**0.5),
        "h0": np.zeros((count, units), np.float32),
        "c0": np.zeros((count, units), np.float32),
    }


def in_turns(runs: Mapping[str, Callable[[], object]], seconds: float, rest_after: str = "") -> dict[str, float]:
    """Median seconds of each of `runs`, one after the other in turns, for about `seconds`; a first turn warms up.

    At least three turns are counted, however long they take. After the run `rest_after` there is a pause: a BLAS's
    threads spin on for a while, and what comes next would have to share the processors with them.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    began, turn = time.perf_counter(), 0
    while turn < 4 or time.perf_counter() - began < seconds:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                taken[name].append(time.perf_counter() - start)
            if name == rest_after:
                time.sleep(_SPIN)
        turn += 1
    return {name: median(each) for name, each in taken.items()}
