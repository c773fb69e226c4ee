"""Leave one out: what the network says of the sequence without that step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gatewise.explain.attribution.method import Account, Beside, Reading
from gatewise.explain.net import Net, run_all
from gatewise.metrics.evaluation import margin
from gatewise.types import Array

__all__ = ["LeaveOneOut"]


class LeaveOneOut:
    """score_t = margin - margin of the sequence without step t, its pads and its cut made anew (Li, Monroe & Jurafsky
    2016 call it erasure). start: the margin of no step at all. Nothing makes such scores add up; the residual is what
    the steps do together. Of a series' channels: the number put to 0, which is the mean of the training data.
    """

    adds_up = False
    beside: Beside = "left-out"

    def note(self, net: Net) -> str:
        return (
            f"How far the logit falls when this {net.thing} alone is left out and the rest is predicted anew; such "
            "scores need not add up, and they are an account of single edits, not a cause."
        )

    def start_note(self, net: Net) -> str:
        return f"the verdict on no {net.thing} at all"

    def accounts(self, net: Net, readings: Sequence[Reading], channels: bool = False) -> list[Account]:
        nothing = run_all(net, [reading.sequence[:0] for reading in readings[:1]])
        without = run_all(net, _edited(readings))  # (all steps of all readings, outputs)
        found, first = [], 0
        for reading in readings:
            whole, rest = margin(reading.logits, reading.predicted), without[first : first + len(reading.rows)]
            first += len(reading.rows)
            scores = np.asarray(whole - margin(rest, reading.predicted))
            by_channel = _by_channel(net, reading) if channels and net.arch.inputs == "channels" else None
            found.append(Account(scores, float(margin(nothing[0], reading.predicted)), by_channel))
        return found


def _edited(readings: Sequence[Reading]) -> Iterator[Array]:
    for reading in readings:
        for row in reading.rows:
            yield np.delete(reading.sequence, row, axis=0)


def _by_channel(net: Net, reading: Reading) -> Array:
    """(T, C): how far the margin falls when one number is put to 0."""

    def blanked() -> Iterator[Array]:
        for row in reading.rows:
            for channel in range(reading.sequence.shape[1]):
                edited = reading.sequence.copy()
                edited[row, channel] = 0
                yield edited

    rest = margin(run_all(net, blanked()), reading.predicted)
    return np.asarray((margin(reading.logits, reading.predicted) - rest).reshape(len(reading.rows), -1))
