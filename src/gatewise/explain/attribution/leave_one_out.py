"""Leave one out: what the network says of the sequence without that step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gatewise.explain.attribution.method import Attribution, Beside, Example
from gatewise.explain.net import ExplainedNetwork, run_all
from gatewise.metrics.evaluation import target_score
from gatewise.types import Array

__all__ = ["LeaveOneOut"]


class LeaveOneOut:
    """score_t = margin - margin of the sequence without step t, its pads and its cut made anew (Li, Monroe & Jurafsky
    2016 call it erasure). start: the margin of no step at all. Nothing makes such scores add up; the residual is what
    the steps do together. Of a series' channels: the number put to 0, which is the mean of the training data.
    """

    adds_up = False
    beside: Beside = "left-out"

    def note(self, net: ExplainedNetwork) -> str:
        return (
            f"How far the logit falls when this {net.token_noun} alone is left out and the rest "
            f"is predicted anew; such "
            "scores need not add up, and they are an account of single edits, not a cause."
        )

    def start_note(self, net: ExplainedNetwork) -> str:
        return f"the verdict on no {net.token_noun} at all"

    def accounts(self, net: ExplainedNetwork, readings: Sequence[Example], channels: bool = False) -> list[Attribution]:
        nothing = run_all(net, [reading.sequence[:0] for reading in readings[:1]])
        without = run_all(net, _edited(readings))  # (all steps of all readings, outputs)
        found, first = [], 0
        for reading in readings:
            whole, rest = target_score(reading.logits, reading.predicted), without[first : first + len(reading.rows)]
            first += len(reading.rows)
            scores = np.asarray(whole - target_score(rest, reading.predicted))
            by_channel = _by_channel(net, reading) if channels and net.arch.inputs == "channels" else None
            found.append(Attribution(scores, float(target_score(nothing[0], reading.predicted)), by_channel))
        return found


def _edited(readings: Sequence[Example]) -> Iterator[Array]:
    for reading in readings:
        for row in reading.rows:
            yield np.delete(reading.sequence, row, axis=0)


def _by_channel(net: ExplainedNetwork, reading: Example) -> Array:
    """(T, C): how far the margin falls when one number is put to 0."""

    def blanked() -> Iterator[Array]:
        for row in reading.rows:
            for channel in range(reading.sequence.shape[1]):
                edited = reading.sequence.copy()
                edited[row, channel] = 0
                yield edited

    rest = target_score(run_all(net, blanked()), reading.predicted)
    return np.asarray((target_score(reading.logits, reading.predicted) - rest).reshape(len(reading.rows), -1))
