"""The batches of an epoch."""

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError

_POOL = 50  # batches that are sorted by length together; small enough to mix rows anew in every epoch


def batches(
    lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator, bucket_by_length: bool
) -> list[NDArray[np.int64]]:
    """Every row number once, shuffled, in arrays of `batch_size`; the last array may be shorter.

    >>> rows = batches(np.array([9, 2, 8, 3]), 2, np.random.default_rng(0), bucket_by_length=True)
    >>> sorted(sorted(batch.tolist()) for batch in rows)
    [[0, 2], [1, 3]]

    lengths (n,): steps of each row. bucket_by_length: rows of similar length share a batch, so that less is padded:
    pools of 50 batches are sorted by length and cut, and the batches are shuffled.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    order = rng.permutation(len(lengths)).astype(np.int64)
    if not bucket_by_length:
        return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    out: list[NDArray[np.int64]] = []
    for first in range(0, len(order), batch_size * _POOL):
        pool = order[first : first + batch_size * _POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        out += [pool[start : start + batch_size] for start in range(0, len(pool), batch_size)]
    return [out[number] for number in rng.permutation(len(out))]
