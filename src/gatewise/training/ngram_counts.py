"""Which text contains which n-gram, and how often: counted once for all that is fitted to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels.ragged import Ragged
from gatewise.members.ngrams import TOKENS_PER_CHUNK, Ngrams, counted_ngrams, keys_of
from gatewise.network.batch import chunks
from gatewise.types import Array


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
