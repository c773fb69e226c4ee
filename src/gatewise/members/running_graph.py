"""`RunningGraph`: a `GraphNetwork` that reads n sequences step by step, through its `StepGraph`.

Sequences that read equally many steps share a run, where the graph has an axis for them (`StepBatches`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.members.running_network import RunningNetwork
from gatewise.members.step_batches import StepBatches
from gatewise.network.graph import Guard
from gatewise.network.size import symbols_of
from gatewise.ragged import starts_of
from gatewise.types import Array, Lengths

_LOGITS = "logits"  # their bits: a mean of no number has no value, and a file of states has no NaN
_COUNT = "steps_counted"  # with the pads


class RunningGraph(RunningNetwork):
    """The state is that of the step graph, and the logits after the last step. outputs: how many they are. guards: the
    conditions on the number of steps.
    """

    def __init__(self, batches: StepBatches, outputs: int, guards: Sequence[Guard]) -> None:
        start = batches.start()
        self._batches = batches
        self._guards = guards
        self._states = list(start)
        start[_LOGITS] = np.zeros((1, outputs), np.int32)
        if batches.step_graph.before:
            start[_COUNT] = np.zeros((1, 1), np.int64)
        super().__init__(start)
        self.derived = (_LOGITS,)
        self.sums = [state.read for state in batches.step_graph.states if state.is_sum]
        if _COUNT in start:
            self.sums.append(_COUNT)

    def read(self, rows: Array, lengths: Lengths) -> None:
        if not len(rows):
            return
        self._check_guards(self.steps + lengths, lengths)
        arrays = self.with_fewer_pads(lengths)
        before = self.steps + int(self.is_after_pads)
        if _COUNT in arrays:
            before = arrays[_COUNT][:, 0]
        # `with_fewer_pads` replaces the sums alone.
        after = {name: array.copy() for name, array in arrays.items()}
        starts = starts_of(lengths)
        for numbers in self._runs(lengths, before):
            first = numbers[0]
            count = int(lengths[first])
            of_run = rows[starts[numbers][:, None] + np.arange(count)]  # (m, count, ...)
            states = {name: arrays[name][numbers] for name in self._states}
            logits, changed = self._batches.run(of_run, states, int(before[first]), int(self.steps[first]))
            for name, array in changed.items():
                after[name][numbers] = array
            after[_LOGITS][numbers] = logits.astype(np.float32).view(np.int32)
        if _COUNT in after:
            after[_COUNT] = (before + lengths)[:, None]
        self.arrays = after
        self.steps = self.steps + lengths

    def _runs(self, lengths: Lengths, before: Lengths) -> Iterator[NDArray[np.intp]]:
        """The numbers of the sequences that share a run."""
        step_graph = self._batches.step_graph
        keys = [lengths]
        if step_graph.before:
            keys.append(before)
        elif step_graph.begun:
            keys.append((before > 0).astype(np.intp))
        if self._batches.numbers_steps:
            keys.append(self.steps)
        active = np.flatnonzero(lengths)
        _, run_of = np.unique(np.stack(keys, axis=1)[active], axis=0, return_inverse=True)
        run_of = run_of.reshape(-1)
        for run in range(int(run_of.max()) + 1):
            numbers = active[run_of == run]
            for first in range(0, len(numbers), self._batches.most):
                yield numbers[first : first + self._batches.most]

    def _check_guards(self, steps: Lengths, lengths: Lengths) -> None:
        """Refuse a number of steps for which the graph does not hold, of a sequence that reads some."""
        if not self._guards:
            return
        for count in np.unique(steps[lengths > 0]).tolist():
            for guard in self._guards:
                [name] = symbols_of(guard.left) | symbols_of(guard.right)
                if not guard.holds({name: count}):
                    raise InputError(
                        f"the network was read for inputs with {guard}, and the stream would have {count:,}"
                    )

    def logits(self) -> Array:
        return self.arrays[_LOGITS].view(np.float32).astype(np.float64)
