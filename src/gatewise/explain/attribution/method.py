"""What every account has in common: what it is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np

from gatewise.explain.net import ExplainedNetwork, run_all
from gatewise.metrics.evaluation import target_score
from gatewise.network.architecture import Architecture
from gatewise.network.batch import cut
from gatewise.types import Array

__all__ = ["Attribution", "Beside", "Example", "Method", "direction_of", "predict_examples"]

Beside = Literal["running", "shared", "left-out", "within"]


@dataclass(frozen=True, eq=False)
class Example:
    """One sequence with its verdict. sequence (length, ...) as it was given, uncut; rows (T,): those that are read;
    logits (outputs,) float64. explained: the logit to explain, where it is not to be the highest one.
    """

    sequence: Array
    rows: Array
    logits: Array
    explained: int | None = None

    @property
    def read(self) -> Array:
        """The steps that are read (T, ...)."""
        kept: Array = self.sequence[self.rows]
        return kept

    @property
    def predicted(self) -> int:
        """The logit that is explained."""
        return int(self.logits.argmax()) if self.explained is None else self.explained

    @property
    def towards(self) -> int:
        """1 where a higher margin speaks for the verdict, -1 where it speaks against it (one logit below 0)."""
        return 1 if len(self.logits) > 1 or self.logits[0] > 0 else -1


class Attribution(NamedTuple):
    """One verdict, accounted for. scores (T,) float64: each step's share of the margin, from `start`, which stood
    before the first one. channels (T, C): of a series, the share of each number, where the method knows it; idle (T,):
    what a step's score is with every number at 0, where the shares do not make up the whole of it. ngrams (T,): what of
    the scores is the n-grams' part; unread: their part of the steps that the network cuts away.
    """

    scores: Array
    start: float
    channels: Array | None = None
    idle: Array | None = None
    ngrams: Array | None = None
    unread: float = 0.0

    def residual(self, reading: Example) -> float:
        """What the account leaves out of the verdict: margin - start - Σ scores - unread."""
        whole = float(target_score(reading.logits, reading.predicted))
        return whole - self.start - float(self.scores.sum()) - self.unread


class Method(Protocol):
    """A way of accounting for verdicts. adds_up: whether its residual is but rounding, or else a measure of it.

    beside: how the n-grams beside the network are accounted for in its manner: as they are read ("running"), shared
    among their words ("shared"), by leaving out words ("left-out"), or in its own scores already ("within").
    """

    @property
    def adds_up(self) -> bool: ...
    @property
    def beside(self) -> Beside: ...

    def note(self, net: ExplainedNetwork) -> str:
        """One sentence that says what the scores are; it claims no cause."""
        ...

    def start_note(self, net: ExplainedNetwork) -> str:
        """A few words for what stands before the first step."""
        ...

    def accounts(self, net: ExplainedNetwork, readings: Sequence[Example], channels: bool = False) -> list[Attribution]:
        """One account a reading, in float64. `channels`: also those of a series' single numbers, if that costs more."""
        ...


def predict_examples(net: ExplainedNetwork, sequences: Sequence[Array]) -> list[Example]:
    """Each sequence (length, ...) with its verdict, in as few runs as fit."""
    logits = run_all(net, sequences)
    return [
        Example(np.asarray(sequence), cut(np.arange(len(sequence)), net.arch), logits[n])
        for n, sequence in enumerate(sequences)
    ]


def direction_of(arch: Architecture, predicted: int) -> Array:
    """The margin as a function of the logits (outputs,): margin = direction · logits."""
    direction: Array = target_score(np.eye(arch.outputs), predicted)
    return direction
