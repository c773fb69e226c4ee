"""The n-grams' part of an attribution. The n-gram model is added to the network's logits, so its scores are added too.

    prefix         an n-gram's weight at the word that completes it; sums telescope, as the prefix differences do
    shared         an n-gram's weight in equal parts to its occurrences and to the words of each
    left-out       the n-grams' logit minus their logit without the word; need not add up

The n-grams read the whole text. `truncated_part` is their part of the words that the network does not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gatewise.explain.attribution.method import Attribution, Method, NgramRule
from gatewise.explain.example import Example
from gatewise.explain.net import ExplainedNetwork
from gatewise.metrics import target_score
from gatewise.network.ngrams import Ngrams


def attribute(method: Method, examples: Sequence[Example], channels: bool = False) -> list[Attribution]:
    """The attribution of each example's target score, n-grams included; all examples are of one network."""
    found = method.attribute(examples, channels)
    if not examples or examples[0].net.ngrams is None or method.ngram_rule == "included":
        return found
    ngrams, rule = examples[0].net.ngrams, method.ngram_rule
    return [_with_ngrams(ngrams, rule, one, example) for one, example in zip(found, examples, strict=True)]


def ngram_note(net: ExplainedNetwork, method: Method) -> str:
    """One sentence on how the method scores n-grams; empty without n-grams."""
    return "" if net.ngrams is None else _NOTES[method.ngram_rule].format(token_noun=net.token_noun)


_NOTES: dict[NgramRule, str] = {
    "prefix": " The weight of each n-gram is added, once, at the {token_noun} that completes it.",
    "shared": " The weight of each n-gram is added in equal parts to its {token_noun}s.",
    "left-out": " The n-grams of the edited text are counted again.",
    "included": "",
}


def _with_ngrams(ngrams: Ngrams, rule: NgramRule, found: Attribution, example: Example) -> Attribution:
    sequence, rows, truncated_part = example.sequence, example.rows, 0.0
    if rule == "left-out":
        parts = ngrams.logits([sequence]) - ngrams.leave_one_out(sequence, rows)  # (T, outputs)
    else:
        prefix = rule == "prefix"
        every = np.diff(ngrams.prefix_logits(sequence), axis=0, prepend=0) if prefix else ngrams.attribution(sequence)
        parts = every[rows]
        truncated_part = float(target_score(np.delete(every, rows, axis=0), example.predicted).sum())
    scores = np.asarray(target_score(parts, example.predicted))
    return replace(found, scores=found.scores + scores, ngram_scores=scores, truncated_part=truncated_part)


class NgramScore(NamedTuple):
    """One n-gram of a sequence. words: at its first occurrence; step: the first of them, from 0, before truncation;
    times: how often it occurs; score: what it adds to the target score, once.
    """

    words: tuple[str, ...]
    step: int
    times: int
    score: float


def ngrams_in(example: Example) -> tuple[NgramScore, ...]:
    """The n-grams of the sequence that the model knows, the largest absolute score first."""
    if example.net.ngrams is None:
        return ()
    found = [
        NgramScore(
            tuple(example.names[t] for t in phrase.steps),
            phrase.steps.start,
            phrase.times,
            float(target_score(phrase.weight, example.predicted)),
        )
        for phrase in example.net.ngrams.phrases(example.sequence)
    ]
    return tuple(sorted(found, key=lambda one: -abs(one.score)))
