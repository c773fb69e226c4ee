"""`StreamTable`: the streams of all connections to a model, whose messages are computed as one batch.

The event loop reads all connections that have sent something, and then runs what they sent: one step of the network for
all of them. A batch takes at most `MOST_PRODUCTS` multiplications and `MOST_STEPS` steps, in the order of arrival, and
one message of each connection. Between two batches, the loop reads and answers other connections.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.model import Streams

MOST_PRODUCTS = 20_000_000  # multiplications: half a millisecond
MOST_STEPS = 512  # of all streams, which need some microseconds each besides

Rows = NDArray[np.intp]
"""The places of streams in a table."""

Prediction = dict[str, Any]
"""Of a stream, as JSON."""


class StreamStep(Protocol):
    """A message that brings the next steps of some streams."""

    @property
    def rows(self) -> Rows:
        """Of these streams."""

    @property
    def items(self) -> Sequence[Any]:
        """What each of them reads, as JSON."""

    @property
    def steps(self) -> int:
        """About how many steps all of them are."""

    @property
    def is_dropped(self) -> bool:
        """Whether the connection has ended, whose rows may be those of another one."""

    def answer(self, predictions: list[Prediction]) -> None:
        """Send the predictions, one for each row."""

    def answer_alone(self) -> None:
        """Compute and answer the message by itself."""

    def fail(self, error: Exception) -> None:
        """End the connection with an error."""

    def wait(self) -> None:
        """The message waits for a later batch."""


class StreamTable:
    """streams: none, of the model. predict: the predictions of streams after the next item of each.
    products_per_step: multiplications of a step.
    """

    def __init__(
        self, streams: Streams, predict: Callable[[Streams, Sequence[Any]], list[Prediction]], products_per_step: int
    ) -> None:
        self._predict = predict
        self._products_per_step = products_per_step
        self._none = streams
        self._streams = streams.copy()
        self._free: list[int] = []
        self._waiting: deque[StreamStep] = deque()

    def add(self, streams: Streams) -> Rows:
        """Add streams. Returns their rows."""
        missing = len(streams) - len(self._free)
        if missing > 0:
            # Twice as many as before, so that each stream is copied a few times at most.
            first = len(self._streams)
            self._streams.add(max(missing, first))
            self._free.extend(range(first, len(self._streams)))
        first_free = len(self._free) - len(streams)
        rows = np.array(self._free[first_free:], np.intp)
        del self._free[first_free:]
        self._streams.put(rows, streams)
        return rows

    def take(self, rows: Rows) -> Streams:
        """The streams of these rows, which continue by themselves."""
        return self._streams.take(rows)

    def put(self, rows: Rows, streams: Streams) -> Rows:
        """Replace the streams of these rows by others, which may be more or fewer. Returns their rows."""
        if len(rows) == len(streams):
            self._streams.put(rows, streams)
            return rows
        self.remove(rows)
        return self.add(streams)

    def remove(self, rows: Rows) -> None:
        """Remove the streams of these rows."""
        self._free.extend(rows.tolist())
        if len(self._free) == len(self._streams):  # their memory is free, too
            self._streams = self._none.copy()
            self._free = []
            return
        # A stream that is not used keeps no steps of a gap.
        unused = self._none.copy()
        unused.add(len(rows))
        self._streams.put(rows, unused)

    def kept_steps(self, rows: Rows) -> int:
        """How many steps these streams keep since missing values."""
        kept = self._streams.kept_steps_by_stream
        if not kept:
            return 0
        return sum(kept.get(row, 0) for row in rows.tolist())

    def is_short(self, steps: int, others: int = 0) -> bool:
        """Whether so many steps are computed between two looks at the connections. others: streams that are only
        copied.
        """
        return steps * self._products_per_step <= MOST_PRODUCTS and steps + others <= MOST_STEPS

    def join(self, message: StreamStep) -> None:
        """Compute a short message with those of other connections that the loop reads in this round."""
        self._waiting.append(message)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """Answer the messages that fit a batch."""
        batch: list[StreamStep] = []
        steps = 0
        while self._waiting:
            message = self._waiting[0]
            if batch and not self.is_short(steps + message.steps):
                break
            self._waiting.popleft()
            if not message.is_dropped:
                batch.append(message)
                steps += message.steps
        for message in self._waiting:
            message.wait()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._run)
        if batch:
            self._answer(batch)

    def _answer(self, batch: Sequence[StreamStep]) -> None:
        rows = np.concatenate([message.rows for message in batch])
        items = [item for message in batch for item in message.items]
        streams = self.take(rows)
        try:
            predictions = self._predict(streams, items)
        except InputError:  # of one of them
            for message in batch:
                message.answer_alone()
            return
        except Exception as error:
            for message in batch:
                message.fail(error)
            return
        self._streams.put(rows, streams)
        first = 0
        for message in batch:
            last = first + len(message.rows)
            message.answer(predictions[first:last])
            first = last
