"""`EncodedBatch`: n rows of the data as whole arrays, between the preprocessor, which makes them, and the members."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.ragged import Ragged
from gatewise.types import Lengths

Columns = Sequence[tuple[float | str, ...]]
"""The values of the columns of each row; () for rows without columns."""


@dataclass(frozen=True, eq=False)
class EncodedBatch(Sequence[EncodedSequence]):
    """n rows with N steps in total, before truncation. A row of it is an `EncodedSequence` whose arrays are views.

    steps: token ids (N,), or channels (N, C) of series. series: (N, W, C) float32, see `EncodedSequence`; None for
    texts. columns: of each row; () where the model reads none.
    """

    steps: Ragged
    series: Ragged | None = None
    columns: Columns = ()

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[EncodedSequence]:
        return (self._row(number) for number in range(len(self)))

    def __getitem__(self, rows: Any) -> Any:
        """Of a number that row; of a slice, a mask or numbers an `EncodedBatch` of these rows."""
        if isinstance(rows, int | np.integer):
            return self._row(range(len(self))[rows])
        columns: Columns = ()
        if self.columns:
            columns = [self.columns[number] for number in np.arange(len(self))[rows].tolist()]
        series = None
        if self.series is not None:
            series = self.series[rows]
        return EncodedBatch(self.steps[rows], series, columns)

    def _row(self, number: int) -> EncodedSequence:
        series = None
        if self.series is not None:
            series = self.series[number]
        columns: tuple[float | str, ...] = ()
        if self.columns:
            columns = self.columns[number]
        return EncodedSequence(self.steps[number], series, columns)


Encoded = EncodedBatch | Sequence[EncodedSequence]
"""n rows: a batch, or rows that were chosen or edited one by one."""


def ragged_steps(rows: Encoded) -> Ragged:
    """The steps of n rows."""
    if isinstance(rows, EncodedBatch):
        return rows.steps
    return Ragged.of([row.steps for row in rows])


def lengths_of(rows: Encoded) -> Lengths:
    """The number of steps of each of n rows."""
    if isinstance(rows, EncodedBatch):
        return rows.steps.lengths
    return np.array([len(row) for row in rows], dtype=np.intp)


def ragged_series(rows: Encoded) -> Ragged:
    """The series of n rows. Raises InputError for texts."""
    if isinstance(rows, EncodedBatch):
        if rows.series is None:
            raise InputError("convolutions need series, and the sequences are texts")
        return rows.series
    if any(row.series is None for row in rows):
        raise InputError("convolutions need series, and the sequence is a text")
    return Ragged.of([row.series for row in rows])


def columns_of(rows: Encoded) -> Columns:
    """The values of the columns of each of n rows."""
    if isinstance(rows, EncodedBatch):
        return rows.columns or [()] * len(rows)
    return [row.columns for row in rows]


def joined_rows(batches: Iterable[Encoded]) -> Encoded:
    """The rows of all batches, one after the other."""
    batches = list(batches)
    if not batches or not all(isinstance(batch, EncodedBatch) for batch in batches):
        return [row for batch in batches for row in batch]
    return _concatenated([batch for batch in batches if isinstance(batch, EncodedBatch)])


def _concatenated(batches: Sequence[EncodedBatch]) -> EncodedBatch:
    if len(batches) == 1:
        return batches[0]
    series = [batch.series for batch in batches if batch.series is not None]
    columns = [row for batch in batches for row in batch.columns]
    return EncodedBatch(
        Ragged.concatenated([batch.steps for batch in batches]),
        Ragged.concatenated(series) if series else None,
        columns,
    )
