"""`GraphAxes`: which axes of the inputs of a graph are the batch and the steps.

The x of `Recurrent` is (B, T, D), so that its first two axes say which axes of the inputs these are; without a
recurrence the steps and the states of a loop do. Where a size is a number, an axis of an input gets a size of its own,
and the shape rules say where it goes. A graph without either has the batch first, and then the steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from gatewise.errors import InputError, quote
from gatewise.network.graph import Graph, output_types
from gatewise.network.operation import ValueType
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.recurrent import Recurrent
from gatewise.network.size import Dim, Size, symbol, symbols_of

_TRACED = symbol("axis_that_is_traced")


@dataclass(frozen=True)
class InputAxes:
    """batch, steps: the axes of an input; None where it has none."""

    batch: int | None
    steps: int | None


@dataclass(frozen=True, eq=False)
class GraphAxes:
    """Of a graph. main: the input whose steps are read one after the other. steps_name: the symbol of the steps where
    it is not that of the first recurrence, as of a decoder, whose outputs follow its own input; see `axes_for`.
    """

    graph: Graph
    steps_name: str = ""

    @cached_property
    def of_inputs(self) -> dict[str, InputAxes]:
        """The axes of each input."""
        return {name: self._of_input(name) for name in self.graph.inputs}

    @cached_property
    def main(self) -> str:
        """The first input with steps; without any the first input."""
        with_steps = [name for name, axes in self.of_inputs.items() if axes.steps is not None]
        return next(iter(with_steps), next(iter(self.graph.inputs)))

    @cached_property
    def batch_size(self) -> Dim:
        """B, 1 for a graph that takes one sequence without an axis for the batch."""
        name = self.main
        axis = self.of_inputs[name].batch
        return 1 if axis is None else self.graph.inputs[name].shape[axis]

    @cached_property
    def steps(self) -> Dim | None:
        """T, None for a graph without steps."""
        axis = self.of_inputs[self.main].steps
        return None if axis is None else self.graph.inputs[self.main].shape[axis]

    @cached_property
    def _recurrent(self) -> tuple[Dim, Dim] | None:
        """B and T in the x of the first recurrence, without one in the first loop over a number of steps that is free;
        None without either.
        """
        for node in self.graph.nodes:
            if isinstance(node.operation, Recurrent):
                batch, steps, _ = self.graph.types[node.inputs[0]].shape
                of_steps = symbol(self.steps_name) if self.steps_name else _only_symbol(steps)
                return self._symbol_of_batch(batch), of_steps
        for node in self.graph.nodes:
            if isinstance(node.operation, Loop) and isinstance(node.operation.steps, Size):
                of_loop = _only_symbol(node.operation.steps)
                # A state has a row for each sequence.
                dims = [dim for name in node.outputs[: node.operation.states] for dim in self.graph.types[name].shape]
                rows = [dim for dim in dims if isinstance(dim, Size) and dim != of_loop]
                if rows:
                    return self._symbol_of_batch(rows[0]), of_loop
        return None

    def _symbol_of_batch(self, dim: Dim) -> Dim:
        """B, also of a recurrence over more sequences than the batch has, such as B times S."""
        names = symbols_of(dim)
        if len(names) < 2:
            return _only_symbol(dim)
        return symbol("B" if "B" in names else next(name for name in self.graph.symbols if name in names))

    def _of_input(self, name: str) -> InputAxes:
        shape = self.graph.inputs[name].shape
        if self._recurrent is None:
            return self._by_order(name)
        axes: dict[str, int] = {}
        for role, size in zip(("batch", "steps"), self._recurrent, strict=True):
            if isinstance(size, Size) and size in shape and shape.index(size) not in axes.values():
                axes[role] = shape.index(size)
        for axis, dim in enumerate(shape):
            if isinstance(dim, int) and axis not in axes.values() and len(axes) < 2:
                for role in self._traced(name, axis):
                    axes.setdefault(role, axis)
        if name == next(iter(self.graph.inputs)):
            # A shape rule that has the size as a number, such as a reshape, ends the trace: the size itself says it.
            for role, size in zip(("batch", "steps"), self._recurrent, strict=True):
                same = [axis for axis, dim in enumerate(shape) if dim == size and axis not in axes.values()]
                if role not in axes and same:
                    axes[role] = same[0]
            steps = self._recurrent[1]
            if "steps" not in axes and isinstance(steps, int):
                # A convolution or a pooling leaves fewer steps to the recurrence.
                for axis, dim in enumerate(shape):
                    is_free = isinstance(dim, int) and steps <= dim and axis not in axes.values()
                    if is_free and "steps" in self._traced(name, axis, fewer=True):
                        axes["steps"] = axis
                        break
            if "steps" not in axes and steps == 1:
                # Cells that are written down one after the other, as a loop over a fixed number of steps. The last axis
                # of numbers is that of the channels, so it is not that of the steps; ids have none.
                before_channels = len(shape)
                if not self.graph.inputs[name].dtype.startswith("int"):
                    before_channels -= 1
                others = [axis for axis in range(before_channels) if axis not in axes.values()]
                if others:
                    axes["steps"] = others[0]
        return InputAxes(axes.get("batch"), axes.get("steps"))

    def _by_order(self, name: str) -> InputAxes:
        """The batch first, then the steps: of a graph without a recurrence."""
        main = next(iter(self.graph.inputs))
        of_main = self.graph.inputs[main].shape
        shape = self.graph.inputs[name].shape
        if not of_main:
            return InputAxes(None, None)
        batch = next((axis for axis, dim in enumerate(shape) if dim == of_main[0]), None)
        others = [axis for axis in range(len(shape)) if axis != batch]
        if name == main:
            free = [axis for axis in others if isinstance(shape[axis], Size)]
            return InputAxes(batch, next(iter([*free, *others]), None))
        axis = self._by_order(main).steps
        size = None if axis is None else of_main[axis]
        return InputAxes(batch, next((axis for axis in others if isinstance(size, Size) and shape[axis] == size), None))

    def _traced(self, name: str, axis: int, *, fewer: bool = False) -> list[str]:
        """What an axis of a fixed size becomes in the first recurrence that it reaches: "batch", "steps" or nothing.
        fewer: also where its size follows from that of the axis.
        """
        value_type = self.graph.inputs[name]
        shape = list(value_type.shape)
        shape[axis] = _TRACED
        inputs = {**self.graph.inputs, name: ValueType(value_type.dtype, tuple(shape))}
        for x in _recurrent_inputs(self.graph, inputs):
            roles = [
                role
                for role, dim in zip(("batch", "steps"), x.shape[:2], strict=True)
                if dim == _TRACED or (fewer and _only_symbol(dim) == _TRACED)
            ]
            if roles:
                return roles
        return []


def _recurrent_inputs(graph: Graph, inputs: Mapping[str, ValueType]) -> Iterator[ValueType]:
    """The types of the x of recurrences, with other types of the inputs, as far as the shape rules allow them."""
    types = {**graph.types, **inputs}
    # The values that depend on the input have another type, or none where a shape rule refuses it.
    for node in graph.nodes:
        if isinstance(node.operation, Recurrent):
            yield types[node.inputs[0]]
        try:
            inferred = output_types(node, types)
        except InputError:
            return
        types.update(zip(node.outputs, inferred, strict=True))


def _only_symbol(dim: Dim) -> Dim:
    """The only symbol of a size, such as T of T // 2; another size as it is."""
    names = symbols_of(dim)
    return symbol(names.pop()) if len(names) == 1 else dim


def axes_for(graph: Graph, output: str) -> GraphAxes:
    """The axes of the inputs for an output: its steps are those of the input that has as many. Those of the first
    recurrence may be others, such as the letters of each word.
    """
    axes = GraphAxes(graph)
    shape = graph.types[output].shape
    if axes.steps in shape:
        return axes
    for value_type in graph.inputs.values():
        for dim in value_type.shape:
            if isinstance(dim, Size) and dim in shape and dim != axes.batch_size and dim == _only_symbol(dim):
                return GraphAxes(graph, str(dim))
    return axes


class OutputAxes(NamedTuple):
    """batch, steps: the axes of an output, None where it has none. outputs: the number of its other values, K."""

    batch: int | None
    steps: int | None
    outputs: int


def batch_axis(value_type: ValueType, axes: GraphAxes) -> int | None:
    """The axis of the sequences in an output; None where it has none."""
    if axes.of_inputs[axes.main].batch is None:
        return None
    return next((axis for axis, dim in enumerate(value_type.shape) if dim == axes.batch_size), None)


def output_axes(name: str, value_type: ValueType, axes: GraphAxes) -> OutputAxes:
    """The axes of an output of a graph. Raises InputError where its number of outputs depends on the input."""
    shape = value_type.shape
    batch = batch_axis(value_type, axes)
    if batch is None and axes.of_inputs[axes.main].batch is not None:
        raise InputError(f"the output {quote(name)} is {value_type}, without an axis of {axes.batch_size} sequences")
    others = [axis for axis in range(len(shape)) if axis != batch]
    # A fixed number of steps is one of outputs too: only beside another axis it is that of the steps.
    may_be_steps = isinstance(axes.steps, Size) or (len(others) > 1 and axes.steps not in (None, 1))
    steps = next((axis for axis in others if may_be_steps and shape[axis] == axes.steps), None)
    outputs = 1
    for axis in others:
        dim = shape[axis]
        if axis == steps:
            continue
        if not isinstance(dim, int):
            raise InputError(f"the output {quote(name)} is {value_type}: {dim} is no fixed number of outputs")
        outputs *= dim
    return OutputAxes(batch, steps, outputs)
