"""Texts as parallel streams of tokens, for truncated backpropagation through time with carried states.

An epoch concatenates all texts in a random order, each after a boundary token, cuts the result into B equal streams,
and reads them T steps at a time: a text that does not end within a piece continues in the next, and so does its state
(Williams & Peng 1990). For the backward direction the texts are reversed, in another order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.network.batch import PAD

Tokens = NDArray[np.int32]
MIN_PIECES = 2  # of an epoch


class Streams:
    """n texts, as (length,) int32 tokens, in `batch` streams of pieces of `steps` tokens."""

    def __init__(self, texts: Sequence[Tokens], batch: int, steps: int, seed: int) -> None:
        self.texts, self.steps, self.seed = texts, steps, seed
        total = sum(len(text) + 1 for text in texts)
        self.batch = min(batch, total // (MIN_PIECES * steps + 1))
        if self.batch < 1:
            raise InputError(f"{total:,} words of text are too few to pretrain on; {MIN_PIECES * steps + 1} are needed")
        self.pieces = (total // self.batch - 1) // steps  # per epoch

    def epoch(self, number: int, reverse: bool) -> Tokens:
        """(B, pieces x T + 1): the streams of that epoch; the targets of a piece are its tokens shifted by one step."""
        rng = np.random.default_rng([self.seed, number, int(reverse)])
        parts: list[Tokens] = []
        boundary = np.full(1, PAD, dtype=np.int32)
        for place in rng.permutation(len(self.texts)):
            text = self.texts[place]
            parts += [boundary, text[::-1] if reverse else text]
        line = np.concatenate(parts)
        width = self.pieces * self.steps + 1
        return line[: self.batch * (len(line) // self.batch)].reshape(self.batch, -1)[:, :width]
