"""The distinct tokens among those of a batch."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from gatewise.types import Array, Index

PAD = 0  # the padding token, as in Keras


def unique_tokens(tokens: Array, vocab_size: int, with_pad: bool = False) -> tuple[NDArray[np.int64], Index]:
    """The distinct tokens (U,) among `tokens` (N,), ascending, with PAD if `with_pad`; and the row of each token (N,).

    As `np.unique` with `return_inverse`, but faster: one flag per vocabulary entry instead of sorting.
    """
    seen = np.zeros(vocab_size, dtype=bool)
    seen[tokens] = True
    if with_pad:
        seen[PAD] = True
    distinct = np.flatnonzero(seen)
    row_of = np.empty(vocab_size, dtype=np.int32)
    row_of[distinct] = np.arange(len(distinct), dtype=np.int32)
    return distinct, row_of[tokens]


def unique_rows(rows: Array) -> tuple[NDArray[np.int64], Index]:
    """The distinct rows (U, F) among `rows` (N, F) of whole numbers, and which of them each row is (N,)."""
    keys = _hashes(rows)
    _, first, index = np.unique(keys, return_index=True, return_inverse=True)
    distinct = rows[first]
    if not np.array_equal(distinct[index], rows):  # two rows with one hash
        distinct, index = np.unique(rows, axis=0, return_inverse=True)
    return distinct.astype(np.int64), index.reshape(-1).astype(np.int32)


def _hashes(rows: Array) -> NDArray[np.uint64]:
    """A number (N,) for each row: sorting numbers takes a fraction of the time of sorting rows."""
    keys: NDArray[np.uint64] = (rows.astype(np.uint64) * _factors(rows.shape[1])).sum(axis=1, dtype=np.uint64)
    return keys


@cache
def _factors(count: int) -> NDArray[np.uint64]:
    """Odd numbers (count,), always the same ones."""
    return np.random.default_rng(0).integers(1, 1 << 63, count, dtype=np.uint64) | np.uint64(1)
