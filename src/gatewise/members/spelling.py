"""`Spelling`: the characters of the tokens of a vocabulary of pieces of words, for n-grams of characters.

A token's characters are numbers: `FIRST` and above for the characters of the vocabulary, `OPENS` in front of a piece
that starts a word, `UNKNOWN` for a token without characters. `CLOSES` is at the end of each token in the stored array;
in a sequence only at the end of each word. So "anna" is read as OPENS a n n a CLOSES, however it is divided: n-grams of
characters tell beginnings and endings from what is inside, and none of them crosses words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.ragged import starts_of
from gatewise.types import Array, Lengths

CLOSES, OPENS, UNKNOWN, FIRST = range(4)
LONGEST = 200  # characters of a token; words have at most 163 (gatewise.text.tokens), and OPENS
MOST, MOST_PER_TOKEN = 1_000_000, 16  # characters read at a time, those of each token added: bounds memory


@dataclass(frozen=True, eq=False)
class Spelling:
    """characters (C,) int32: those of all tokens, in the order of their ids, with CLOSES after each token. Raises
    InputError for other arrays.
    """

    characters: NDArray[np.int32]

    def __post_init__(self) -> None:
        one = self.characters
        if one.ndim != 1 or one.dtype != np.int32 or not len(one) or one.min() < 0 or one[-1] != CLOSES:
            raise InputError("n-grams: characters must be (C,) int32, not below 0, with 0 after each token")
        if not self.lengths.all() or self.lengths.max() > LONGEST:
            raise InputError(f"n-grams: a token has no character, or more than {LONGEST:,}")

    @classmethod
    def of(cls, pieces: Sequence[str]) -> Spelling:
        """pieces: each token as it is spelled, with a space in front where it starts a word; "" for one that is not
        spelled.
        """
        rest = sorted({one for piece in pieces for one in piece if one != " "})
        numbers = {" ": OPENS} | {one: number for number, one in enumerate(rest, FIRST)}
        rows = [[numbers[one] for one in piece] or [UNKNOWN] for piece in pieces]
        return cls(np.array([number for row in rows for number in (*row, CLOSES)], dtype=np.int32))

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Where the CLOSES of each token is (V,)."""
        return np.flatnonzero(self.characters == CLOSES)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """The number of characters of each token (V,), without CLOSES."""
        return np.diff(self.ends, prepend=-1) - 1

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def size(self) -> int:
        """The smallest number above those of all characters."""
        return int(self.characters.max()) + 1

    def prune(self, vocab_size: int) -> Spelling:
        """Of the first `vocab_size` tokens."""
        return Spelling(self.characters[: self.ends[vocab_size - 1] + 1])

    def padded(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The characters of each token and CLOSES, plus 1, followed by zeros (V, L); 1 for tokens that start a
        word (V,).
        """
        found = np.zeros((len(self), int(self.lengths.max()) + 1), dtype=np.int64)
        found[np.arange(found.shape[1]) <= self.lengths[:, None]] = self.characters + 1
        return found, (found[:, 0] == OPENS + 1).astype(np.int64)

    def read(self, tokens: Array, lengths: Lengths) -> tuple[NDArray[np.int64], Lengths, NDArray[np.int64]]:
        """The characters (N,) of the words of sequences of tokens, the number of each word's, and the step of each.

        tokens, lengths (B,): the sequences, as `joined` returns them. A sequence begins with a word, and ends with one.
        Raises InputError for tokens of far more characters than those of texts have.
        """
        opens = self.characters[self.ends[tokens] - self.lengths[tokens]] == OPENS
        opens[starts_of(lengths)[lengths > 0]] = True
        closes = np.append(opens[1:], True)[: len(opens)]
        count = self.lengths[tokens] + closes
        if (total := int(count.sum())) > MOST + MOST_PER_TOKEN * len(tokens):
            raise InputError(f"n-grams: {len(tokens):,} tokens have {total:,} characters, which are too many")
        step = np.repeat(np.arange(len(tokens)), count)
        first = self.ends[tokens] - self.lengths[tokens] - starts_of(count)
        characters = self.characters[first[step] + np.arange(len(step))].astype(np.int64)
        return characters, np.add.reduceat(count, np.flatnonzero(opens)) if len(tokens) else count, step

    def cut_words(self, tokens: Array, most: int) -> tuple[NDArray[np.int64], Lengths, NDArray[np.int64]]:
        """The ends of the words of a sequence that are cut after a step within them: the last characters, at most
        `most`, and CLOSES; as `read`.
        """
        characters, words, step = self.read(tokens, np.array([len(tokens)]))
        last = np.flatnonzero(np.diff(step, append=-1))  # character of each step
        inside = last[characters[last] != CLOSES]
        begin = np.maximum(np.repeat(starts_of(words), words)[inside], inside - most + 1)
        count = inside - begin + 2
        at = np.arange(count.sum()) - np.repeat(starts_of(count) - begin, count)
        closing = np.cumsum(count) - 1
        at[closing] = 0
        found = characters[at]
        found[closing] = CLOSES
        return found, count, np.repeat(step[inside], count)
