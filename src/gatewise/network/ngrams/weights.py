"""The linear path beside the network: one weight an n-gram, added to the logit. NumPy alone.

    logit += Σ weight(g) over the distinct n-grams g of 1 to `order` tokens that the text holds

An n-gram counts once however often it stands there (Wang & Manning 2012 found presence better than counts). The sum is
over words that stand side by side, so each n-gram's part can be handed to its words, and nothing is left over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.kernels.ragged import Ragged
from gatewise.network.architecture import Architecture
from gatewise.network.ngrams.keys import BITS, MAX_ORDER, MAX_ROWS, check_keys, keys_of
from gatewise.types import Array

_TOKENS_AT_ONCE = 1 << 18  # tokens whose n-grams are looked up together: bounds the memory, about 100 bytes a token


class Occurrences(NamedTuple):
    """Where known n-grams stand: row (M,) of `Ngrams.keys`, end (M,) the step (of all sequences together, from 0) of
    its last token, size (M,) how many tokens it has.
    """

    row: NDArray[np.int64]
    end: NDArray[np.int64]
    size: NDArray[np.int64]


class Phrase(NamedTuple):
    """One n-gram of a sequence: its tokens stand at `steps`, first occurrence; weight (outputs,); times it occurs."""

    steps: range
    weight: Array
    times: int


@dataclass(frozen=True, eq=False)
class Ngrams:
    """Weights (K, outputs) float32 of the n-grams `keys` (K,) int64, ascending, of 1 to `order` tokens.

    Raises InputError for arrays that are not so.
    """

    order: int
    keys: NDArray[np.int64]
    weight: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not 1 <= self.order <= MAX_ORDER:
            raise InputError(f"n-grams: the order must be from 1 to {MAX_ORDER}, not {self.order}")
        if self.keys.ndim != 1 or self.keys.dtype != np.int64:
            raise InputError(f"n-grams: keys must be (K,) int64, not {self.keys.shape} {self.keys.dtype}")
        if self.weight.ndim != 2 or len(self.weight) != len(self.keys) or self.weight.dtype != np.float32:
            raise InputError(
                f"n-grams: weight must be ({len(self.keys)}, outputs) float32, not "
                f"{self.weight.shape} {self.weight.dtype}"
            )
        if (self.keys[1:] <= self.keys[:-1]).any():
            raise InputError("n-grams: the keys must ascend, each once")
        if not np.isfinite(self.weight).all():
            raise InputError("n-grams: a weight is NaN or infinite")

    def __len__(self) -> int:
        return len(self.keys)

    def kept(self, rows: int, most: int | None = None) -> Ngrams:
        """Those whose tokens are among the first `rows` of the vocabulary; of them at most `most`, the heaviest."""
        fields = [(self.keys >> BITS * j) & MAX_ROWS for j in range(MAX_ORDER)]
        which = np.flatnonzero(np.max(fields, axis=0) <= rows)
        if most is not None and most < len(which):
            heavy = np.argsort(-np.abs(self.weight[which]).max(axis=1), kind="stable")[:most]
            which = np.sort(which[heavy])
        return Ngrams(self.order, self.keys[which], self.weight[which])

    def plus(self, other: Ngrams) -> Ngrams:
        """Those whose logits are the sum of both. Raises InputError where they are of different outputs."""
        if self.weight.shape[1] != other.weight.shape[1]:
            raise InputError(f"n-grams: weights for {self.weight.shape[1]} logits and for {other.weight.shape[1]}")
        keys = np.union1d(self.keys, other.keys)
        weight = np.zeros((len(keys), self.weight.shape[1]), dtype=np.float32)
        for one in (self, other):
            weight[np.searchsorted(keys, one.keys)] += one.weight
        return Ngrams(max(self.order, other.order), keys, weight)

    def check(self, arch: Architecture) -> None:
        """Raise InputError unless they belong to a network of that architecture: its vocabulary, its logits."""
        if arch.inputs != "tokens":
            raise InputError("n-grams are for texts: a series has no words")
        if self.weight.shape[1] != arch.outputs:
            raise InputError(f"n-grams: weights for {self.weight.shape[1]} logits, the network has {arch.outputs}")
        check_keys(self.keys, self.order, arch.vocab_size)

    def summary(self) -> tuple[str, str, int]:
        """A line of the table of layers: name, output shape and number of weights."""
        name = "1-grams" if self.order == 1 else f"1- to {self.order}-grams"
        return name, f"({self.weight.shape[1]},)", self.weight.size

    def occurrences(self, sequences: Sequence[Array]) -> Occurrences:
        """Every place where one of them stands; within each size in the order of the text. sequences: (length,) ids."""
        ragged = Ragged.of(sequences, dtype=np.int64)
        parts = []
        if len(self.keys):
            for size, (key, end) in enumerate(keys_of(ragged, self.order), start=1):
                row = self._rows(key)
                known = self.keys[row] == key
                parts.append(Occurrences(row[known], end[known], np.full(int(known.sum()), size)))
        if not parts:
            return Occurrences(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
        return Occurrences(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _rows(self, key: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each key (M,) stands, or would stand, among ours."""
        if len(key) < 4096:
            return np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        # Many keys at random miss the cache at every probe; in ascending order each begins where the last one ended.
        different, which = np.unique(key, return_inverse=True)
        return np.minimum(np.searchsorted(self.keys, different), len(self.keys) - 1)[which]

    def logits(self, sequences: Sequence[Array]) -> Array:
        """What they add to the logits (n, outputs) float64 of n sequences of token ids, whole: not cut."""
        out = np.zeros((len(sequences), self.weight.shape[1]))
        first = 0
        for some in chunks(sequences):
            owner, row = held(self, some)
            out[first : first + len(some)] = _sums(self.weight[row], owner, len(some))
            first += len(some)
        return out

    def account(self, sequence: Array) -> Array:
        """Each token's share (T, outputs) float64 of what they add: an n-gram's weight goes in equal parts to all its
        occurrences, and of each to its tokens. The sum over the tokens is `logits`.
        """
        found = self.occurrences([sequence])
        _, place, times = np.unique(found.row, return_inverse=True, return_counts=True)
        share = self.weight[found.row] / (found.size * times[place])[:, None]  # (M, outputs) float64
        out = np.zeros((len(sequence), self.weight.shape[1]))
        for back in range(self.order):
            reaches = found.size > back
            out += _sums(share[reaches], found.end[reaches] - back, len(sequence))
        return out

    def running(self, sequence: Array) -> Array:
        """What those that are complete by each step add (T, outputs) float64; the last row is `logits`."""
        found = self.occurrences([sequence])
        row, first = np.unique(found.row, return_index=True)  # within one size the first one is the earliest
        moves = _sums(self.weight[row], found.end[first], len(sequence))
        return np.cumsum(moves, axis=0)

    def without_each(self, sequence: Array, steps: Array) -> Array:
        """What they add (R, outputs) float64 to the sequence without one step, for each of `steps` (R,)."""
        sequence = np.asarray(sequence)
        return self.logits([np.delete(sequence, t) for t in steps])

    def phrases(self, sequence: Array) -> list[Phrase]:
        """Those that the sequence holds, each once, in the order in which they are complete."""
        found = self.occurrences([sequence])
        row, first, times = np.unique(found.row, return_index=True, return_counts=True)
        steps = [range(end - size + 1, end + 1) for end, size in zip(found.end[first], found.size[first], strict=True)]
        phrases = map(Phrase, steps, self.weight[row].astype(np.float64), times.tolist())
        return sorted(phrases, key=lambda phrase: (phrase.steps.stop, phrase.steps.start))


def held(ngrams: Ngrams, sequences: Sequence[Array]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which n-grams each sequence holds, each once: owner (M,), the sequence, ascending; row (M,), ascending in it."""
    found = ngrams.occurrences(sequences)
    owner = np.repeat(np.arange(len(sequences)), [len(s) for s in sequences])
    both = np.sort(owner[found.end] * len(ngrams) + found.row)  # np.unique hashes here: ten times as slow
    first = np.ones(len(both), dtype=bool)
    first[1:] = both[1:] != both[:-1]
    return np.divmod(both[first], max(len(ngrams), 1))


def chunks(sequences: Sequence[Array]) -> Iterator[Sequence[Array]]:
    """The sequences in their order, so many at a time that their n-grams fit into memory."""
    first = tokens = 0
    for n, sequence in enumerate(sequences):
        tokens += len(sequence)
        if tokens >= _TOKENS_AT_ONCE:
            yield sequences[first : n + 1]
            first, tokens = n + 1, 0
    if first < len(sequences):
        yield sequences[first:]


def _sums(values: Array, owner: NDArray[np.int64], n: int) -> Array:
    """(n, outputs) float64: of the values (M, outputs), those of each owner (M,) added up."""
    columns = [np.bincount(owner, weights=column, minlength=n) for column in values.T.astype(np.float64)]
    return np.stack(columns, axis=1)
