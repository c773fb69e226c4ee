"""Sequences of different lengths, one after the other, with no padding in between.

A batch of B sequences with N steps in all is two arrays: `values (N, ...)` and `lengths (B,)`. Sequence b is
`values[starts[b] : starts[b] + lengths[b]]`. Nothing in gatewise pads inside; `padded` is for the edge, where another
library wants a rectangle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError

__all__ = ["Ragged", "last_rows", "max_backward", "reduced", "reversed_rows", "starts_of"]


_LARGE = 2048  # numbers of a sequence from which on NumPy's reduceat is slower than one call a sequence


def starts_of(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Row at which each sequence starts: (B,) from lengths (B,)."""
    starts = np.zeros(len(lengths), dtype=np.int64)
    if len(lengths) > 1:
        np.cumsum(lengths[:-1], out=starts[1:])
    return starts


def last_rows(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Row of each sequence's last step: (B,); -1 where the sequence is empty."""
    ends = np.cumsum(lengths, dtype=np.int64) - 1
    return np.where(np.asarray(lengths) > 0, ends, -1)


def reversed_rows(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Row order (N,) that turns every sequence round in its own place; its own inverse."""
    starts = starts_of(lengths)
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    offset = np.arange(int(np.sum(lengths))) - starts[sequence]
    rows: NDArray[np.int64] = starts[sequence] + np.asarray(lengths)[sequence] - 1 - offset
    return rows


def reduced(over: np.ufunc, x: NDArray[Any], lengths: NDArray[Any]) -> NDArray[Any]:
    """Each sequence's rows of x (N, H) added up, or their largest: (B, H), zero for an empty sequence."""
    starts, full = starts_of(lengths), np.flatnonzero(lengths)
    out = np.zeros((len(lengths), x.shape[1]), dtype=x.dtype)
    if len(full) and x.size > _LARGE * len(full):  # one after the other, over whole vectors of a row
        for b in full.tolist():
            over.reduce(x[starts[b] : starts[b] + lengths[b]], axis=0, out=out[b])
    elif len(full):
        out[full] = over.reduceat(x, starts[full])
    return out


def max_backward(x: NDArray[Any], largest: NDArray[Any], lengths: NDArray[Any], given: NDArray[Any]) -> NDArray[Any]:
    """The gradient (N, H) of x from that (B, H) of `largest`, its maximum over each sequence; equal ones share it."""
    whole = np.zeros(x.shape, dtype=x.dtype)
    for row, to, start, length in zip(largest, given, starts_of(lengths).tolist(), lengths.tolist(), strict=True):
        rows = slice(start, start + length)
        step, unit = np.divmod(np.flatnonzero(x[rows] == row), x.shape[1])  # few of the numbers
        whole[start + step, unit] = (to / np.maximum(np.bincount(unit, minlength=len(to)), 1).astype(x.dtype))[unit]
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
            raise InputError(f"lengths: want (B,) int64, got {self.lengths.shape} {self.lengths.dtype}")
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

    def padded(self, length: int | None = None, value: float = 0, side: str = "pre") -> NDArray[Any]:
        """A rectangle (B, length, ...) filled with `value` in front (`pre`) or behind (`post`); longer ones are an
        error.
        """
        longest = int(self.lengths.max()) if len(self) else 0
        length = longest if length is None else length
        if longest > length:
            raise InputError(f"a sequence of {longest} steps does not fit into {length}")
        if side not in ("pre", "post"):
            raise InputError(f"side must be 'pre' or 'post', not {side!r}")
        out = np.full((len(self), length, *self.values.shape[1:]), value, dtype=self.values.dtype)
        for row, sequence in zip(out, self, strict=True):
            start = length - len(sequence) if side == "pre" else 0
            row[start : start + len(sequence)] = sequence
        return out
