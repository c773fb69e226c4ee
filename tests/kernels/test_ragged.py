"""Ragged batches: there and back, taken, turned round and padded."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels.ragged import Ragged, last_rows, reversed_rows, starts_of

SEQUENCES = [[3, 1, 4], [], [1, 5], [9]]


def test_there_and_back() -> None:
    ragged = Ragged.of(SEQUENCES)
    assert [row.tolist() for row in ragged] == SEQUENCES
    assert ragged.starts.tolist() == [0, 3, 3, 5]
    assert last_rows(ragged.lengths).tolist() == [2, -1, 4, 5]
    assert starts_of(np.zeros(0, dtype=np.int64)).tolist() == []


def test_take_in_another_order_and_twice() -> None:
    taken = Ragged.of(SEQUENCES).take(np.array([2, 1, 0, 2]))
    assert [row.tolist() for row in taken] == [[1, 5], [], [3, 1, 4], [1, 5]]


def test_reversed_rows_turn_each_sequence_in_its_place() -> None:
    ragged = Ragged.of(SEQUENCES)
    order = reversed_rows(ragged.lengths)
    assert ragged.values[order].tolist() == [4, 1, 3, 5, 1, 9]
    assert ragged.values[order][order].tolist() == ragged.values.tolist()


@pytest.mark.parametrize(("side", "first"), [("pre", [0, 3, 1, 4]), ("post", [3, 1, 4, 0])])
def test_padded(side: str, first: list[int]) -> None:
    padded = Ragged.of(SEQUENCES).padded(4, side=side)
    assert padded.shape == (4, 4)
    assert padded[0].tolist() == first
    assert padded[1].tolist() == [0, 0, 0, 0]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="3 steps does not fit into 2"):
        Ragged.of(SEQUENCES).padded(2)
    with pytest.raises(InputError, match="side must be"):
        Ragged.of(SEQUENCES).padded(4, side="left")
    with pytest.raises(InputError, match="sum to 4, but there are 3 rows"):
        Ragged(np.zeros(3), np.array([1, 3]))
    with pytest.raises(InputError, match="sequence 1 has a negative length"):
        Ragged(np.zeros(3), np.array([4, -1]))
