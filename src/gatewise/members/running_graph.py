"""`RunningGraph`: a `GraphNetwork` that reads one sequence step by step, through its `StepGraph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gatewise.errors import InputError
from gatewise.members.running_network import RunningNetwork
from gatewise.network.graph import Guard
from gatewise.network.size import symbols_of
from gatewise.network.step_graph import StepGraph
from gatewise.types import Array

ReadRows = Callable[[Array, Mapping[str, Array], int, int], tuple[Array, dict[str, Array]]]
"""Of the next rows, the states of a step graph, how many rows came before with the pads, and the number of the first
one: the logits (outputs,) after them, and the states.
"""

_LOGITS = "logits"  # their bits: a mean of no number has no value, and a file of states has no NaN
_COUNT = "steps_counted"  # with the pads


class RunningGraph(RunningNetwork):
    """The state is that of the step graph, and the logits after the last step. outputs: how many they are. guards: the
    conditions on the number of steps.
    """

    derived = (_LOGITS,)

    def __init__(self, step_graph: StepGraph, read_rows: ReadRows, outputs: int, guards: Sequence[Guard]) -> None:
        super().__init__()
        self._read_rows = read_rows
        self._guards = guards
        self.arrays = step_graph.start()
        self._states = list(self.arrays)
        self.arrays[_LOGITS] = np.zeros(outputs, np.int32)
        self.sums = [state.read for state in step_graph.states if state.is_sum]
        if step_graph.before:
            self.arrays[_COUNT] = np.zeros(1, np.int64)
            self.sums.append(_COUNT)

    def read(self, rows: Array) -> None:
        if not len(rows):
            return
        self._check_guards(self.steps + len(rows))
        arrays = self.with_fewer_pads(len(rows))
        before = self.steps + int(self.is_after_pads)
        if _COUNT in arrays:
            before = int(arrays[_COUNT][0])
        states = {name: arrays[name] for name in self._states}
        logits, after = self._read_rows(rows, states, before, self.steps)
        self.arrays = arrays | after
        self.arrays[_LOGITS] = logits.astype(np.float32).view(np.int32)
        if _COUNT in self.arrays:
            self.arrays[_COUNT] = np.array([before + len(rows)])
        self.steps += len(rows)

    def _check_guards(self, steps: int) -> None:
        """Refuse a number of steps for which the graph does not hold."""
        for guard in self._guards:
            [name] = symbols_of(guard.left) | symbols_of(guard.right)
            if not guard.holds({name: steps}):
                raise InputError(f"the network was read for inputs with {guard}, and the stream would have {steps:,}")

    def logits(self) -> Array:
        return self.arrays[_LOGITS].view(np.float32).astype(np.float64)
