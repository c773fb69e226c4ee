"""`WordTable`: the input product of an LSTM for each token that has occurred, computed when it first occurs."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.network.distinct_tokens import unique_tokens
from gatewise.types import Array, Index

_MOST_NUMBERS = 1 << 24  # of a table: 64 MiB of float32
_FIRST_ROWS = 256  # more than most short texts have distinct tokens


class WordTable:
    """Rows x W_ihᵀ + b (4H,) of the tokens that have occurred, for parameters that do not change.

    It has at most 64 MiB. The rows are in the order in which the tokens occurred, not by token id: spread over an array
    of V rows, a few tokens would make all of it resident, because an operating system can back it by pages of 2 MiB.
    """

    def __init__(self, vocab_size: int, width: int, dtype: Any) -> None:
        self._most_rows = min(vocab_size, _MOST_NUMBERS // width)
        self._rows: Array = np.empty((min(_FIRST_ROWS, self._most_rows), width), dtype)
        self._row_of = np.full(vocab_size, -1, dtype=np.int32)  # of each token; -1: it has not occurred
        self._count = 0
        self._lock = Lock()  # held while rows are added

    def read(self, tokens: Array, product: Callable[[NDArray[np.int64]], Array]) -> tuple[Array, Index]:
        """Rows (R, 4H), and which of them each of the tokens (N,) has (N,). product: of distinct tokens (U,), (U, 4H),
        called for those that have no row yet, or where these do not fit into the table for all of `tokens`. The bits of
        a row do not depend on the other tokens of a product.
        """
        row_of_step = self._row_of[tokens]
        if row_of_step.min(initial=0) >= 0:
            return self._rows, row_of_step
        # Without waiting: another thread may be adding rows, and in a process that was forked meanwhile the lock stays
        # held for ever.
        if self._lock.acquire(blocking=False):
            try:
                is_complete = self._add(tokens, product)
            finally:
                self._lock.release()
            if is_complete:
                return self._rows, self._row_of[tokens]
        distinct, index = unique_tokens(tokens, len(self._row_of))
        return product(distinct), index

    def _add(self, tokens: Array, product: Callable[[NDArray[np.int64]], Array]) -> bool:
        """Add the rows of the tokens (N,) that have none. Threads that read meanwhile see a token only with its row.
        Returns whether all have one; False adds none, where they do not fit into the table.
        """
        is_new = self._row_of[tokens] < 0
        if not is_new.any():  # another thread has added them
            return True
        new = np.unique(tokens[is_new]).astype(np.int64)
        count = self._count + len(new)
        if count > self._most_rows:
            return False
        if count > len(self._rows):
            size = min(max(count, 2 * len(self._rows)), self._most_rows)
            larger = np.empty((size, self._rows.shape[1]), self._rows.dtype)
            larger[: self._count] = self._rows[: self._count]
            self._rows = larger
        self._rows[self._count : count] = product(new)
        self._row_of[new] = np.arange(self._count, count, dtype=np.int32)
        self._count = count
        return True
