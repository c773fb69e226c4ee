"""The distinct tokens among those of a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatewise.types import Array, Index

PAD = 0  # the padding token, as in Keras


def unique_tokens(tokens: Array, vocab_size: int, with_pad: bool = False) -> tuple[NDArray[np.int64], Index]:
    """The distinct tokens (U,) among `tokens` (N,), ascending, with PAD if `with_pad`; and the row of each token (N,).

    As `np.unique` with `return_inverse`, but faster: one flag per vocabulary entry instead of sorting.
    """
    seen = np.zeros(vocab_size, dtype=bool)
    seen[tokens] = True
    if with_pad:
        seen[PAD] = True
    distinct = np.flatnonzero(seen)
    row_of = np.empty(vocab_size, dtype=np.int32)
    row_of[distinct] = np.arange(len(distinct), dtype=np.int32)
    return distinct, row_of[tokens]
