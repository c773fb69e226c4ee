"""Ragged arrays: sequences of different lengths, one after the other, without padding.

B sequences with N steps in total are two arrays: `values (N, ...)` and `lengths (B,)`. Sequence b is
`values[starts[b] : starts[b] + lengths[b]]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.types import Lengths


@dataclass(frozen=True, eq=False)
class Ragged:
    """Values of the steps of B sequences: labels, logits or weights with one row per step.

    values: (N, ...); lengths: (B,), whose sum is N.

    >>> labels = Ragged.of([[7, 8], [9]])
    >>> labels[0].tolist(), labels[[1, 0]].values.tolist()
    ([7, 8], [9, 7, 8])
    """

    values: NDArray[Any]
    lengths: Lengths

    @classmethod
    def of(cls, sequences: Sequence[Any], dtype: Any = None) -> Ragged:
        """From one array or list (T, ...) per sequence; see `joined`."""
        return cls(*joined(sequences, dtype))

    @cached_property
    def _starts(self) -> NDArray[np.intp]:
        return starts_of(self.lengths)

    @cached_property
    def is_finite(self) -> bool:
        """Whether no value is infinite or NaN. It is computed once, for all that check the values on their way."""
        return bool(np.isfinite(self.values).all())

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self.values.dtype

    @property
    def ndim(self) -> int:
        """Axes, of which the steps are the second."""
        return self.values.ndim + 1

    def __len__(self) -> int:
        """B, the number of sequences."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """The values (T, ...) of each sequence, without a copy."""
        ends = self._starts + self.lengths
        for start, end in zip(self._starts.tolist(), ends.tolist(), strict=True):
            yield self.values[start:end]

    def __getitem__(self, rows: Any) -> Any:
        """Of a number the values (T, ...) of that sequence; of a slice, a mask or numbers those sequences."""
        if isinstance(rows, int | np.integer):
            start = int(self._starts[rows])
            return self.values[start : start + int(self.lengths[rows])]
        if isinstance(rows, slice) and rows.step in (None, 1):  # without a copy
            start, stop, _ = rows.indices(len(self))
            ends = np.append(self._starts, len(self.values))
            return Ragged(self.values[ends[start] : ends[max(start, stop)]], self.lengths[start:stop])
        numbers = np.arange(len(self))[rows]
        return Ragged(self.values[self.steps_of(numbers)], self.lengths[numbers])

    def steps_of(self, numbers: NDArray[np.intp]) -> NDArray[np.intp]:
        """The rows of `values` that the sequences with these numbers have, in this order."""
        lengths = self.lengths[numbers]
        return step_numbers(lengths) + np.repeat(self._starts[numbers], lengths)

    def where(self, mask: NDArray[np.bool_]) -> Ragged:
        """The steps for which `mask` (N,) is true; a sequence can lose all of its steps."""
        kept_before = np.append(0, np.cumsum(mask))
        lengths = kept_before[self._starts + self.lengths] - kept_before[self._starts]
        return Ragged(self.values[mask], lengths.astype(np.intp, copy=False))

    def chunks(self, max_steps: int) -> Iterator[Ragged]:
        """The sequences in order, without a copy, in parts of at most `max_steps` steps (or one sequence)."""
        if len(self.values) <= max_steps:
            if len(self):
                yield self
            return
        ends = self._starts + self.lengths
        first = 0
        while first < len(self):
            limit = int(self._starts[first]) + max_steps
            stop = max(first + 1, int(np.searchsorted(ends, limit, side="right")))
            yield self[first:stop]
            first = stop

    def place(self, step: int) -> tuple[int, int]:
        """The sequence that a step of all steps is of, and its number there."""
        sequence = int(np.searchsorted(np.cumsum(self.lengths), step, side="right"))
        return sequence, step - int(self._starts[sequence])

    def with_values(self, values: NDArray[Any]) -> Ragged:
        """Other values (N, ...) of the same steps."""
        return Ragged(values, self.lengths)

    def __add__(self, other: Ragged) -> Ragged:
        """The sequences of both, those of `other` last."""
        return Ragged.concatenated([self, other])

    @classmethod
    def concatenated(cls, parts: Sequence[Ragged]) -> Ragged:
        """The sequences of all parts, one part after the other."""
        values = np.concatenate([part.values for part in parts])
        return cls(values, np.concatenate([part.lengths for part in parts]))


def flat(values: NDArray[Any] | Ragged) -> NDArray[Any]:
    """The rows (N, ...) of all steps; an array, which has one row per input, as it is."""
    return values.values if isinstance(values, Ragged) else values


def arrays_of(values: NDArray[Any] | Ragged) -> Any:
    """What a user gets: the array, or a list of one array (T, ...) per input."""
    return list(values) if isinstance(values, Ragged) else values


def concatenated(first: Any, second: Any) -> Any:
    """The values of both, by input where they are."""
    return first + second if isinstance(first, Ragged) else np.concatenate([first, second])


def rows_per_input(values: NDArray[Any] | Ragged) -> Lengths:
    """How many rows each input has (n,): its steps, or 1."""
    return values.lengths if isinstance(values, Ragged) else np.ones(len(values), dtype=np.intp)


def rows_at(values: NDArray[Any] | Ragged, steps: NDArray[np.intp]) -> NDArray[Any]:
    """The row (n, ...) of step `steps[b]` of each input b; an array, which has one row per input, as it is."""
    if not isinstance(values, Ragged):
        return values
    return np.asarray(values.values[starts_of(values.lengths) + steps])


def shaped_like(rows: NDArray[Any], like: NDArray[Any] | Ragged) -> NDArray[Any] | Ragged:
    """The rows (N, ...) by input where `like` is, else the rows themselves."""
    return like.with_values(rows) if isinstance(like, Ragged) else rows


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


def step_numbers(lengths: NDArray[Any]) -> NDArray[np.intp]:
    """The number of each step within its sequence, from 0: (N,) from lengths (B,)."""
    return np.arange(int(lengths.sum())) - np.repeat(starts_of(lengths), lengths)


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
