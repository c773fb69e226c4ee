"""LIME for texts (Ribeiro, Singh & Guestrin 2016), as a method to compare with.

The defaults of its authors' package: a sample removes a uniform number of word types, all occurrences at once; its
weight is exp(-d²/25²)^½, with d 100 times the cosine distance to the full text; a ridge regression (penalty 1, with
intercept) on the probability of the predicted class gives each word's score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.explain.attribution.method import Attribution
from gatewise.explain.example import Example
from gatewise.members.ensemble import Ensemble
from gatewise.target import log_probabilities
from gatewise.types import Array


class Lime:
    """An attribution method, for tokens only."""

    name, adds_up = "LIME", False
    rule = None

    def __init__(self, samples: int = 5000, seed: int = 0) -> None:
        self.samples, self.seed = samples, seed

    def note(self, ensemble: Ensemble) -> str:
        return f"The slope of a line through {self.samples} texts with words taken out."

    def base_value_note(self, ensemble: Ensemble) -> str:
        return "its intercept"

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        rng = np.random.default_rng(self.seed)
        return [self._one(example, rng) for example in examples]

    def _one(self, example: Example, rng: np.random.Generator) -> Attribution:
        read = example.read
        types, kind = np.unique(read, return_inverse=True)  # (U,), (T,)
        kept = np.ones((self.samples, len(types)), dtype=bool)
        for row, out in zip(kept[1:], rng.integers(1, len(types) + 1, self.samples - 1), strict=True):
            row[rng.choice(len(types), out, replace=False)] = False
        p = np.exp(log_probabilities(example.ensemble.logits([read[row[kind]] for row in kept])))  # (S, K)
        predicted = int(p[0].argmax())
        x = kept.astype(np.float64)
        share = x.sum(axis=1) / len(types)
        distance = 100 * (1 - np.sqrt(share))  # of a 0/1 row to the row of ones, by cosine
        weight = np.sqrt(np.exp(-(distance**2) / 25**2))
        mean_x, mean_y = np.average(x, axis=0, weights=weight), np.average(p[:, predicted], weights=weight)
        centred = (x - mean_x) * weight[:, None]
        slopes = np.linalg.solve(centred.T @ (x - mean_x) + np.eye(len(types)), centred.T @ (p[:, predicted] - mean_y))
        favoured = predicted == example.score.target  # else positive scores oppose the predicted class
        scores: Array = slopes[kind] * (1 if favoured else -1)
        return Attribution(scores, float(mean_y - mean_x @ slopes))
