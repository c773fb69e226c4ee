"""Dropout masks for a training step, drawn from one generator.

A mask has 0 with the probability of its part and 1 / (1 - probability) elsewhere (inverted dropout, Srivastava et al.
2014):

    word        whole rows of the batch's distinct tokens (Gal & Ghahramani 2016: one mask per word type)
    embedding   single values of these rows
    output      units before the dense layer

Series have normal noise instead of a mask on their inputs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gatewise.types import Array

_LEVELS = 1 << 16  # a probability is rounded to a multiple of 1 / 65,536 below 1
_PIECE = 1 << 14  # numbers that are drawn at a time; an even number, so that they are those of one draw


class Dropout:
    """Masks with the given probability by part; 0 where absent. noise: the standard deviation, see `noisy`."""

    def __init__(self, probability: Mapping[str, float], rng: np.random.Generator) -> None:
        self.probability, self.rng = dict(probability), rng

    def mask(self, part: str, shape: tuple[int, ...], dtype: Any) -> Array | None:
        """A mask of this shape, or None where the probability is 0."""
        dropped = min(round(self.probability.get(part, 0) * _LEVELS), _LEVELS - 1)
        if not dropped:
            return None
        mask: Array = np.empty(shape, dtype)
        numbers, factor = mask.reshape(-1), mask.dtype.type(_LEVELS / (_LEVELS - dropped))
        for at in range(0, len(numbers), _PIECE):
            piece = numbers[at : at + _PIECE]
            np.multiply(self.rng.integers(0, _LEVELS, len(piece), dtype=np.uint16) >= dropped, factor, out=piece)
        return mask

    def noisy(self, values: Array) -> Array:
        """The values plus normal noise of the standard deviation "noise"."""
        noise = self.probability.get("noise", 0)
        if not noise:
            return values
        noisy: Array = values + noise * self.rng.standard_normal(values.shape, dtype=np.float32)
        return noisy.astype(values.dtype, copy=False)

    def of_rows(self, part: str, shape: tuple[int, ...], dtype: Any) -> Array | None:
        """The mask for an array of this shape (R, D); of an embedding, that of its words too."""
        mask = self.mask(part, shape, dtype)
        words = self.mask("word", (shape[0], 1), dtype) if part == "embedding" else None
        if words is None or mask is None:
            return mask if words is None else words
        return np.multiply(words, mask, out=mask)
