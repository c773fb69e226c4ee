"""`GraphFeeds`: the arrays that a graph takes for sequences, in batches of equal shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError, printable, quote
from gatewise.members.encoded_batch import Encoded, EncodedBatch
from gatewise.members.encoded_sequence import EncodedSequence
from gatewise.members.graph_form import MAX_ROWS, GraphForm
from gatewise.members.graph_memory import numbers_in_memory
from gatewise.members.graph_steps import placed
from gatewise.network.input_ids import OutsideId
from gatewise.network.size import symbols_of
from gatewise.types import Array

_MAX_NUMBERS = 1 << 24  # of the values of a batch that are in memory at a time
_MAX_ROW_NUMBERS = 1 << 28  # of those of one sequence: 1 GiB


@dataclass(frozen=True, eq=False)
class GraphFeeds:
    """Of a graph. No sequence is empty."""

    form: GraphForm

    def of(self, sequences: Sequence[EncodedSequence]) -> dict[str, Array]:
        """The inputs by name for sequences of equal shapes. A batch that needs more repeats the last one. Raises
        InputError for numbers that are not whole where an input takes these.
        """
        rows = list(sequences)
        rows += [rows[-1]] * (self.form.fewest_rows - len(rows))
        feeds = self._main(np.stack([np.asarray(row.steps) for row in rows]))
        for name in self.form.further:
            feeds[name] = self._typed(name, self._further(name, rows))
        return feeds

    def of_batch(self, batch: EncodedBatch, numbers: NDArray[np.intp]) -> dict[str, Array]:
        """As `of`, for the sequences of a batch with these numbers, which have the same length."""
        padding = max(0, self.form.fewest_rows - len(numbers))
        numbers = np.append(numbers, np.repeat(numbers[-1:], padding))
        steps = batch.steps.values[batch.steps.steps_of(numbers)]  # (B T,) or (B T, C)
        length = len(steps) // len(numbers)
        feeds = self._main(steps.reshape(len(numbers), length, *steps.shape[1:]))
        if self.form.lengths_name:
            name = self.form.lengths_name
            axes = self.form.axes.of_inputs[name]
            feeds[name] = self._typed(name, placed(np.full((len(numbers), 1), length), axes))
        return feeds

    def _main(self, steps: Array) -> dict[str, Array]:
        """The input with the steps (B, T) or (B, T, C), by its name."""
        form = self.form
        if form.inputs.kind == "channels":
            steps = steps.reshape(*steps.shape[:2], *form.channel_shape)
        return {form.axes.main: self._typed(form.axes.main, placed(steps, form.main_axes))}

    def _further(self, name: str, rows: Sequence[EncodedSequence]) -> Array:
        """An input besides that with the steps."""
        axes = self.form.axes.of_inputs[name]
        if name == self.form.lengths_name:
            return placed(np.full((len(rows), 1), len(rows[0].steps)), axes)
        if axes.steps is not None:
            return placed(np.stack([row.step_inputs[name] for row in rows]), axes)
        if axes.batch is not None:
            return np.stack([row.inputs[name] for row in rows], axis=axes.batch)
        return rows[0].inputs[name]

    def _typed(self, name: str, array: Array) -> Array:
        """An input in its dtype."""
        dtype = self.form.graph.inputs[name].dtype
        if dtype == "float":
            return array
        typed = array.astype(np.bool_ if dtype == "bool" else dtype)
        if not np.array_equal(typed, array):
            raise InputError(f"the input {quote(name)} takes {dtype}, and got other numbers")
        return typed

    def batches(
        self, sequences: Mapping[int, EncodedSequence], every: bool = False
    ) -> Iterator[tuple[list[int], dict[str, Array]]]:
        """The numbers of sequences of equal shapes, and the inputs for them; with further rows at the end where the
        graph needs more. sequences: by number. every: all values are kept, as for gradients.
        """
        groups: dict[Any, list[int]] = {}
        for number, sequence in sequences.items():
            groups.setdefault(_shapes(sequence), []).append(number)
        for numbers in groups.values():
            first = 0
            while first < len(numbers):
                count = self.rows(sequences[numbers[first]], len(numbers) - first, every)
                of_batch = numbers[first : first + count]
                yield of_batch, self.of([sequences[number] for number in of_batch])
                first += count

    def batches_of(
        self, batch: EncodedBatch, every: bool = False
    ) -> Iterator[tuple[NDArray[np.intp], dict[str, Array]]]:
        """As `batches`, of the sequences of a batch."""
        lengths = batch.steps.lengths
        by_length = np.argsort(lengths, kind="stable")
        for numbers in np.split(by_length, np.flatnonzero(np.diff(lengths[by_length])) + 1):
            first = 0
            while first < len(numbers):
                count = self.rows(batch[int(numbers[first])], len(numbers) - first, every)
                of_batch = numbers[first : first + count]
                yield of_batch, self.of_batch(batch, of_batch)
                first += count

    def rows(self, sequence: EncodedSequence, most: int, every: bool = False) -> int:
        """How many sequences like this one share a batch. every: all values are kept, as for gradients. Raises
        InputError for a length that the graph does not read, and for one that takes too much memory.
        """
        form = self.form
        sizes = form.graph.sizes(self.of([sequence]), form.nouns)
        if not form.is_batched or isinstance(form.axes.batch_size, int):
            self._check_memory(sizes, every)
            return min(most, form.fewest_rows)
        [name] = symbols_of(form.axes.batch_size)
        numbers = self._check_memory(sizes | {name: 1}, every)
        count = max(1, min(most, MAX_ROWS, _MAX_NUMBERS // max(1, numbers)))
        while count > 1 and not all(guard.holds(sizes | {name: count}) for guard in form.graph.guards):
            count -= 1
        return count

    def _check_memory(self, sizes: Mapping[str, int], every: bool) -> int:
        """The numbers in memory. Raises InputError for too many."""
        numbers = numbers_in_memory(self.form.explained, sizes, every)
        if numbers > _MAX_ROW_NUMBERS:
            shown = ", ".join(f"{name} = {size}" for name, size in sizes.items())
            raise InputError(
                f"the network needs {numbers:,} numbers in memory for {shown}, more than {_MAX_ROW_NUMBERS:,}: give a "
                "shorter input"
            )
        return numbers

    def check(self, sequences: Encoded) -> None:
        """Raise InputError naming the row of a sequence that the graph does not read."""
        checked: set[Any] = set()
        numbers: Iterable[int] = range(len(sequences))
        if isinstance(sequences, EncodedBatch):  # its sequences differ in length alone
            numbers = np.sort(np.unique(sequences.steps.lengths, return_index=True)[1]).tolist()
        for number in numbers:
            sequence = sequences[number]
            shapes = _shapes(sequence)
            if shapes in checked or not len(sequence):
                continue
            checked.add(shapes)
            try:
                self.rows(sequence, 1)
            except InputError as error:
                raise InputError(f"{_row(number, sequences)}{error}") from None

    def check_ids(
        self, feeds: Mapping[str, Array], numbers: Sequence[int] | NDArray[np.intp], sequences: Encoded
    ) -> None:
        """Raise InputError naming the row and the place of a number that is no row of the table that the graph reads.
        feeds: of a batch of the sequences with these numbers.
        """
        outside = self.form.ids.outside(feeds, self.form.graph.sizes(feeds))
        if outside is None:
            return
        batch = self.form.axes.of_inputs[outside.name].batch
        row = 0
        if batch is not None:
            # A batch may repeat its last sequence.
            row = min(outside.index[batch], len(numbers) - 1)
        place = [number for axis, number in enumerate(outside.index) if axis != batch]
        raise InputError(f"{_row(int(numbers[row]), sequences)}{not_an_id(outside, place)}")


def not_an_id(outside: OutsideId, place: Sequence[int]) -> str:
    """The message about a number that is no row of a table. place: in the array of one row, or in the whole array."""
    where = f" at {list(place)}" if place else ""
    ids = f"its ids are from {outside.low:,} to {outside.high:,}"
    return f"the input {printable(outside.name)} has the id {outside.number:,.15g}{where}, and {ids}"


def _shapes(sequence: EncodedSequence) -> Any:
    """Equal for sequences that can share a batch."""
    return (
        sequence.steps.shape,
        tuple(array.shape for array in sequence.step_inputs.values()),
        tuple(array.shape for array in sequence.inputs.values()),
    )


def _row(number: int, sequences: Encoded) -> str:
    """The row of a sequence among others, for the beginning of messages."""
    return f"row {number}: " if len(sequences) > 1 else ""
