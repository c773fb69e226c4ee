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
        if self.lengths.ndim != 1 or self.lengths.dtype != np.int64:
            raise InputError(f"lengths: expected (B,) int64, got {self.lengths.shape} {self.lengths.dtype}")
        if len(self.lengths) and int(self.lengths.min()) < 0:
            raise InputError(f"lengths: sequence {int(self.lengths.argmin())} has a negative length")
        if int(self.lengths.sum()) != len(self.values):
            raise InputError(f"lengths sum to {int(self.lengths.sum())}, but there are {len(self.values)} rows")

    @classmethod
    def of(cls, sequences: Sequence[Any], dtype: Any = None) -> Ragged:
        """From a list of arrays or lists, each (length, ...) with the same trailing shape."""
        arrays = [np.asarray(s, dtype=dtype) for s in sequences]
        lengths = np.array([len(a) for a in arrays], dtype=np.int64)
        filled = [a for a in arrays if len(a)]
        values = np.concatenate(filled) if filled else np.zeros(0, dtype=dtype or np.int64)
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
