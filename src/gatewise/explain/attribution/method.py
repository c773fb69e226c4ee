"""The interface of an attribution method: what it is given and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gatewise.explain.example import Example
from gatewise.members.ensemble import Ensemble
from gatewise.members.member import Rule
from gatewise.types import Array


class Part(NamedTuple):
    """One member's part of an attribution: its noun and weight, its part of the scores (T,), and its part of the steps
    that the LSTM does not read. All parts are weighted.
    """

    name: str
    weight: float
    scores: Array
    truncated_part: float


@dataclass(frozen=True, eq=False)
class Attribution:
    """The target score of one example as a sum over its steps.

    scores (T,) float64: each step's part. base_value: the target score before the first step, as the method defines it.
    channels (T, C): for series, the score of each number, where the method has it; baseline_term (T,): the part of a
    step's score that remains with every channel at 0. parts: those of the members, which add up to the scores.
    """

    scores: Array
    base_value: float
    channels: Array | None = None
    baseline_term: Array | None = None
    parts: tuple[Part, ...] = ()

    @property
    def truncated_part(self) -> float:
        """The part of the steps that the LSTM does not read."""
        return sum(part.truncated_part for part in self.parts)

    def residual(self, example: Example) -> float:
        """What the sum leaves out: target score - base value - Σ scores - truncated part."""
        return example.target_score - self.base_value - float(self.scores.sum()) - self.truncated_part


class Method(Protocol):
    """An attribution method. adds_up: whether its residual is rounding only.

    rule: how the logits of the other members are divided, see `gatewise.explain.attribution.members`; None: the method
    explains the model as a whole, and its scores are those of all members.
    """

    @property
    def adds_up(self) -> bool: ...
    @property
    def rule(self) -> Rule | None: ...

    def note(self, ensemble: Ensemble) -> str:
        """One sentence that defines the scores; it claims no cause."""
        ...

    def base_value_note(self, ensemble: Ensemble) -> str:
        """A few words that define the base value."""
        ...

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        """The attribution of the LSTM's part of each example's score, `lstm_score`; all examples are of one model.

        channels: also score the single numbers of a series, where that costs more.
        """
        ...
