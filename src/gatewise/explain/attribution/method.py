"""The interface of an attribution method: what it is given and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gatewise.explain.example import Example
from gatewise.members.net import ExplainedNetwork
from gatewise.types import Array

LinearRule = Literal["prefix", "shared", "left-out", "included"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """The target score of one example as a sum over its steps.

    scores (T,) float64: each step's part. base_value: the target score before the first step, as the method defines it.
    channels (T, C): for series, the score of each number, where the method has it; baseline_term (T,): the part of a
    step's score that remains with every channel at 0. linear_scores (T,): the linear model's part of the scores;
    truncated_part: its part of the steps that the network does not read.
    """

    scores: Array
    base_value: float
    channels: Array | None = None
    baseline_term: Array | None = None
    linear_scores: Array | None = None
    truncated_part: float = 0.0

    def residual(self, example: Example) -> float:
        """What the sum leaves out: target score - base value - Σ scores - truncated part."""
        return example.target_score - self.base_value - float(self.scores.sum()) - self.truncated_part


class Method(Protocol):
    """An attribution method. adds_up: whether its residual is rounding only.

    linear_rule: how the linear model's part is attributed: by the prefixes, for text at the step that completes an
    n-gram ("prefix"), in equal parts to the steps of a feature ("shared"), by leaving out steps ("left-out"), or in the
    method's own scores ("included").
    """

    @property
    def adds_up(self) -> bool: ...
    @property
    def linear_rule(self) -> LinearRule: ...

    def note(self, net: ExplainedNetwork) -> str:
        """One sentence that defines the scores; it claims no cause."""
        ...

    def base_value_note(self, net: ExplainedNetwork) -> str:
        """A few words that define the base value."""
        ...

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        """The attribution of each example's `network_score`; all examples are of one network.

        channels: also score the single numbers of a series, where that costs more.
        """
        ...
