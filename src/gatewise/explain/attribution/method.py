"""The attribution of an ensemble, and the interface of an attribution method.

The method divides the LSTM's part of the score. The other members follow the rule of the method:

    prefix         the change of their logits from prefix to prefix; sums telescope, as the prefix differences do
    shared         their own attribution: the n-grams divide their weight among their words, for example
    left-out       their logits minus their logits without the step; need not add up

These members read the whole sequence. `Part.truncated_part` is their part of the steps that the LSTM does not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from gatewise.errors import InputError
from gatewise.explain.example import Example
from gatewise.members.ensemble import Ensemble
from gatewise.members.member import Member, Rule
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


@dataclass(frozen=True)
class Method:
    """An attribution method. name: see `METHODS`. adds_up: whether its residual is rounding only. rule: how the logits
    of the other members are divided, see above.
    """

    name: ClassVar[str]
    adds_up: ClassVar[bool] = False
    rule: ClassVar[Rule]

    def refusal(self, ensemble: Ensemble) -> str:
        """Why the method does not explain the network; "" where it does."""
        return ensemble.network.refusal(self.name)

    def note(self, ensemble: Ensemble) -> str:
        """One sentence that defines the scores; it claims no cause."""
        raise NotImplementedError

    def base_value_note(self, ensemble: Ensemble) -> str:
        """A few words that define the base value."""
        return ensemble.network.start_text

    def attribute(self, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
        """The attribution of the LSTM's part of each example's score, `lstm_score`, for one or more examples, all of
        one model.

        channels: also score the single numbers of a series, where that costs more.
        """
        raise NotImplementedError


def attribute(method: Method, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
    """The attribution of the target score of each of one or more examples of one model, all members included. An LSTM
    of weight 0 has the part 0, and the method does not run. Raises InputError for a method that does not explain the
    network.
    """
    refusal = method.refusal(examples[0].ensemble)
    if refusal:
        raise InputError(refusal)
    if examples[0].ensemble.lstm_weight:
        of_lstm = method.attribute(examples, channels)
    else:
        of_lstm = [Attribution(np.zeros(len(example)), 0.0) for example in examples]
    return [
        _with_others(method.rule, attribution, example) for attribution, example in zip(of_lstm, examples, strict=True)
    ]


def _with_others(rule: Rule, of_lstm: Attribution, example: Example) -> Attribution:
    """The attribution of the LSTM's part, and the parts of the other members."""
    ensemble = example.ensemble
    score = example.score
    scores = of_lstm.scores
    base_value = of_lstm.base_value + float(score(ensemble.shift))
    parts = [Part(ensemble.network.noun, ensemble.lstm_weight, scores, 0.0)]
    for member, weight in ensemble.others:
        if example.step is not None:
            part, base = _of_step(member, weight, example)
            parts.append(part)
            scores = scores + part.scores
            base_value += base
            continue
        sequence = member.part_of(example.sequence)
        of_steps, truncated = _divided(rule, member, sequence, example.rows)
        of_nothing = member.logits([sequence[:0]])[0]
        part = Part(member.noun, weight, weight * score(of_steps), weight * float(score(truncated)))
        parts.append(part)
        scores = scores + part.scores
        base_value += weight * float(score(of_nothing))
    return Attribution(scores, base_value, of_lstm.channels, of_lstm.baseline_term, tuple(parts))


def _of_step(member: Member, weight: float, example: Example) -> tuple[Part, float]:
    """The part of a member in the score of one step, and what it adds to the base value."""
    assert example.step is not None
    sequence = member.part_of(example.sequence[example.rows])
    logits = member.logits([sequence])[example.step]
    of_steps = member.step_attribution(sequence, example.step)
    of_none = logits - of_steps.sum(axis=0)
    part = Part(member.noun, weight, weight * example.score(of_steps), 0.0)
    return part, weight * float(example.score(of_none))


def _divided(rule: Rule, member: Member, sequence: Any, rows: Array) -> tuple[Array, Array]:
    """The logits of a member, divided among the steps `rows` (T, outputs), and the sum of those of all other steps
    (outputs,).
    """
    if rule == "left-out":
        return member.logits([sequence]) - member.leave_one_out(sequence, rows), np.zeros(member.outputs)
    if rule == "prefix":
        of_steps = np.diff(member.prefix_logits(sequence), axis=0)
    else:
        of_steps = member.attribution(sequence)
    is_other = np.ones(len(of_steps), dtype=bool)
    is_other[rows] = False
    return of_steps[rows], of_steps[is_other].sum(axis=0)
