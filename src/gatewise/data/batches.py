"""Rows in batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError

__all__ = ["batches"]

_POOL = 50  # batches that are sorted together: near enough in length, and still another batch every epoch


def batches(lengths: NDArray[np.int64], batch: int, rng: np.random.Generator, grouped: bool) -> list[NDArray[np.int64]]:
    """Every row number once, shuffled, in arrays of `batch`, one of them shorter where they do not go up.

    lengths (n,): steps of each row. grouped: rows of similar length go together, so that a batch of unequal ones does
    not wait for its longest: pools of 50 batches are sorted by length and cut, and the batches shuffled. `rng` alone
    decides.
    """
    if batch < 1:
        raise InputError(f"batch must be at least 1, got {batch}")
    order = rng.permutation(len(lengths)).astype(np.int64)
    if not grouped:
        return [order[first : first + batch] for first in range(0, len(order), batch)]
    out: list[NDArray[np.int64]] = []
    for first in range(0, len(order), batch * _POOL):
        pool = order[first : first + batch * _POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        out += [pool[start : start + batch] for start in range(0, len(pool), batch)]
    return [out[number] for number in rng.permutation(len(out))]
