"""The attribution of an ensemble: the weighted sum of the attributions of its members.

The method divides the LSTM's part of the score. The other members follow the rule of the method:

    prefix         the change of their logits from prefix to prefix; sums telescope, as the prefix differences do
    shared         their own attribution: the n-grams divide their weight among their words, for example
    left-out       their logits minus their logits without the step; need not add up

These members read the whole sequence. `truncated_part` is their part of the steps that the LSTM does not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gatewise.explain.attribution.method import Attribution, Method, Part
from gatewise.explain.example import Example
from gatewise.members.ensemble import Ensemble
from gatewise.members.member import Member, Rule
from gatewise.types import Array


def attribute(method: Method, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
    """The attribution of each example's target score, all members included; all examples are of one model. An LSTM of
    weight 0 has the part 0, and the method does not run.
    """
    if not examples:
        return []
    rule = method.rule
    if rule is None:
        return method.attribute(examples, channels)
    if examples[0].ensemble.lstm_weight:
        found = method.attribute(examples, channels)
    else:
        found = [Attribution(np.zeros(len(example)), 0.0) for example in examples]
    return [_sum(rule, one, example) for one, example in zip(found, examples, strict=True)]


def member_notes(ensemble: Ensemble, method: Method) -> str:
    """One sentence per member on how the method divides its logits; empty for the LSTM alone."""
    rule = method.rule
    return "" if rule is None else "".join(f" {member.note(rule)}" for member, _ in ensemble.others)


def _sum(rule: Rule, of_lstm: Attribution, example: Example) -> Attribution:
    ensemble, score = example.ensemble, example.score
    scores, base_value = of_lstm.scores, of_lstm.base_value + float(score(ensemble.shift))
    parts = [Part(ensemble.lstm.noun, ensemble.lstm_weight, scores, 0.0)]
    for member, weight in ensemble.others:
        each, rest = _divided(rule, member, example)
        part = Part(member.noun, weight, weight * score(each), weight * float(score(rest)))
        base_value += weight * float(score(member.logits([example.sequence[:0]])[0]))
        scores = scores + part.scores
        parts.append(part)
    return Attribution(scores, base_value, of_lstm.channels, of_lstm.baseline_term, tuple(parts))


def _divided(rule: Rule, member: Member, example: Example) -> tuple[Array, Array]:
    """The part of the steps that the LSTM reads in the member's logits (T, outputs), and of the others (outputs,)."""
    sequence, rows = example.sequence, example.rows
    if rule == "left-out":
        each = member.logits([sequence]) - member.leave_one_out(sequence, rows)
        return each, np.zeros(member.outputs)
    every = np.diff(member.prefix_logits(sequence), axis=0) if rule == "prefix" else member.attribution(sequence)
    return every[rows], np.delete(every, rows, axis=0).sum(axis=0)


class PhraseScore(NamedTuple):
    """A part of a sequence that a member knows by name, such as an n-gram. words: at its first occurrence; step: the
    first of them, from 0, before truncation; times: how often it occurs; score: what it adds to the target score, once.
    """

    words: tuple[str, ...]
    step: int
    times: int
    score: float


def phrase_scores(example: Example) -> tuple[PhraseScore, ...]:
    """The phrases of the sequence that the members know, the largest absolute score first."""
    found = [
        PhraseScore(
            tuple(example.names[t] for t in phrase.steps),
            phrase.steps.start,
            phrase.times,
            weight * float(example.score(phrase.weight)),
        )
        for member, weight in example.ensemble.others
        for phrase in member.phrases(example.sequence)
    ]
    return tuple(sorted(found, key=lambda one: -abs(one.score)))
