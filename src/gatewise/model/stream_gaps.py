"""`StreamGaps`: the missing values of n streams of series, whose number depends on values that come later.

A prediction interpolates a missing value between its neighbours (`SeriesPreprocessor`), and takes the nearest value at
an edge. So what a missing value is changes when the next value of its channel arrives. A stream keeps the state of the
network before such a gap and the steps since, and reads these again when a value arrives that changes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.members.running_network import RunningNetwork
from gatewise.ragged import starts_of
from gatewise.types import Array, Lengths

MOST_OPEN = 4096  # steps of a gap, all of which a stream keeps

StepRows = Callable[[Array, NDArray[np.bool_], Lengths, Lengths], Array]
"""`SeriesPreprocessor.step_rows`."""


@dataclass(frozen=True, eq=False)
class Gap:
    """Of one stream. rows (k, C) float32, standardised: the steps since the gap began, with NaN. filled: without.
    state: of the network before them.
    """

    rows: Array
    filled: Array
    state: RunningNetwork


# Not frozen: `write` changes the arrays in place, so that a push to few of many streams copies nothing.
@dataclass(eq=False)
class StreamGaps:
    """values (n, C) float32: the last known value of each channel before the next step, or before the gap of a stream
    that has one; NaN where there was none. ago (n, C): how many steps before it was. open: the gaps by the number of
    the stream.
    """

    values: Array
    ago: NDArray[np.int64]
    open: dict[int, Gap] = field(default_factory=dict)

    @classmethod
    def none(cls, count: int, channels: int) -> StreamGaps:
        """Of streams without a step."""
        values = np.full((count, channels), np.nan, np.float32)
        return cls(values, np.ones((count, channels), np.int64))

    def take(self, numbers: NDArray[np.intp]) -> StreamGaps:
        """Of the streams of these numbers, in this order."""
        taken = {}
        if self.open:
            taken = {new: self.open[old] for new, old in enumerate(numbers.tolist()) if old in self.open}
        return StreamGaps(self.values[numbers], self.ago[numbers], taken)

    def joined(self, others: StreamGaps) -> StreamGaps:
        """Of these streams, then the others."""
        later = {len(self.values) + number: gap for number, gap in others.open.items()}
        values = np.concatenate([self.values, others.values])
        return StreamGaps(values, np.concatenate([self.ago, others.ago]), self.open | later)

    def write(self, numbers: NDArray[np.intp], others: StreamGaps) -> None:
        """Replace those of the streams of these numbers by others, in place."""
        self.values[numbers] = others.values
        self.ago[numbers] = others.ago
        if self.open:
            for number in numbers.tolist():
                self.open.pop(number, None)
        for number, gap in others.open.items():
            self.open[int(numbers[number])] = gap

    def read(self, running: RunningNetwork, rows: Array, lengths: Lengths, step_rows: StepRows) -> StreamGaps:
        """Read the next steps, standardised rows (N, C) with NaN, of each stream, and return its gaps after them.
        Raises InputError for a gap of more than MOST_OPEN steps.
        """
        missing = np.isnan(rows)
        if self.open or np.count_nonzero(missing):
            return self._read_gaps(running, rows, lengths, step_rows)
        running.read(step_rows(rows, missing, running.steps, lengths), lengths)
        count = len(rows)
        if not count:
            return self
        if count == len(lengths) == np.count_nonzero(lengths):  # one step each
            return StreamGaps(rows, self.ago)
        last = rows[np.maximum(np.cumsum(lengths) - 1, 0)]
        return StreamGaps(np.where((lengths > 0)[:, None], last, self.values), self.ago)

    def _read_gaps(self, running: RunningNetwork, rows: Array, lengths: Lengths, step_rows: StepRows) -> StreamGaps:
        values = self.values.copy()
        ago = self.ago.copy()
        gaps = dict(self.open)
        starts = starts_of(lengths)
        to_read: list[tuple[Array, Array]] = []  # of each stream, filled and with NaN
        rewound: dict[int, RunningNetwork] = {}  # the states from which streams read steps again
        for number, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
            new = rows[start : start + length]
            is_complete = number not in gaps and not np.isnan(new).any()
            if is_complete or not length:
                to_read.append((new, new))
                if length:
                    values[number] = new[-1]
                continue
            gap = gaps.pop(number, None) or Gap(new[:0], new[:0], running.take(np.array([number])))
            begun = len(gap.rows)
            every = np.concatenate([gap.rows, new])
            filled = filled_rows(every, values[number], ago[number])
            known = _known_steps(every)
            is_changed = not np.array_equal(filled[:begun], gap.filled)
            if len(every) - known > MOST_OPEN:
                channel = int(np.isnan(every[known]).argmax())
                raise InputError(
                    f"channel {channel + 1} has been missing for more than {MOST_OPEN:,} steps, all of which a stream "
                    "keeps until the next value: give a number"
                )
            state = gap.state
            if known and (known < len(every) or is_changed):
                state = state.copy()
                count = np.array([known])
                state.read(step_rows(filled[:known], np.isnan(every[:known]), state.steps, count), count)
            if known < len(every):
                gaps[number] = Gap(every[known:], filled[known:], state)
            values[number], ago[number] = _last_values(every[:known], values[number], ago[number])
            first = begun
            if is_changed:
                rewound[number] = state
                first = known
            to_read.append((filled[first:], every[first:]))
        if rewound:
            first_state, *others = rewound.values()
            running.put(np.array(list(rewound)), first_state.joined(*others))
        counts = np.array([len(filled) for filled, _ in to_read], np.intp)
        all_filled = np.concatenate([filled for filled, _ in to_read])
        all_missing = np.isnan(np.concatenate([every for _, every in to_read]))
        running.read(step_rows(all_filled, all_missing, running.steps, counts), counts)
        return StreamGaps(values, ago, gaps)


def filled_rows(rows: Array, values: Array, ago: Array) -> Array:
    """The rows (k, C) with missing values interpolated, as `SeriesPreprocessor` does in the whole series. values, ago
    (C,): the last values before them.
    """
    filled = rows.copy()
    missing = np.isnan(rows)
    for channel in np.flatnonzero(missing.any(axis=0)).tolist():
        gap = missing[:, channel]
        places = np.flatnonzero(~gap)
        known = rows[places, channel]
        if not np.isnan(values[channel]):
            places = np.append(-ago[channel], places)
            known = np.append(values[channel], known)
        # The mean of the training data, which is 0 here, stands for a channel without any value.
        filled[gap, channel] = 0
        if len(places):
            filled[gap, channel] = np.interp(np.flatnonzero(gap), places, known)
    return filled


def _known_steps(rows: Array) -> int:
    """How many of the first rows (k, C) no later value changes: each channel has a value in them or after them."""
    count = len(rows)
    for channel in range(rows.shape[1]):
        known = np.flatnonzero(~np.isnan(rows[:, channel]))
        if not len(known):
            return 0
        count = min(count, int(known[-1]) + 1)
    return count


def _last_values(rows: Array, values: Array, ago: Array) -> tuple[Array, Array]:
    """The last known values (C,) before the step that follows rows (k, C), and how many steps before it they were."""
    values = values.copy()
    ago = ago + len(rows)
    for channel in range(rows.shape[1]):
        known = np.flatnonzero(~np.isnan(rows[:, channel]))
        if len(known):
            values[channel] = rows[known[-1], channel]
            ago[channel] = len(rows) - known[-1]
    return values, ago
