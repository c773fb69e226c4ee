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

_LARGE = 2048  # values per sequence above which NumPy's reduceat is slower than one reduce per sequence


def starts_of(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Row at which each sequence starts: (B,) from lengths (B,)."""
    starts = np.zeros(len(lengths), dtype=np.int64)
    if len(lengths) > 1:
        np.cumsum(lengths[:-1], out=starts[1:])
    return starts


def reduced(over: np.ufunc, x: NDArray[Any], lengths: NDArray[Any]) -> NDArray[Any]:
    """Rows of x (N, H) reduced over each sequence, by np.add or np.maximum: (B, H), zero for an empty sequence."""
    starts, full = starts_of(lengths), np.flatnonzero(lengths)
    out = np.zeros((len(lengths), x.shape[1]), dtype=x.dtype)
    if len(full) and x.size > _LARGE * len(full):
        for b in full.tolist():
            over.reduce(x[starts[b] : starts[b] + lengths[b]], axis=0, out=out[b])
    elif len(full):
        out[full] = over.reduceat(x, starts[full])
    return out


def max_backward(x: NDArray[Any], largest: NDArray[Any], lengths: NDArray[Any], grad: NDArray[Any]) -> NDArray[Any]:
    """Gradient (N, H) of x from `grad` (B, H), that of its maximum over each sequence; equal maxima share it."""
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    where = np.flatnonzero(x == largest[sequence])
    step, unit = np.divmod(where, x.shape[1])
    maximum = sequence[step] * x.shape[1] + unit  # which of the B x H maxima it equals
    share = grad.reshape(-1) / np.maximum(np.bincount(maximum, minlength=largest.size), 1).astype(x.dtype)
    whole = np.zeros(x.shape, dtype=x.dtype)
    whole.reshape(-1)[where] = share[maximum]
    return whole


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
