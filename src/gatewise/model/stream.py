"""`Stream`: one text or series that arrives step by step, with the prediction so far after each step."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np

from gatewise.errors import InputError
from gatewise.model.streams import StreamPrediction, Streams


class Stream:
    """Made by `Model.stream`. A step takes the same time and memory however many came before it: `Streams` of one."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    @property
    def steps(self) -> int:
        """How many steps it has read."""
        return int(self._streams.steps[0])

    def push(self, item: Any) -> StreamPrediction:
        """The prediction after one more item: a word or another part of a text, or one step (C,) of a series, a number
        where C is 1, or several steps (steps, C). NaN is a missing value, as in a prediction. A part of several tokens
        is several steps; what the model leaves out, such as a masked step, is none.

        Raises InputError, and reads nothing, for an item that is not valid, more steps than the network reads, and
        where there is no step at all yet.
        """
        items: Any = [item]
        if type(item) is np.ndarray:
            items = item[None]  # an array is read faster
        return self._streams.push(items)[0]

    def copy(self) -> Self:
        """Another stream in the same state, which continues by itself. It shares the weights."""
        other = copy.copy(self)
        other._streams = self._streams.copy()
        return other

    @property
    def state(self) -> bytes:
        """As `Streams.state`, of one stream."""
        return self._streams.state

    @state.setter
    def state(self, state: bytes) -> None:
        streams = self._streams.copy()
        streams.state = state
        if len(streams) != 1:
            raise InputError(f"state: it is that of {len(streams):,} streams, and Model.streams continues from it")
        self._streams = streams
