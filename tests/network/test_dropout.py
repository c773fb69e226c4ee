"""Dropout masks: the numbers that are drawn, and their probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.network.dropout import _PIECE, Dropout


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pieces_have_the_numbers_of_one_draw(dtype: str) -> None:
    rng = np.random.default_rng(3)
    dropout = Dropout({"layer": 0.3}, np.random.default_rng(3))
    for shape in ((3 * _PIECE // 7 + 1, 7), (5, 3)):  # odd numbers of elements: the second shows where the first ended
        found = dropout.mask("layer", shape, dtype)
        kept = rng.integers(0, 65_536, shape, dtype=np.uint16) >= round(0.3 * 65_536)
        expected = np.where(kept, 65_536 / (65_536 - round(0.3 * 65_536)), 0.0).astype(dtype)
        np.testing.assert_array_equal(found, expected, strict=True)
    assert dropout.mask("output", (2, 3), dtype) is None


def test_words_are_dropped_as_a_whole() -> None:
    mask = Dropout({"word": 0.5, "embedding": 0.2}, np.random.default_rng(4)).of_rows(
        "embedding", (4_000, 9), "float32"
    )
    assert mask is not None
    dropped = (mask == 0).all(axis=1)
    assert abs(dropped.mean() - 0.5) < 0.03
    assert abs((mask[~dropped] == 0).mean() - 0.2) < 0.02
    np.testing.assert_allclose(mask[mask != 0], 1 / (0.5 * 0.8), rtol=1e-4)
