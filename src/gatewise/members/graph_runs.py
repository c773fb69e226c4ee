"""`GraphRuns`: how a graph runs, with the kernel of a prediction and the gates that clamps hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gatewise.members.graph_form import GraphForm
from gatewise.members.graph_steps import taken
from gatewise.network.operation import Execution
from gatewise.types import Array

if TYPE_CHECKING:
    from gatewise.kernels.interface import Kernel
    from gatewise.members.clamp import Clamp


@dataclass(frozen=True, eq=False)
class GraphRuns:
    """Of a graph. kernel: of its recurrences. clamps: of their gates."""

    form: GraphForm
    kernel: Kernel
    clamps: tuple[Clamp, ...]

    def logits(self, feeds: Mapping[str, Array]) -> Array:
        """(B, T, outputs), without a prediction per step (B, 1, outputs), for the inputs by name."""
        name = self.form.logits_name
        return self.form.taken(self.values(feeds, [name], self.execution(feeds))[name])

    def values(self, feeds: Mapping[str, Array], names: Sequence[str], execution: Execution) -> dict[str, Array]:
        """Values on the way to the logits, by name. execution: of `execution`."""
        return self.form.explained.run(feeds, execution=execution, values=names)

    def execution(self, feeds: Mapping[str, Array], keep: bool = False) -> Execution:
        """Of whole sequences. keep: recurrences save their activations."""
        held = {}
        if self.clamps:
            steps = taken(feeds[self.form.axes.main], self.form.main_axes).shape[1]
            held = self._held(np.arange(steps))
        return Execution(kernel=self.kernel, keep=keep, held=held)

    def execution_of_steps(self, first: int, count: int) -> Execution:
        """Of the step graph for `count` steps from `first` on. A few steps are too short for several threads."""
        held = {}
        if self.clamps:
            held = self._held(np.arange(first, first + count))
        return Execution(kernel=self.kernel.with_threads(1), keep=False, held=held)

    def _held(self, steps: Array) -> dict[str, tuple[Array, Array]]:
        """The gates that the clamps hold at the steps with these numbers, by the names of the nodes."""
        from gatewise.members.clamp import held_gates  # a prediction does without

        held = {}
        for run in self.form.recurrences:
            clamps = []
            for clamp in self.clamps:
                columns = clamp.hits(self.form.layers, run.layer, run.direction)
                if columns is not None and clamp.gate in run.gate_names:
                    clamps.append((clamp, columns))
            if clamps:
                held[run.node.name] = held_gates(clamps, steps, run.gate_names, run.units, np.float32)
        return held
