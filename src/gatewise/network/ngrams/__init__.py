"""The linear path beside the network: one weight for each n-gram of 1 to 3 tokens that a text holds."""

from __future__ import annotations

from gatewise.network.ngrams.keys import BITS, MAX_ORDER, MAX_ROWS, check_rows, keys_of, tokens_of
from gatewise.network.ngrams.weights import Ngrams, Phrase, chunks, held

__all__ = [
    "BITS",
    "MAX_ORDER",
    "MAX_ROWS",
    "Ngrams",
    "Phrase",
    "check_rows",
    "chunks",
    "held",
    "keys_of",
    "tokens_of",
]
