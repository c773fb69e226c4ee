"""Random scores: the baseline that every attribution method must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatewise.explain import Example, ExplainedNetwork
from gatewise.explain.attribution import Attribution, LinearRule


class RandomScores:
    """An attribution method that draws each score from a standard normal distribution."""

    adds_up = False
    linear_rule: LinearRule = "included"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def note(self, net: ExplainedNetwork) -> str:
        return f"The {net.token_noun}s in random order."

    def base_value_note(self, net: ExplainedNetwork) -> str:
        return "0"

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        rng = np.random.default_rng(self.seed)
        return [Attribution(rng.standard_normal(len(example.rows)), 0.0) for example in examples]
