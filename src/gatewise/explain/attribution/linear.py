"""The linear model's part of an attribution. Its logits are added to the network's, so its scores are added too.

    prefix         the change of its logits from prefix to prefix; sums telescope, as the prefix differences do. For
                   text without a norm it is an n-gram's weight at the word that completes it
    shared         a feature's part in equal parts to its steps: for text an n-gram's weight to its occurrences and to
                   the words of each
    left-out       its logits minus its logits without the step; need not add up

The linear model reads the whole sequence. `truncated_part` is its part of the steps that the network does not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gatewise.explain.attribution.method import Attribution, LinearRule, Method
from gatewise.explain.example import Example
from gatewise.members.member import LinearModel
from gatewise.members.net import ExplainedNetwork
from gatewise.members.ngrams import Ngrams


def attribute(method: Method, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
    """The attribution of each example's target score, linear model included; all examples are of one network."""
    found = method.attribute(examples, channels)
    if not examples or examples[0].net.linear is None or method.linear_rule == "included":
        return found
    linear, rule = examples[0].net.linear, method.linear_rule
    return [_with_linear(linear, rule, one, example) for one, example in zip(found, examples, strict=True)]


def linear_note(net: ExplainedNetwork, method: Method) -> str:
    """One sentence on how the method scores the features of the linear model; empty without one."""
    if net.linear is None:
        return ""
    if isinstance(net.linear, Ngrams):
        return (_NGRAM_NOTES if net.linear.scale is None else _SCALED_NGRAM_NOTES)[method.linear_rule]
    return _CONVOLUTION_NOTES[method.linear_rule]


_NGRAM_NOTES: dict[LinearRule, str] = {
    "prefix": " The weight of each n-gram is added, once, at the word that completes it.",
    "shared": " The weight of each n-gram is added in equal parts to its words.",
    "left-out": " The n-grams of the edited text are counted again.",
    "included": "",
}
_SCALED_NGRAM_NOTES: dict[LinearRule, str] = {
    **_NGRAM_NOTES,
    "prefix": " The n-grams are added as the change of their logits when the word is read.",
    "shared": " The part of each n-gram is added in equal parts to its words.",
}
_CONVOLUTION_NOTES: dict[LinearRule, str] = {
    "prefix": " The convolutions are added as the change of their logits when the step is read.",
    "shared": " The convolutions are added in equal parts to the steps at which they are above their threshold.",
    "left-out": " The convolutions of the edited series are computed again.",
    "included": "",
}


def _with_linear(linear: LinearModel, rule: LinearRule, found: Attribution, example: Example) -> Attribution:
    sequence, rows, truncated_part = example.sequence, example.rows, 0.0
    if rule == "left-out":
        parts = linear.logits([sequence]) - linear.leave_one_out(sequence, rows)  # (T, outputs)
    else:
        prefix = rule == "prefix"
        every = np.diff(linear.prefix_logits(sequence), axis=0, prepend=0) if prefix else linear.attribution(sequence)
        parts = every[rows]
        truncated_part = float(example.score(np.delete(every, rows, axis=0)).sum())
    scores = example.score(parts)
    return replace(found, scores=found.scores + scores, linear_scores=scores, truncated_part=truncated_part)


class NgramScore(NamedTuple):
    """One n-gram of a sequence. words: at its first occurrence; step: the first of them, from 0, before truncation;
    times: how often it occurs; score: what it adds to the target score, once.
    """

    words: tuple[str, ...]
    step: int
    times: int
    score: float


def ngrams_in(example: Example) -> tuple[NgramScore, ...]:
    """The n-grams of the sequence that the model knows, the largest absolute score first; empty without n-grams."""
    ngrams = example.net.linear
    if not isinstance(ngrams, Ngrams):
        return ()
    found = [
        NgramScore(
            tuple(example.names[t] for t in phrase.steps),
            phrase.steps.start,
            phrase.times,
            float(example.score(phrase.weight)),
        )
        for phrase in ngrams.phrases(example.sequence)
    ]
    return tuple(sorted(found, key=lambda one: -abs(one.score)))
