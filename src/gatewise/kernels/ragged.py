"""Ragged batches: sequences of different lengths, one after the other, without padding.

A batch of B sequences with N steps in total is two arrays: `values (N, ...)` and `lengths (B,)`. Sequence b is
`values[starts[b] : starts[b] + lengths[b]]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.types import Lengths


def joined(sequences: Sequence[Any], dtype: Any = None) -> tuple[NDArray[Any], Lengths]:
    """values and lengths of arrays or lists, each (length, ...) with the same trailing shape, or an empty list `[]`.

    >>> values, lengths = joined([[7, 8], [], [9]])
    >>> values.tolist(), lengths.tolist()
    ([7, 8, 9], [2, 0, 1])
    """
    arrays = [np.asarray(s, dtype=dtype) for s in sequences]
    shaped = [a for a in arrays if len(a)] or [a for a in arrays if a.ndim > 1]  # an empty list has another dtype
    values = np.concatenate(shaped) if shaped else np.zeros(0, dtype=dtype or np.intp)
    return values, np.array([len(a) for a in arrays], dtype=np.intp)


def starts_of(lengths: NDArray[Any]) -> NDArray[np.intp]:
    """Row at which each sequence starts: (B,) from lengths (B,)."""
    starts = np.zeros(len(lengths), dtype=np.intp)
    np.cumsum(lengths[:-1], out=starts[1:])
    return starts


def total_steps(lengths: NDArray[Any]) -> int:
    """The number N of steps: the sum of lengths (B,) int64.

    Raises InputError for another shape, dtype or layout, for a negative length, and for lengths that could sum to more
    than the dtype holds: that sum would wrap around, perhaps to the number of rows that there are.
    """
    if lengths.ndim != 1 or lengths.dtype != np.intp or not (lengths.flags.c_contiguous and lengths.flags.aligned):
        raise InputError(f"lengths: expected (B,) {np.intp.__name__}, contiguous; got {lengths.shape} {lengths.dtype}")
    if not len(lengths):
        return 0
    if int(lengths.min()) < 0:
        raise InputError(f"lengths: sequence {int(lengths.argmin())} has a negative length")
    if int(lengths.max()) * len(lengths) > np.iinfo(np.intp).max:
        longest = int(lengths.argmax())
        raise InputError(f"lengths: sequence {longest} has {int(lengths[longest])} steps, more than fit into memory")
    return int(lengths.sum())
