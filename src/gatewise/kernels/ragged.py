"""Ragged batches: sequences of different lengths, one after the other, without padding.

A batch of B sequences with N steps in total is two arrays: `values (N, ...)` and `lengths (B,)`. Sequence b is
`values[starts[b] : starts[b] + lengths[b]]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError


def starts_of(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Row at which each sequence starts: (B,) from lengths (B,)."""
    starts = np.zeros(len(lengths), dtype=np.int64)
    if len(lengths) > 1:
        np.cumsum(lengths[:-1], out=starts[1:])
    return starts


def total_steps(lengths: NDArray[Any]) -> int:
    """The number N of steps: the sum of lengths (B,) int64.

    Raises InputError for another shape or dtype, for a negative length, and for lengths that could sum to more than 63
    bits hold: that sum would wrap around, perhaps to the number of rows that there are.
    """
    if lengths.ndim != 1 or lengths.dtype != np.int64:
        raise InputError(f"lengths: expected (B,) int64, got {lengths.shape} {lengths.dtype}")
    if not len(lengths):
        return 0
    if int(lengths.min()) < 0:
        raise InputError(f"lengths: sequence {int(lengths.argmin())} has a negative length")
    if int(lengths.max()) * len(lengths) >= 2**63:
        longest = int(lengths.argmax())
        raise InputError(f"lengths: sequence {longest} has {int(lengths[longest])} steps, more than fit into memory")
    return int(lengths.sum())


@dataclass(frozen=True)
class Ragged:
    """B sequences of different lengths. values: (N, ...), lengths: (B,) int64 with sum N.

    >>> r = Ragged.of([[7, 8], [], [9]])
    >>> r.values.tolist(), r.lengths.tolist(), [row.tolist() for row in r]
    ([7, 8, 9], [2, 0, 1], [[7, 8], [], [9]])
    """

    values: NDArray[Any]
    lengths: NDArray[np.int64]

    def __post_init__(self) -> None:
        steps = total_steps(self.lengths)
        if steps != len(self.values):
            raise InputError(f"lengths sum to {steps}, but there are {len(self.values)} rows")

    @classmethod
    def of(cls, sequences: Sequence[Any], dtype: Any = None) -> Ragged:
        """From a list of arrays or lists, each (length, ...) with the same trailing shape, or an empty list `[]`."""
        arrays = [np.asarray(s, dtype=dtype) for s in sequences]
        lengths = np.array([len(a) for a in arrays], dtype=np.int64)
        shaped = [a for a in arrays if len(a)] or [a for a in arrays if a.ndim > 1]  # an empty list has another dtype
        values = np.concatenate(shaped) if shaped else np.zeros(0, dtype=dtype or np.int64)
        return cls(values, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for start, length in zip(self.starts, self.lengths, strict=True):
            yield self.values[start : start + length]

    @property
    def starts(self) -> NDArray[np.int64]:
        return starts_of(self.lengths)

    def take(self, which: NDArray[Any]) -> Ragged:
        """The sequences `which` (K,), in that order."""
        lengths = self.lengths[which]
        first = np.repeat(self.starts[which] - starts_of(lengths), lengths)
        return Ragged(self.values[first + np.arange(int(lengths.sum()))], lengths)
