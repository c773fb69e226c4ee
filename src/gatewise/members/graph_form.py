"""`GraphForm`: what a graph reads and predicts, apart from the sequences and the kernel of a run.

All of it follows from the nodes and the types of the graph, and is worked out when it is first asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any

from gatewise.errors import InputError, quote
from gatewise.members.graph_axes import GraphAxes, InputAxes, OutputAxes, axes_for, output_axes
from gatewise.members.graph_memory import numbers_in_memory, size_of
from gatewise.members.graph_recurrences import Recurrence, recurrences_of
from gatewise.members.graph_steps import GraphSteps, placed, taken
from gatewise.members.member import Inputs
from gatewise.members.recurrent_layer import RecurrentLayer
from gatewise.network.causality import Causality, causality_of
from gatewise.network.graph import Graph, Guard, Nouns
from gatewise.network.input_ids import InputIds
from gatewise.network.size import Dim, Size, symbols_of
from gatewise.network.step_graph import StepGraph
from gatewise.types import Array

MAX_ROWS = 256  # sequences of a batch
_LONGEST_SHORTEST = 64  # steps among which the shortest length is looked for
_USUAL_SIZE = 3  # of a free axis of an example
_MOST_STEP_GRAPHS = 32  # that are kept, one for each number of sequences
_USUAL_STEPS = 16  # of a sequence, for the numbers per step


@dataclass(frozen=True)
class GraphForm:
    """graph: with its constants. output: the name of the one that is explained. logits_name: of its logits, a value of
    the graph. lengths_name: of an input that holds the number of steps of each sequence, "" for none.

    Raises InputError for an output that depends on the input in other ways than by B and T.
    """

    graph: Graph
    output: str
    logits_name: str
    lengths_name: str = ""

    def __post_init__(self) -> None:
        if self.logits_name not in self.graph.types or self.output not in self.graph.outputs:
            raise InputError(f"the graph has no output {quote(self.output)} with the logits {quote(self.logits_name)}")
        if self.lengths_name and self.lengths_name not in self.further:
            raise InputError(f"the graph has no further input {quote(self.lengths_name)} for the lengths")
        if self.graph.types[self.logits_name].dtype != "float":
            raise InputError(f"the output {quote(self.output)} is {self.graph.types[self.output]}; it must be float")
        # Refused here rather than by the first prediction.
        _ = self.logits_axes
        _ = self.inputs

    # What it reads

    @cached_property
    def axes(self) -> GraphAxes:
        """The axes of the inputs."""
        return axes_for(self.graph, self.logits_name)

    @property
    def main_axes(self) -> InputAxes:
        """The axes of the input with the steps."""
        return self.axes.of_inputs[self.axes.main]

    @property
    def further(self) -> tuple[str, ...]:
        """The names of the inputs besides that with the steps."""
        return tuple(name for name in self.graph.inputs if name != self.axes.main)

    @cached_property
    def explained(self) -> Graph:
        """The part of the graph that computes the logits."""
        return self.graph.part([self.logits_name])

    @cached_property
    def steps(self) -> GraphSteps:
        """Where the steps enter the graph."""
        return GraphSteps(self.explained, self.axes)

    @cached_property
    def ids(self) -> InputIds:
        """The numbers of the inputs that the graph reads as rows of tables."""
        return InputIds(self.graph)

    @cached_property
    def inputs(self) -> Inputs:
        """What it reads besides the lengths, which follow from the sequences."""
        further = tuple(name for name in self.further if name != self.lengths_name)
        if self.steps.lookups:
            return Inputs("tokens", self.steps.vocab_size, further=further)
        return Inputs("channels", math.prod(self.channel_shape), further=further)

    @cached_property
    def channel_shape(self) -> tuple[int, ...]:
        """The sizes of the axes of the main input besides batch and steps."""
        name = self.axes.main
        sizes = []
        for axis, dim in enumerate(self.graph.inputs[name].shape):
            if axis in (self.main_axes.batch, self.main_axes.steps):
                continue
            if not isinstance(dim, int):
                raise InputError(
                    f"the input {quote(name)} is {self.graph.inputs[name]}: {dim} is no fixed size of a step"
                )
            sizes.append(dim)
        return tuple(sizes)

    @property
    def is_whole(self) -> bool:
        """Whether the numbers of a series that it reads must be whole."""
        return self.graph.inputs[self.axes.main].dtype != "float" and not self.steps.lookups

    @cached_property
    def nouns(self) -> Nouns:
        """What the axes of the inputs count."""
        nouns = {}
        for name, axes in self.axes.of_inputs.items():
            if axes.batch is not None:
                nouns[name, axes.batch] = "number of sequences"
            if axes.steps is not None:
                nouns[name, axes.steps] = "number of steps"
        return nouns

    # For which sizes it holds

    @cached_property
    def shortest(self) -> int:
        """The fewest steps that it reads."""
        if self.axes.steps is None:
            return 1
        if isinstance(self.axes.steps, int):
            return self.axes.steps
        return next((length for length in range(1, _LONGEST_SHORTEST) if self._holds(length)), 1)

    @cached_property
    def example_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of a row of each input, without an axis of the batch, for which it holds: free sizes are the same
        where they may be.
        """
        usual = max(_USUAL_SIZE, self.shortest)
        sizes = dict.fromkeys(self.graph.symbols, usual)
        if isinstance(self.axes.batch_size, Size):
            sizes |= dict.fromkeys(symbols_of(self.axes.batch_size), self.fewest_rows)
        for name in self.graph.symbols:
            guards = [guard for guard in self.graph.guards if name in symbols_of(guard.left) | symbols_of(guard.right)]
            for size in (sizes[name], *range(1, _LONGEST_SHORTEST)):
                changed = {**sizes, name: size}
                if all(guard.holds(changed) for guard in guards):
                    sizes = changed
                    break
        shapes = {}
        for name, value_type in self.graph.inputs.items():
            batch = self.axes.of_inputs[name].batch
            shapes[name] = tuple(size_of(dim, sizes) for axis, dim in enumerate(value_type.shape) if axis != batch)
        return shapes

    @cached_property
    def replaces_steps(self) -> bool:
        """Whether a step is replaced where an explanation takes it away. Also where the graph does not hold for a
        single step: the prefixes of a sequence have all lengths.
        """
        return not isinstance(self.axes.steps, Size) or not self._holds(1)

    @cached_property
    def fewest_rows(self) -> int:
        """The fewest sequences of a batch."""
        size = self.axes.batch_size
        if isinstance(size, int):
            return size
        return next((count for count in range(1, MAX_ROWS) if self.reads_rows(count)), 1)

    def reads_rows(self, count: int) -> bool:
        """Whether the conditions on the number of sequences of a batch hold, where it is free."""
        [name] = symbols_of(self.axes.batch_size)
        return all(guard.holds({name: count}) for guard in self._guards_on(self.axes.batch_size))

    @property
    def most_rows(self) -> int:
        """The most sequences in a run of the step graph."""
        if isinstance(self.axes.batch_size, int) or not self.is_batched:
            return self.fewest_rows
        most = self.fewest_rows
        while most < MAX_ROWS and self.reads_rows(most + 1):
            most += 1
        return most

    @property
    def is_batched(self) -> bool:
        """Whether several sequences can be in a batch: each input has an axis for it."""
        return all(axes.batch is not None for axes in self.axes.of_inputs.values())

    def _holds(self, length: int) -> bool:
        """Whether the graph reads so many steps, as far as they alone decide it."""
        assert self.axes.steps is not None
        [name] = symbols_of(self.axes.steps)
        sizes = {name: length}
        if not all(guard.holds(sizes) for guard in self._guards_on(self.axes.steps)):
            return False
        shapes = (self.explained.types[output].shape for node in self.explained.nodes for output in node.outputs)
        dims = {dim for shape in shapes for dim in shape if symbols_of(dim) == {name}}
        return all(size_of(dim, sizes) >= 1 for dim in dims)

    def _guards_on(self, size: Dim) -> list[Guard]:
        """The conditions on this size alone."""
        guards = self.graph.guards
        return [guard for guard in guards if symbols_of(guard.left) | symbols_of(guard.right) <= symbols_of(size)]

    # What it predicts

    @cached_property
    def logits_axes(self) -> OutputAxes:
        """The axes of the logits."""
        return output_axes(self.output, self.graph.types[self.logits_name], self.axes)

    @property
    def outputs(self) -> int:
        """The number of logits."""
        return self.logits_axes.outputs

    @property
    def per_step(self) -> bool:
        """Whether each step has logits."""
        return self.logits_axes.steps is not None

    def taken(self, logits: Array) -> Array:
        """Logits in the layout of the graph as (B, T, outputs), without steps as (B, 1, outputs)."""
        array = taken(logits, InputAxes(self.logits_axes.batch, self.logits_axes.steps))
        return array.reshape(*array.shape[:2], self.outputs)

    def placed(self, grads: Array, like: Array) -> Array:
        """The inverse of `taken`, in the shape of an array in the layout of the graph."""
        axes = InputAxes(self.logits_axes.batch, self.logits_axes.steps)
        return placed(grads.reshape(taken(like, axes).shape), axes)

    @cached_property
    def causality(self) -> Causality:
        """Whether the logits after t steps depend on these alone, and the graph that reads them step by step."""
        return self._causality_of(self.fewest_rows)

    def step_graph_of(self, rows: int) -> StepGraph | None:
        """The step graph for that many sequences, None where there is none."""
        if rows == self.fewest_rows:
            return self.causality.step_graph
        return self._kept_step_graph_of(rows)

    @cached_property
    def _kept_step_graph_of(self) -> Callable[[int], StepGraph | None]:
        """The step graph for a number of sequences. The last ones are kept, also for streams in several threads: each
        takes milliseconds to make, and the number of sequences in a run changes from step to step.
        """
        return lru_cache(_MOST_STEP_GRAPHS)(lambda rows: self._causality_of(rows).step_graph)

    def _causality_of(self, rows: int) -> Causality:
        """`causality`, with a graph for that many sequences."""
        axes = {name: of.steps for name, of in self.axes.of_inputs.items() if of.steps is not None}
        if not axes:
            return Causality("its inputs have no axis of steps", {}, None)
        if isinstance(self.axes.steps, Size) and not self._holds(1):
            return Causality("it does not read a single step", {}, None)
        sizes: dict[str, int] = {}
        if not isinstance(self.axes.batch_size, int):
            sizes = dict.fromkeys(symbols_of(self.axes.batch_size), rows)
        causality = causality_of(self.explained, self.logits_name, axes, sizes, self.lengths_name)
        if causality.step_graph is None:
            return causality
        logits = causality.values[self.logits_name]
        if self.per_step and (logits.role, logits.axis) != ("steps", self.logits_axes.steps):
            return Causality(f"{quote(self.output)} has rows that depend on all steps", causality.values, None)
        if not self.per_step and logits.role == "steps":
            return Causality(f"{quote(self.output)} joins the rows of all steps", causality.values, None)
        return causality

    # What it is made of

    @cached_property
    def recurrences(self) -> Sequence[Recurrence]:
        """Those whose gates can be shown beside the steps of the input."""
        return recurrences_of(self.explained, self.axes)

    @cached_property
    def other_recurrences(self) -> Sequence[Recurrence]:
        """Those that read other steps than the input has."""
        return recurrences_of(self.explained, self.axes, other_steps=True)

    @cached_property
    def layers(self) -> tuple[RecurrentLayer, ...]:
        """The recurrent layers, the lowest first."""
        runs_of: dict[int, list[Recurrence]] = {}
        for run in self.recurrences:
            runs_of.setdefault(run.layer, []).append(run)
        layers = []
        for runs in runs_of.values():
            first = runs[0]
            directions = tuple(run.direction for run in runs)
            name = first.node.origin_name if first.node.origin else ""
            layers.append(RecurrentLayer(first.units, directions, first.cell, name))
        return tuple(layers)

    @cached_property
    def step_size(self) -> int:
        """About how many numbers a run holds per step."""
        sizes = dict.fromkeys(self.explained.symbols, _USUAL_STEPS) | {"B": 1}
        return max(1, numbers_in_memory(self.explained, sizes, every=True) // _USUAL_STEPS)

    @cached_property
    def products_per_step(self) -> int:
        """About how many multiplications a step takes."""
        tables = {lookup.table for lookup in self.steps.lookups}
        weights = (array.size for name, array in self.explained.constants.items() if name not in tables)
        return max(1, sum(weights))

    @cached_property
    def no_architecture(self) -> str:
        """Why the graph is not read as an `Architecture`, "" where it has the form of one."""
        from gatewise.network.recognise import recognise

        reason = recognise(self.graph)
        return reason if isinstance(reason, str) else ""

    def __getstate__(self) -> dict[str, Any]:
        # What follows from the fields is worked out again; a read-only view of a dict has no pickle.
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        return state | {"graph": replace(self.graph, constants=dict(self.graph.constants))}
