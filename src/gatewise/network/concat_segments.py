"""`Segment`: inputs of a Concat, which may be as many as there are steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gatewise.errors import InputError
from gatewise.network.graph import Node
from gatewise.network.repetition import Input, Place, StepOutput


@dataclass
class Segment:
    """Inputs of a Concat: a single one, or the values of steps that follow each other. places: of the first one, by the
    graph. counts: how many there are, by the graph; None for a single one.
    """

    places: dict[int, Place]
    counts: dict[int, int] | None = None
    slope: int = 1

    @property
    def first(self) -> StepOutput:
        """The first step, in the longest graph."""
        place = self.places[max(self.places)]
        assert isinstance(place, StepOutput)
        return place


def segments_of(lists: Sequence[Sequence[Place]], node: Node) -> list[Segment]:
    """The inputs of a Concat, by the graph."""
    segments: list[Segment] = []
    at = [0] * len(lists)
    longest = lists[-1]
    while at[-1] < len(longest):
        slope = 1
        if _moved(longest[at[-1]], -1) in longest[at[-1] + 1 : at[-1] + 2]:
            slope = -1
        count = _length(longest, at[-1], slope)
        segment = Segment({}, None if count == 1 else {}, slope)
        for graph, places in enumerate(lists):
            if count == 1:
                number = 1
            else:
                number = _length(places, at[graph], slope, like=longest[at[-1]])
            if number and at[graph] < len(places):
                segment.places[graph] = places[at[graph]]
            if segment.counts is not None:
                segment.counts[graph] = number
        for graph in range(len(lists) - 1):
            at[graph] += segment.counts[graph] if segment.counts is not None else 1
        at[-1] += count
        segments.append(segment)
    for graph, places in enumerate(lists):
        if at[graph] != len(places):
            raise InputError(f"{node.shown} has {len(places)} inputs where {at[graph]} were expected")
    return segments


def _moved(place: Place, steps: int) -> Place:
    return place._replace(step=place.step + steps) if isinstance(place, StepOutput) else Input("")


def _moved_to_start(place: Place) -> Place:
    return place._replace(step=0) if isinstance(place, StepOutput) else None


def _length(places: Sequence[Place], start: int, slope: int, like: Place = None) -> int:
    """How many values of steps follow each other from a place on; 1 for a value of no loop, 0 for one that is not that
    of a step `like` another one.
    """
    if start >= len(places):
        return 0
    first = places[start]
    if isinstance(like, StepOutput) and _moved_to_start(first) != _moved_to_start(like):
        return 0
    count = 1
    while start + count < len(places) and places[start + count] == _moved(first, slope * count):
        count += 1
    return count
