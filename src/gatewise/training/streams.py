"""Texts as parallel streams of tokens, for truncated backpropagation through time with carried states.

An epoch lays all texts one after the other in a random order, each behind a boundary token, cuts that line into B equal
streams, and hands them out T steps at a time: a text that does not end within a piece goes on in the next, and so does
its state (Williams & Peng 1990). For the direction from right to left the texts are reversed, in another order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.network.batch import PAD

__all__ = ["Streams"]

Tokens = NDArray[np.int32]
SHORTEST = 2  # pieces that an epoch needs at the least


class Streams:
    """n texts, as (length,) int32 tokens, in `batch` streams of pieces of `steps` tokens."""

    def __init__(self, texts: Sequence[Tokens], batch: int, steps: int, seed: int) -> None:
        self.texts, self.steps, self.seed = texts, steps, seed
        total = sum(len(text) + 1 for text in texts)
        self.batch = min(batch, total // (SHORTEST * steps + 1))
        if self.batch < 1:
            raise InputError(f"{total:,} words of text are too few to pretrain on; {SHORTEST * steps + 1} are needed")
        self.pieces = (total // self.batch - 1) // steps  # an epoch

    def epoch(self, number: int, reverse: bool) -> Tokens:
        """(B, pieces x T + 1): the streams of that epoch; a piece's targets are its tokens one step on."""
        rng = np.random.default_rng([self.seed, number, int(reverse)])
        parts: list[Tokens] = []
        boundary = np.full(1, PAD, dtype=np.int32)
        for place in rng.permutation(len(self.texts)):
            text = self.texts[place]
            parts += [boundary, text[::-1] if reverse else text]
        line = np.concatenate(parts)
        width = self.pieces * self.steps + 1
        return line[: self.batch * (len(line) // self.batch)].reshape(self.batch, -1)[:, :width]
