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

CLOSES = 0
OPENS = 1
UNKNOWN = 2
FIRST = 3
LONGEST = 200  # characters of a token; words have at most 163 (gatewise.text.tokens), and OPENS
# Characters that are read at a time: this number, and this number for each token. It bounds the memory.
MOST = 1_000_000
MOST_PER_TOKEN = 16


@dataclass(frozen=True, eq=False)
class Spelling:
    """characters (C,) int32: those of all tokens, in the order of their ids, with CLOSES after each token. Raises
    InputError for other arrays.
    """

    characters: NDArray[np.int32]

    def __post_init__(self) -> None:
        characters = self.characters
        is_int32_vector = characters.ndim == 1 and characters.dtype == np.int32 and len(characters) > 0
        if not is_int32_vector or characters.min() < 0 or characters[-1] != CLOSES:
            raise InputError("n-grams: characters must be (C,) int32, not below 0, with 0 after each token")
        if not self.lengths.all() or self.lengths.max() > LONGEST:
            raise InputError(f"n-grams: a token has no character, or more than {LONGEST:,}")

    @classmethod
    def of(cls, pieces: Sequence[str]) -> Spelling:
        """The spelling of a vocabulary. pieces: each token as it is spelled, with a space in front where it starts a
        word; "" for a token that has no spelling, such as padding.
        """
        characters = sorted({character for piece in pieces for character in piece if character != " "})
        number_of = {" ": OPENS} | {character: number for number, character in enumerate(characters, FIRST)}
        numbers: list[int] = []
        for piece in pieces:
            numbers += [number_of[character] for character in piece] or [UNKNOWN]
            numbers.append(CLOSES)
        return cls(np.array(numbers, dtype=np.int32))

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """The place of the CLOSES of each token (V,)."""
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
        """The spelling of the first `vocab_size` tokens."""
        return Spelling(self.characters[: self.ends[vocab_size - 1] + 1])

    def padded(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The characters of each token and CLOSES, plus 1, followed by zeros (V, L); 1 for tokens that start a
        word (V,).
        """
        padded = np.zeros((len(self), int(self.lengths.max()) + 1), dtype=np.int64)
        is_character = np.arange(padded.shape[1]) <= self.lengths[:, None]
        padded[is_character] = self.characters + 1
        starts_word = padded[:, 0] == OPENS + 1
        return padded, starts_word.astype(np.int64)

    def read(self, tokens: Array, lengths: Lengths) -> tuple[NDArray[np.int64], Lengths, NDArray[np.int64]]:
        """The characters (N,) of the words of sequences of tokens, the number of characters of each word, and the step
        of each character.

        tokens, lengths (B,): the sequences, as `joined` returns them. A sequence begins with a word, and ends with one.
        Raises InputError for tokens of far more characters than the tokens of texts have.
        """
        first_characters = self.ends[tokens] - self.lengths[tokens]  # the places in `characters`
        opens = self.characters[first_characters] == OPENS
        opens[starts_of(lengths)[lengths > 0]] = True
        closes = np.append(opens[1:], True)[: len(opens)]  # a token before one that opens a word closes one
        count = self.lengths[tokens] + closes
        total = int(count.sum())
        if total > MOST + MOST_PER_TOKEN * len(tokens):
            raise InputError(f"n-grams: {len(tokens):,} tokens have {total:,} characters, which are too many")
        step = np.repeat(np.arange(len(tokens)), count)
        place_in_token = np.arange(len(step)) - starts_of(count)[step]
        characters = self.characters[first_characters[step] + place_in_token].astype(np.int64)
        if not len(tokens):
            return characters, count, step
        word_lengths = np.add.reduceat(count, np.flatnonzero(opens))
        return characters, word_lengths, step

    def cut_words(self, tokens: Array, most: int) -> tuple[NDArray[np.int64], Lengths, NDArray[np.int64]]:
        """The ends of the words of a sequence that are cut after a step within them: the last characters, at most
        `most`, and CLOSES; as `read`.
        """
        characters, word_lengths, step = self.read(tokens, np.array([len(tokens)]))
        last = np.flatnonzero(np.diff(step, append=-1))  # the place of the last character of each step
        cut = last[characters[last] != CLOSES]  # of the steps within a word
        word_start = np.repeat(starts_of(word_lengths), word_lengths)[cut]
        begin = np.maximum(word_start, cut - most + 1)
        count = cut - begin + 2  # with CLOSES
        places = np.arange(count.sum()) - np.repeat(starts_of(count) - begin, count)
        closing = np.cumsum(count) - 1
        places[closing] = 0  # any place: CLOSES is written below
        cut_characters = characters[places]
        cut_characters[closing] = CLOSES
        return cut_characters, count, np.repeat(step[cut], count)
