"""Which of many texts hold which n-grams: what is counted once, for all that is fitted to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import InputError
from gatewise.kernels.ragged import Ragged
from gatewise.network.batch import chunks
from gatewise.network.ngrams import TOKENS_PER_CHUNK, Ngrams, keys_of, unique_ngrams
from gatewise.types import Array

__all__ = ["TermDocumentMatrix", "count_ngrams"]


@dataclass(frozen=True)
class TermDocumentMatrix:
    """Which texts hold which n-grams, both ways round: `row` of text i from starts[i] on, `text` of n-gram j from
    first[j] on. The second makes the gradient a sum as well, in the same order whatever the threads.
    """

    row: NDArray[np.int32]
    starts: NDArray[np.int32]
    text: NDArray[np.int32]
    first: NDArray[np.int32]

    @classmethod
    def of(cls, owner: NDArray[np.int64], row: NDArray[np.int64], n: int, rows: int) -> TermDocumentMatrix:
        """From pairs (text, n-gram), the texts ascending and the n-grams of each as well."""
        bits = n.bit_length()
        turned = np.sort(
            (row << bits) | owner
        )  # by n-gram, then by text; a sort of numbers is far quicker than argsort
        first = np.zeros(rows + 1, dtype=np.int64)
        np.cumsum(np.bincount(row, minlength=rows), out=first[1:])
        starts = np.searchsorted(owner, np.arange(n + 1))
        if len(row) > np.iinfo(np.int32).max:
            raise InputError(f"n-grams: {len(row):,} places are too many; take a higher minimum or fewer texts")
        narrow = (a.astype(np.int32) for a in (row, starts, turned & ((1 << bits) - 1), first))
        return cls(*narrow)

    def over_texts(self, values: Tensor) -> Tensor:
        """(n, C): values (K, C) added up over the n-grams of each text."""
        return self._sums(self.row, values, self.starts)

    def over_ngrams(self, values: Tensor) -> Tensor:
        """(K, C): values (n, C) added up over the texts of each n-gram."""
        return self._sums(self.text, values, self.first)

    @staticmethod
    def _sums(places: NDArray[np.int32], values: Tensor, first: NDArray[np.int32]) -> Tensor:
        bags, edges = torch.from_numpy(places), torch.from_numpy(first)
        values = values.contiguous()  # by columns, as QR gives them, it is thirty times slower
        return torch.nn.functional.embedding_bag(bags, values, edges, mode="sum", include_last_offset=True)

    def document_frequency(self) -> NDArray[np.int64]:
        """How many texts hold each n-gram (K,)."""
        return np.diff(self.first).astype(np.int64)


def count_ngrams(
    sequences: Sequence[Array], order: int, minimum: int, without: Sequence[int]
) -> tuple[NDArray[np.int64], TermDocumentMatrix]:
    """The n-grams (K,) that at least `minimum` texts hold, and which hold them."""
    ragged = Ragged.of(sequences, dtype=np.int64)
    barred = np.isin(ragged.values, np.asarray(without, dtype=np.int64))
    often: list[NDArray[np.int64]] = []
    for key, end in keys_of(ragged, order):
        clean = ~barred[end]
        for back in range(1, len(often) + 1):
            clean &= ~barred[end - back]
        key = np.sort(key[clean])
        edges = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1], [True]])) if len(key) else np.zeros(1, int)
        often.append(key[edges[:-1]][np.diff(edges) >= minimum])  # no text holds what stands nowhere
    keys = np.concatenate(often)
    lookup = Ngrams(order, keys, np.zeros((len(keys), 1), dtype=np.float32))
    owners, rows, first = [], [], 0
    for some in chunks(sequences, TOKENS_PER_CHUNK):
        owner, row = unique_ngrams(lookup, some)
        owners.append(owner + first)
        rows.append(row)
        first += len(some)
    owner, row = np.concatenate(owners), np.concatenate(rows)
    kept = np.bincount(row, minlength=len(keys)) >= minimum
    place = np.cumsum(kept) - 1
    owner, row = owner[kept[row]], place[row[kept[row]]]
    return keys[kept], TermDocumentMatrix.of(owner, row, len(sequences), int(kept.sum()))
