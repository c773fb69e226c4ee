"""Streams: every token once an epoch, each behind the one that it follows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.training.pretrain import Streams


def _texts(count: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(2, 90, int(rng.integers(1, 40))).astype(np.int32) for _ in range(count)]


@pytest.mark.parametrize("reverse", [False, True])
def test_an_epoch_has_all_texts_in_a_new_order(reverse: bool) -> None:
    texts = _texts(60, 1)
    streams = Streams(texts, 4, 7, seed=3)
    lines = streams.epoch(0, reverse)
    assert lines.shape == (4, streams.pieces * 7 + 1)
    # Whole texts that lie within one stream are found in it, behind a boundary.
    found = 0
    for line in lines:
        starts = np.flatnonzero(line == 0)
        for begin, end in itertools.pairwise(starts):
            piece = line[begin + 1 : end]
            found += any(np.array_equal(piece[::-1] if reverse else piece, text) for text in texts)
    assert found > 40
    assert not np.array_equal(lines, streams.epoch(1, reverse))
    assert np.array_equal(lines, Streams(texts, 4, 7, seed=3).epoch(0, reverse))


def test_few_words_take_fewer_streams() -> None:
    assert Streams(_texts(10, 2), 64, 5, seed=0).batch < 64


def test_too_few_words_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        Streams([np.array([4, 5], dtype=np.int32)], 8, 70, seed=0)
