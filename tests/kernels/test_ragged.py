"""Ragged batches: there and back, taken by number, refused where lengths are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels.ragged import Ragged, starts_of

SEQUENCES = [[3, 1, 4], [], [1, 5], [9]]


def test_there_and_back() -> None:
    ragged = Ragged.of(SEQUENCES)
    assert [row.tolist() for row in ragged] == SEQUENCES
    assert ragged.starts.tolist() == [0, 3, 3, 5]
    assert starts_of(np.zeros(0, dtype=np.int64)).tolist() == []


def test_only_empty_sequences_keep_their_shape_and_dtype() -> None:
    empty = np.zeros((0, 3), dtype=np.float32)
    for sequences in ([empty, empty], [[], empty]):
        ragged = Ragged.of(sequences)
        assert (ragged.values.shape, ragged.values.dtype, ragged.lengths.tolist()) == ((0, 3), np.float32, [0, 0])
    for sequences in ([], [[], []]):
        assert (Ragged.of(sequences).values.shape, Ragged.of(sequences).values.dtype) == ((0,), np.int64)


def test_take_in_another_order_and_twice() -> None:
    taken = Ragged.of(SEQUENCES).take(np.array([2, 1, 0, 2]))
    assert [row.tolist() for row in taken] == [[1, 5], [], [3, 1, 4], [1, 5]]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="sum to 4, but there are 3 rows"):
        Ragged(np.zeros(3), np.array([1, 3]))
    with pytest.raises(InputError, match="sequence 1 has a negative length"):
        Ragged(np.zeros(3), np.array([4, -1]))
