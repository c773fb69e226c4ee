"""The keys of n-grams read back."""

from __future__ import annotations

from gatewise.members.ngrams import BITS, MAX_VOCAB_SIZE


def tokens_of(key: int) -> tuple[int, ...]:
    """The token ids of a key."""
    fields = (key >> 2 * BITS, (key >> BITS) & MAX_VOCAB_SIZE, key & MAX_VOCAB_SIZE)
    return tuple(int(field) - 1 for field in fields if field)
