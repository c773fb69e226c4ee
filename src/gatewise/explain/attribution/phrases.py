"""What an explanation says of the n-grams beside the network: their part of each word, and the n-grams themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gatewise.explain.attribution import Example
from gatewise.explain.net import ExplainedNetwork
from gatewise.metrics.evaluation import target_score
from gatewise.types import Array

__all__ = ["PhraseShare", "as_dict", "parts_of", "phrases_of"]


class PhraseShare(NamedTuple):
    """One n-gram of a sequence. words: as they stand at its first place; step: of the first of them, from 0, among all
    steps, read by the network or not; times: how often it stands there; score: what it adds to the logit, once.
    """

    words: tuple[str, ...]
    step: int
    times: int
    score: float


def phrases_of(net: ExplainedNetwork, reading: Example, steps: Sequence[str]) -> tuple[PhraseShare, ...]:
    """The n-grams that the sequence holds, the heaviest first, with names for its steps."""
    if net.ngrams is None:
        return ()
    found = [
        PhraseShare(
            tuple(str(steps[t]) for t in phrase.steps),
            phrase.steps.start,
            phrase.times,
            float(target_score(phrase.weight, reading.predicted)),
        )
        for phrase in net.ngrams.phrases(reading.sequence)
    ]
    return tuple(sorted(found, key=lambda one: -abs(one.score)))


def parts_of(scores: Array, ngrams: Array | None, unread: float) -> list[tuple[str, float, str]]:
    """The lines of a sum for scores (T,): all at once, or with n-grams (T,) among them the two parts, and `unread`."""
    if ngrams is None:
        return [("  steps", float(scores.sum()), "summed")]
    lines = [
        ("  steps, by the network", float((scores - ngrams).sum()), "summed"),
        ("  steps, by n-grams", float(ngrams.sum()), "summed"),
    ]
    return [*lines, ("  n-grams elsewhere", unread, "of steps that the network does not read")] if unread else lines


def as_dict(scores: Array, ngrams: Array | None, unread: float, phrases: Sequence[PhraseShare]) -> dict[str, Any]:
    """The same as plain data, for JSON; nothing without n-grams."""
    if ngrams is None:
        return {}
    parts = {"network": np.asarray(scores - ngrams).tolist(), "ngrams": ngrams.tolist()}
    return {"parts": parts, "unread": unread, "phrases": [one._asdict() for one in phrases]}
