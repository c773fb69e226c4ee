"""The keys of n-grams read back, and random n-grams of characters."""

from typing import Any

import numpy as np

from gatewise.members.ngrams import BITS, MAX_CHARACTERS, MAX_VOCAB_SIZE, Ngrams, keys_of
from gatewise.members.spelling import Spelling
from gatewise.ragged import Ragged


def tokens_of(key: int) -> tuple[int, ...]:
    """The token ids of a key."""
    fields = (key >> 2 * BITS, (key >> BITS) & MAX_VOCAB_SIZE, key & MAX_VOCAB_SIZE)
    return tuple(int(field) - 1 for field in fields if field)


def random_pieces(rng: np.random.Generator, vocab_size: int) -> list[str]:
    """Spelled tokens, most of them within words, and two that are not spelled."""
    pieces = [("", " ", "")[n % 3] + "".join(rng.choice([*"abcö"], rng.integers(1, 4))) for n in range(vocab_size - 2)]
    return ["", "", *pieces]


def random_spelled(
    rng: np.random.Generator, pieces: list[str], outputs: int, scaled: bool, sequences: Any = None
) -> Ngrams:
    """N-grams of 1 to 5 characters, half of those of the sequences, by default of random ones."""
    empty = Ngrams(
        MAX_CHARACTERS, np.zeros(0, np.int64), np.zeros((0, outputs), np.float32), spelling=Spelling.of(pieces)
    )
    values, lengths, _ = empty.read(Ragged.of(sequences or [rng.integers(0, len(pieces), 300)]))
    keys = np.unique(np.concatenate([key for key, _ in keys_of(values, lengths, MAX_CHARACTERS, empty.bits)]))
    keys = np.sort(rng.choice(keys, len(keys) // 2, replace=False))
    scale = rng.uniform(0, 2, len(keys)).astype(np.float32) if scaled else None
    return Ngrams(empty.order, keys, rng.normal(0, 1, (len(keys), outputs)).astype(np.float32), scale, empty.spelling)
