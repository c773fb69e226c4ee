"""Measurements beside the bars: how gatewise's time grows, and what unusual input costs it. No peer takes part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.case import Case, Entry
from benchmarks.reviews import LENGTH, Reviews, weights
from benchmarks.wire import Arrays

H = 100
STEPS = (1000, 2000, 5000, 10_000)
BATCHES = (16, 32, 64, 128, 256)


def also(reviews: Reviews) -> list[Case]:
    return [_steps(), _batches(), _first_batch(reviews), _denormals(), _tail(1000), _ragged(reviews)]


def _arrays(lengths: NDArray[np.int64], seed: int = 0) -> Arrays:
    """A batch of those lengths for the kernel alone: each step takes one of 500 random rows of pre."""
    rng = np.random.default_rng(seed)
    return {
        "pre": rng.standard_normal((500, 4 * H), dtype=np.float32),
        "index": rng.integers(0, 500, int(lengths.sum()), dtype=np.int32),
        "lengths": lengths,
        "weight_hh": weights(H)["weight_hh"],
        "dh_T": rng.standard_normal((len(lengths), H), dtype=np.float32),
    }


def _kernel(name: str, what: str, entries: dict[str, Arrays], threads: int = 2, turns: int = 9) -> Case:
    """The kernel, forward and backward, on different arrays by turns; they are not the same function."""
    made = tuple(Entry(entry, "ours", threads, arrays=arrays) for entry, arrays in entries.items())
    return Case(name, what, "recurrence", made, {"repeats": 3}, {}, same=False, turns=turns)


def _steps() -> Case:
    what = f"the kernel, forward and backward, H {H}, 16 sequences of equal length: how time grows with the length"
    return _kernel("steps", what, {f"{t:,} steps": _arrays(np.full(16, t)) for t in STEPS})


def _batches() -> Case:
    what = f"the kernel, forward and backward, H {H}, sequences of 200 steps: how time grows with their number"
    return _kernel("batch", what, {f"{b} sequences": _arrays(np.full(b, 200)) for b in BATCHES})


def _first_batch(reviews: Reviews) -> Case:
    """The first turn counts, in a process that has done nothing yet."""
    return Case(
        name="first_batch",
        what="training steps of a fresh process, masked: the first beside the median of the rest",
        kind="step",
        entries=(Entry("gatewise", "ours", 2, {"rows": reviews.rows}),),
        settings={
            "threads": 2,
            "padding": "none",
            "length": LENGTH,
            "batch": 64,
            "lead": 0,
            "per_run": 1,
            "each": True,
        },
        arrays=weights() | reviews.take(reviews.shuffled(8 * 64, 0)),
        same=False,
        warm=0,
        turns=16,
        fresh=True,
    )


def _denormals() -> Case:
    """Gradients that start at the smallest normal number and fall below it; gates driven to 0 and 1, where they do."""
    plain = _arrays(np.full(64, 200))
    return _kernel(
        "denormals",
        f"the kernel, forward and backward, H {H}, 64 sequences of 200 steps: ordinary and unusual numbers",
        {
            "ordinary": plain,
            "tiny gradients": plain | {"dh_T": plain["dh_T"] * np.float32(1e-38)},
            "saturated gates": plain | {"pre": plain["pre"] * np.float32(30)},
        },
        turns=15,
    )


def _one_and_two(name: str, what: str, arrays: Arrays) -> Case:
    entries = tuple(Entry(f"{n} thread{'s' * (n > 1)}", "ours", n) for n in (1, 2))
    return Case(name, what, "recurrence", entries, {"repeats": 3}, arrays, same=False)


def _tail(longest: int) -> Case:
    lengths = np.array([longest, *np.random.default_rng(0).integers(50, 150, 63)], dtype=np.int64)
    what = f"the kernel, forward and backward, H {H}: one sequence of {longest} steps among 63 of 50 to 150"
    return _one_and_two("tail", what, _arrays(lengths))


def _ragged(reviews: Reviews) -> Case:
    what = f"the kernel, forward and backward, H {H}: 64 reviews as they come"
    return _one_and_two("ragged", what, _arrays(reviews.lengths[reviews.shuffled(64, 0)]))
