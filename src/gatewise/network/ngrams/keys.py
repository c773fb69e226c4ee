"""N-grams of token ids as single numbers, packed exactly: nothing is hashed.

An n-gram of tokens t_1 ... t_n is one int64, 21 bits a token, the last token lowest:

    key = Σ_j (t_j + 1) 2^(21 (n - j))        n = 1, 2, 3

No two n-grams share a key, and the tokens can be read back. All keys of n tokens are below those of n + 1. The price is
a limit: three times 21 bits hold vocabularies of up to 2,097,151 rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.kernels.ragged import Ragged

MAX_ORDER = 3
BITS = 21
MAX_ROWS = (1 << BITS) - 1  # rows of the vocabulary: token + 1 must fit into the bits


def check_rows(rows: int) -> None:
    """Raise InputError for a vocabulary whose tokens do not fit into the keys."""
    if rows > MAX_ROWS:
        raise InputError(f"n-grams need a vocabulary of at most {MAX_ROWS:,} rows, not {rows:,}")


def check_keys(keys: NDArray[np.int64], order: int, rows: int) -> None:
    """Raise InputError unless these keys (K,), ascending, are of 1 to `order` tokens of a vocabulary of `rows`."""
    check_rows(rows)
    if len(keys) and not 0 < keys[0] <= keys[-1] < 1 << BITS * order:
        raise InputError(f"n-grams: a key is none of 1 to {order} tokens")
    edges = [*np.searchsorted(keys, [1 << BITS * n for n in range(order)]).tolist(), len(keys)]
    for n in range(1, order + 1):
        for j in range(n):
            token = (keys[edges[n - 1] : edges[n]] >> BITS * j) & MAX_ROWS
            if len(token) and not 0 < token.min() <= token.max() <= rows:
                raise InputError(f"n-grams: a token is none of the vocabulary's {rows:,}")


def keys_of(ragged: Ragged, order: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For n = 1 to `order`: the keys (M,) of all n-grams within the sequences, and the step at which each ends."""
    tokens = ragged.values.astype(np.int64) + 1
    end = np.arange(len(tokens))
    into = end - np.repeat(ragged.starts, ragged.lengths)  # how many steps of its own sequence stand before
    key = tokens
    for n in range(1, order + 1):
        yield key, end
        longer = into[end] >= n
        end = end[longer]
        key = (tokens[end - n] << BITS * n) | key[longer]


def tokens_of(key: int) -> tuple[int, ...]:
    """The token ids of a key.

    >>> [key for key, _ in keys_of(Ragged.of([[7, 0, 9]]), 3)][2].tolist(), tokens_of(35184374185994)
    ([35184374185994], (7, 0, 9))
    """
    fields = (key >> 2 * BITS, (key >> BITS) & MAX_ROWS, key & MAX_ROWS)
    return tuple(int(field) - 1 for field in fields if field)
