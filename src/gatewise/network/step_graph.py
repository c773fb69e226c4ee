"""`StepGraph`: a causal graph that reads its steps a few at a time, and continues from the states after those before.

`gatewise.network.causality` makes it. What the graph keeps between two runs has a fixed size, however many steps came
before: h and c of a recurrence, the states of a loop, the last rows that a convolution reads again, sums and maxima.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gatewise.network.graph import Graph
from gatewise.network.operation import Execution
from gatewise.network.size import symbols_of
from gatewise.types import Array


class State(NamedTuple):
    """A value that a run hands on to the next one. read: the input of the graph. written: the value that it becomes.
    start: before the first step. is_sum: whether each step adds to it, and nothing else reads it than the output.
    """

    read: str
    written: str
    start: Array
    is_sum: bool = False


@dataclass(frozen=True, eq=False)
class StepGraph:
    """graph: of the new steps; its inputs are those of the whole graph, with the new rows of those that have steps, and
    the states. output: of the whole graph; where it has a row for each step, the rows of the new ones.

    has_places: whether the steps are numbered.

    before, begun: the inputs for the number of steps that came before, and for whether there were any; "" where no node
    reads it.
    """

    graph: Graph
    output: str
    states: tuple[State, ...]
    before: str = ""
    begun: str = ""
    has_places: bool = False

    def start(self) -> dict[str, Array]:
        """The states before the first step, by the names of their inputs."""
        return {state.read: state.start.copy() for state in self.states}

    def run(
        self, inputs: Mapping[str, Array], states: Mapping[str, Array], before: int, execution: Execution
    ) -> tuple[Array, dict[str, Array]]:
        """The output, and the states after these steps. inputs: by name; those that the graph does not read are left
        out. states: as `start` returns them. Raises InputError as the nodes do.
        """
        feeds = {name: array for name, array in inputs.items() if name in self.graph.inputs}
        feeds |= states
        if self.before:
            feeds[self.before] = np.array(before)
        if self.begun:
            feeds[self.begun] = np.array(before > 0)
        execution.sizes = self._sizes(feeds)
        names = [self.output, *(state.written for state in self.states)]
        computed = self.graph.compute(feeds, execution, names)
        # A state may be a view of what it was cut from, which would stay in memory.
        after = {state.read: np.array(computed[state.written]) for state in self.states}
        return computed[self.output], after

    def _sizes(self, feeds: Mapping[str, Array]) -> dict[str, int]:
        """The sizes of the symbols, each of which is the size of an axis of an input."""
        sizes: dict[str, int] = {}
        for name, value_type in self.graph.inputs.items():
            for dim, size in zip(value_type.shape, feeds[name].shape, strict=True):
                names: Sequence[str] = sorted(symbols_of(dim))
                if names == [str(dim)]:
                    sizes[names[0]] = size
        return sizes
