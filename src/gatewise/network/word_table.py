"""`WordTable`: the input product of an LSTM for each token of a vocabulary, computed when the token first occurs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.types import Array

_MOST_NUMBERS = 1 << 24  # of a table: 64 MiB, of which a process has the rows of the tokens that occurred


class WordTable:
    """Rows x W_ihᵀ + b (V, 4H) of V tokens, for parameters that do not change."""

    def __init__(self, vocab_size: int, width: int, dtype: Any) -> None:
        self.rows: Array = np.empty((vocab_size, width), dtype)
        self._is_known = np.zeros(vocab_size, dtype=bool)

    @staticmethod
    def fits(vocab_size: int, width: int) -> bool:
        """Whether a table of this size is worth its memory."""
        return vocab_size * width <= _MOST_NUMBERS

    def add(self, tokens: Array, product: Callable[[NDArray[np.int64]], Array]) -> None:
        """Compute the rows of the tokens (N,) that have none yet. product: of distinct tokens (U,), (U, 4H).

        Threads may do so at the same time: they write the same numbers, and a token is known once its row is there.
        """
        is_known = self._is_known[tokens]
        if is_known.all():
            return
        new = np.unique(tokens[~is_known]).astype(np.int64)
        self.rows[new] = product(new)
        self._is_known[new] = True
