"""Near-duplicates between two parts of a data set: rows that share most of their shingles.

A shingle is `WORDS` tokens in a row (Broder 1997). Two rows are near-duplicates if they share more than half of the
distinct shingles of the one that has more. So a near-duplicate shares some of the rarer shingles of a row, and only
rows that do are compared (prefix filter, Bayardo et al. 2007).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gatewise.ragged import starts_of
from gatewise.types import Array

WORDS = 3
MOST_ROWS = 1_000  # whose near-duplicates are looked for
_MOST_SHARING = 100  # rows that a shingle is followed to
_ROWS = 512  # of a chunk
_PAD = -1  # after a row that is shorter than a shingle
_MOST_BITS = 22  # of a hash, in the table of those that are wanted
_SPARSE_BITS = 6  # more than their number has
_SHIFT = np.uint64(29)
_OFFSET = np.uint64(2)
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)


def near_duplicates(
    sequences: Sequence[Array],
    among: NDArray[np.int64],
    of: NDArray[np.int64],
    unknown: int | None = None,
    most: int = MOST_ROWS,
) -> tuple[int, int]:
    """How many of the rows `of` were compared, and how many of these have a near-duplicate in the rows `among`.

    sequences (n): the token ids of each row, int (T,). unknown: a token that stands for any word; shingles with it do
    not count, and rows without another shingle are not compared. At most `most` rows are compared, evenly spaced ones,
    and a shingle is followed to about 100 rows of `among`, so that the count may be too low where more rows share it.
    """
    rows = of[np.unique(np.linspace(0, len(of) - 1, min(len(of), most)).round().astype(np.int64))]
    shingles, lengths = _distinct_shingles([sequences[row] for row in rows.tolist()], unknown)
    if not len(shingles):
        return 0, 0
    known, owners = _occurrences(sequences, among, unknown, np.unique(shingles))
    first = np.searchsorted(known, shingles, "left")
    stop = np.searchsorted(known, shingles, "right")
    # Of most rows, too few shingles occur in other rows at all.
    row = np.repeat(np.arange(len(lengths)), lengths)
    shared = np.bincount(row, weights=stop > first, minlength=len(lengths))
    starts = starts_of(lengths)
    duplicates = 0
    for number in np.flatnonzero(2 * shared > lengths).tolist():
        own = slice(starts[number], starts[number] + lengths[number])
        duplicates += _has_near_duplicate(shingles[own], owners, first[own], stop[own], sequences, unknown)
    return int((lengths > 0).sum()), duplicates


def _has_near_duplicate(
    one: NDArray[np.uint64],
    owners: NDArray[np.int64],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    sequences: Sequence[Array],
    unknown: int | None,
) -> bool:
    """Whether a row of these shingles (S,) has a near-duplicate. owners[first[s]:stop[s]]: the rows with shingle s."""
    # A near-duplicate has more than half of the shingles, and so at least `least` of the rarest of them.
    needed = len(one) // 2 + 1
    least = max(1, needed // 4)
    rarest = np.argsort(stop - first, kind="stable")[: len(one) - needed + least]
    counts = (stop - first)[rarest]
    if counts.max() > _MOST_SHARING:
        least = 1
    rows = [
        owners[first[n] : stop[n] : max(1, count // _MOST_SHARING)]
        for n, count in zip(rarest.tolist(), counts.tolist(), strict=True)
        if count
    ]
    if not rows:
        return False
    # A shingle that occurs twice in a row counts twice, which adds candidates and leaves none out.
    candidates, shared = np.unique(np.concatenate(rows), return_counts=True)
    return any(_share_most(one, _shingles(sequences[row], unknown)) for row in candidates[shared >= least].tolist())


def _share_most(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> bool:
    """Whether distinct shingles (S,) and (S',) have more than half of the larger set in common."""
    smaller, larger = sorted((len(one), len(other)))
    if 2 * smaller <= larger:
        return False
    return 2 * len(np.intersect1d(one, other, assume_unique=True)) > larger


def _shingles(sequence: Array, unknown: int | None) -> NDArray[np.uint64]:
    """The distinct shingles of a row, ascending."""
    return np.unique(_hashes([sequence], unknown)[0])


def _distinct_shingles(rows: Sequence[Array], unknown: int | None) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct shingles of each row, ascending, one row after the other, and how many each row has."""
    hashes, row = _hashes(rows, unknown)
    order = np.lexsort((hashes, row))
    hashes = hashes[order]
    row = row[order]
    is_first = np.ones(len(hashes), dtype=bool)
    is_first[1:] = (hashes[1:] != hashes[:-1]) | (row[1:] != row[:-1])
    return hashes[is_first], np.bincount(row[is_first], minlength=len(rows))


def _hashes(rows: Sequence[Array], unknown: int | None) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hash of each shingle of the rows, a multiplicative one of 64 bits, and the number of its row in the list. A
    row of fewer tokens than a shingle is one shingle.
    """
    padded = [_padded(row) if 0 < len(row) < WORDS else row for row in rows]
    lengths = np.array([len(row) for row in padded], dtype=np.int64)
    tokens = np.concatenate([np.zeros(0, dtype=np.int64), *padded])
    count = max(0, len(tokens) - WORDS + 1)
    unsigned = tokens.astype(np.int64).view(np.uint64) + _OFFSET
    hashes = np.zeros(count, dtype=np.uint64)
    for place, multiplier in enumerate(_MULTIPLIERS):
        hashes ^= unsigned[place : place + count] * multiplier
        hashes *= multiplier
        hashes ^= hashes >> _SHIFT
    owner = np.repeat(np.arange(len(padded)), lengths)
    whole = owner[:count] == owner[WORDS - 1 :]  # else the tokens are of two rows
    if unknown is not None:
        is_unknown = tokens == unknown
        for place in range(WORDS):
            whole &= ~is_unknown[place : place + count]
    return hashes[whole], owner[:count][whole]


def _padded(row: Array) -> Array:
    """The tokens of a short row, as many as a shingle has."""
    return np.append(row, np.full(WORDS - len(row), _PAD))


def _occurrences(
    sequences: Sequence[Array], rows: NDArray[np.int64], unknown: int | None, wanted: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The wanted shingles (ascending) of these rows, one for each occurrence, ascending, and the row of each."""
    # Most shingles of other rows are not wanted: a table of the first bits of those that are says so at once.
    bits = min(_MOST_BITS, len(wanted).bit_length() + _SPARSE_BITS)
    rest = np.uint64(64 - bits)
    possible = np.zeros(1 << bits, dtype=bool)
    possible[wanted >> rest] = True
    shingles = []
    owners = []
    for first in range(0, len(rows), _ROWS):
        chunk = rows[first : first + _ROWS]
        hashes, number = _hashes([sequences[row] for row in chunk.tolist()], unknown)
        kept = np.flatnonzero(possible[hashes >> rest])
        hashes = hashes[kept]
        number = number[kept]
        place = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
        kept = np.flatnonzero(wanted[place] == hashes)
        shingles.append(hashes[kept])
        owners.append(chunk[number[kept]])
    occurrences = np.concatenate(shingles)
    order = np.argsort(occurrences, kind="stable")
    return occurrences[order], np.concatenate(owners)[order]
