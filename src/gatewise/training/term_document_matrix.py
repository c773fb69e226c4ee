"""The term-document matrix of n-grams: which text contains which n-gram, counted once for all that is fitted to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import InputError
from gatewise.kernels.ragged import Ragged
from gatewise.network.batch import chunks
from gatewise.network.ngrams import TOKENS_PER_CHUNK, Ngrams, counted_ngrams, keys_of
from gatewise.types import Array


@dataclass(frozen=True)
class TermDocumentMatrix:
    """A binary matrix A (n, K) of n texts and K n-grams, by rows and by columns: the n-grams of text i are
    `terms[term_starts[i]:term_starts[i + 1]]`, the texts of n-gram j `documents[document_starts[j]:...]`. With both,
    A v and Aᵀ u are sums in an order that does not depend on the number of threads.
    """

    terms: NDArray[np.int32]
    term_starts: NDArray[np.int32]
    documents: NDArray[np.int32]
    document_starts: NDArray[np.int32]

    @classmethod
    def of(cls, document: NDArray[np.int32], term: NDArray[np.int32], n: int, k: int) -> TermDocumentMatrix:
        """From pairs (text, n-gram) in ascending order."""
        bits = n.bit_length()
        by_term = np.sort((term.astype(np.int64) << bits) | document)  # sorting integers is far faster than argsort
        document_starts = np.zeros(k + 1, dtype=np.int64)
        np.cumsum(np.bincount(term, minlength=k), out=document_starts[1:])
        term_starts = np.searchsorted(document, np.arange(n + 1))
        if len(term) > np.iinfo(np.int32).max:
            raise InputError(f"n-grams: {len(term):,} entries are too many; take a higher min_df or fewer texts")
        parts = (term, term_starts, by_term & ((1 << bits) - 1), document_starts)
        return cls(*(part.astype(np.int32) for part in parts))

    def matmul(self, values: Tensor) -> Tensor:
        """A values: (K, C) to (n, C)."""
        return _segment_sums(self.terms, values, self.term_starts)

    def transposed_matmul(self, values: Tensor) -> Tensor:
        """Aᵀ values: (n, C) to (K, C)."""
        return _segment_sums(self.documents, values, self.document_starts)

    def document_frequency(self) -> NDArray[np.int64]:
        """Texts that contain each n-gram (K,)."""
        return np.diff(self.document_starts).astype(np.int64)


def term_document_matrix(
    sequences: Sequence[Array], order: int, min_df: int, exclude: Sequence[int]
) -> tuple[NDArray[np.int64], TermDocumentMatrix]:
    """Keys (K,) of the n-grams of `count_ngrams`, and their term-document matrix."""
    keys, document, term, _ = count_ngrams(sequences, order, min_df, exclude)
    return keys, TermDocumentMatrix.of(document, term, len(sequences), len(keys))


class NgramCounts(NamedTuple):
    """keys (K,), ascending; of each pair of a text and an n-gram in it, in ascending order: document (M,), term (M,), a
    row of `keys`, and occurrences (M,).
    """

    keys: NDArray[np.int64]
    document: NDArray[np.int32]
    term: NDArray[np.int32]
    occurrences: NDArray[np.int32]


def count_ngrams(sequences: Sequence[Array], order: int, min_df: int, exclude: Sequence[int]) -> NgramCounts:
    """Count the n-grams of 1 to `order` tokens, none of them in `exclude`, that at least `min_df` texts contain."""
    ragged = Ragged.of(sequences, dtype=np.int64)
    excluded = np.isin(ragged.values, np.asarray(exclude, dtype=np.int64))
    frequent: list[NDArray[np.int64]] = []  # by occurrences first: a text counts each n-gram once, so df is not larger
    for key, end in keys_of(ragged, order):
        allowed = ~excluded[end]
        for back in range(1, len(frequent) + 1):
            allowed &= ~excluded[end - back]
        key = np.sort(key[allowed])
        edges = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1], [True]])) if len(key) else np.zeros(1, int)
        frequent.append(key[edges[:-1]][np.diff(edges) >= min_df])
    keys = np.concatenate(frequent)
    lookup = Ngrams(order, keys, np.zeros((len(keys), 1), dtype=np.float32))
    found: list[NDArray[np.int32]] = []  # (3, pairs) of each chunk: document, term, occurrences
    first = 0
    for chunk in chunks(sequences, TOKENS_PER_CHUNK):
        document, term, count = counted_ngrams(lookup, chunk)
        found.append(np.stack([document + first, term, count]).astype(np.int32))
        first += len(chunk)
    texts = np.zeros(len(keys), dtype=np.int64)
    for _, term, _ in found:
        texts += np.bincount(term, minlength=len(keys))
    kept = texts >= min_df
    new_index = (np.cumsum(kept) - 1).astype(np.int32)
    for n, (document, term, count) in enumerate(found):  # one by one: the pairs are most of the memory of a fit
        of_kept = kept[term]
        found[n] = np.stack([document[of_kept], new_index[term[of_kept]], count[of_kept]])
    document, term, count = np.concatenate(found, axis=1)
    return NgramCounts(keys[kept], document, term, count)


def _segment_sums(indices: NDArray[np.int32], values: Tensor, starts: NDArray[np.int32]) -> Tensor:
    values = values.contiguous()  # QR returns column-major arrays, with which this is thirty times slower
    return torch.nn.functional.embedding_bag(
        torch.from_numpy(indices), values, torch.from_numpy(starts), mode="sum", include_last_offset=True
    )
