"""Random scores: the baseline that every attribution method must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.explain import Example
from gatewise.explain.attribution.method import Attribution
from gatewise.members.ensemble import Ensemble


class RandomScores:
    """An attribution method that draws each score from a standard normal distribution."""

    name, adds_up = "random", False
    rule = None

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def note(self, ensemble: Ensemble) -> str:
        return f"The {ensemble.token_noun}s in random order."

    def base_value_note(self, ensemble: Ensemble) -> str:
        return "0"

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        rng = np.random.default_rng(self.seed)
        return [Attribution(rng.standard_normal(len(example.rows)), 0.0) for example in examples]
