"""`StepBatches`: the steps of several sequences in one run of a step graph, along its axis for the batch.

A step graph is made for one number of sequences, whose sizes its nodes hold. One for another number has the same states
with another size of one axis: that of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gatewise.network.step_graph import StepGraph
from gatewise.types import Array

StepGraphOf = Callable[[int], StepGraph | None]
"""The step graph for a number of sequences; None where there is none."""

RunRows = Callable[[StepGraph, Array, Mapping[str, Array], int, int], tuple[Array, dict[str, Array]]]
"""Of a step graph, the next rows (m, steps, ...) of the sequences, its states, how many steps came before with the
pads, and the number of the first one: the logits (m, outputs) after them, and the states.
"""


class StepBatches:
    """fewest: the least number of sequences in a run. most: the largest one; it is `fewest` where a graph has no axis
    for the batch. numbers_steps: whether sequences share a run at the same number of steps only.
    """

    def __init__(
        self, step_graph_of: StepGraphOf, run_rows: RunRows, fewest: int, most: int, numbers_steps: bool
    ) -> None:
        step_graph = step_graph_of(fewest)
        assert step_graph is not None
        self.step_graph = step_graph
        self.numbers_steps = numbers_steps
        self._step_graph_of = step_graph_of
        self._run_rows = run_rows
        self._fewest = fewest
        axes = None
        if most > fewest:
            axes = self._batch_axes(fewest + 1)
        self._axes = axes or {}
        self._is_batched = axes is not None
        self.most = 1
        if self._is_batched:
            self.most = most

    def _batch_axes(self, count: int) -> dict[str, int] | None:
        """The axis of each state that is as long as there are sequences. None where one has no such axis, so that its
        numbers are not known to belong to one sequence each.
        """
        larger = self._step_graph_of(count)
        if larger is None:
            return None
        axes = {}
        larger_start = larger.start()
        for name, array in self.step_graph.start().items():
            other = larger_start.get(name)
            if other is None or other.ndim != array.ndim:
                return None
            changed = [axis for axis in range(array.ndim) if array.shape[axis] != other.shape[axis]]
            if len(changed) != 1:
                return None
            [axis] = changed
            if (array.shape[axis], other.shape[axis]) != (self._fewest, count):
                return None
            axes[name] = axis
        return axes

    def start(self) -> dict[str, Array]:
        """The states of one sequence before its first step, (1, ...) each without the axis of the batch."""
        return self._by_sequence(self.step_graph.start(), 1)

    def run(self, rows: Array, states: Mapping[str, Array], before: int, first: int) -> tuple[Array, dict[str, Array]]:
        """The logits (m, outputs) after the next rows (m, steps, ...), and the states (m, ...). before, first: as in
        `RunRows`.
        """
        count = len(rows)
        size = max(count, self._fewest)
        step_graph = self._step_graph_of(size)
        assert step_graph is not None  # as for one sequence: the rules of causality do not depend on the number
        # A run that needs more sequences repeats the last one.
        filled = np.minimum(np.arange(size), count - 1)
        in_graph = {}
        for name, array in states.items():
            if self._is_batched:
                in_graph[name] = np.ascontiguousarray(np.moveaxis(array[filled], 0, self._axes[name]))
            else:
                in_graph[name] = array[0]
        logits, after = self._run_rows(step_graph, rows[filled], in_graph, before, first)
        return logits[:count], self._by_sequence(after, count)

    def _by_sequence(self, states: Mapping[str, Array], count: int) -> dict[str, Array]:
        """States of a step graph as (count, ...)."""
        if not self._is_batched:
            return {name: array[None] for name, array in states.items()}
        return {name: np.moveaxis(array, self._axes[name], 0)[:count] for name, array in states.items()}
