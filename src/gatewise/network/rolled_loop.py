"""`LoopWriter`: writes one loop of a graph, with what of it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Node, needed_nodes
from gatewise.network.operation import Operation, ValueType
from gatewise.network.operations import operation_of
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.range import Range
from gatewise.network.repetition import Carried, Fixed, Local, Number, Place, Read, Repetition, StepOf, StepOutput
from gatewise.network.rolled_values import RolledValues
from gatewise.network.unused_names import UnusedNames


class LoopWriter:
    """Writes one loop, with what of it is read."""

    def __init__(self, rolled: RolledValues, item: int, repetition: Repetition) -> None:
        self.rolled = rolled
        self.item = item
        self.repetition = repetition
        self.graphs = [graph for graph, count in enumerate(repetition.counts) if count]
        self.steps = rolled.count(item)
        self.before: list[Node] = []
        self.states: dict[tuple[int, int, str], str] = {}
        """By the value of the step and the initial one: what the body calls the state before the step."""
        self.sequences: dict[tuple[str, int], str] = {}
        """By the value and the axis: what the body calls the row of the step."""
        self.others: dict[str, str] = {}
        """By the value: what the body calls it."""
        self.types: dict[str, ValueType] = {}
        self.nodes: list[Node] = []
        self.values: dict[tuple[int, int], str] = {}
        """What the body calls the values of its nodes."""
        longest = rolled.graphs[-1]
        start = repetition.starts[-1]
        self.originals = longest.nodes[start : start + repetition.size]
        self._unused = UnusedNames(name for node in self.originals for name in node.outputs).unused

    def node(
        self,
        last: Mapping[tuple[int, int], str],
        stacked: Mapping[tuple[int, int, int], str],
        add: Callable[[Node], None],
    ) -> Node:
        """The loop. last, stacked: what is read of its last step, and of all, with the axes and the names."""
        needed = self._needed_of_step([*last, *((node, output) for node, output, _ in stacked)])
        for number in sorted(needed):
            self._write(number)
        for value in last:
            if not any(state[:2] == value for state in self.states):
                self._initial_state(value)
        outputs: list[str] = []
        lasts: dict[tuple[int, int], str] = dict(last)
        for node, output, _ in self.states:
            name = lasts.pop((node, output), "")
            outputs.append(name or self.rolled.unused(f"{self.values[node, output]}_unread"))
        outputs += stacked.values()
        returned = [self.values[node, output] for node, output, _ in self.states]
        returned += [self.values[node, output] for node, output, _ in stacked]
        names = [*self.states.values(), *self.sequences.values(), *self.others.values()]
        body_inputs = {name: self.types[name] for name in names}
        body = Graph(body_inputs, {}, needed_nodes(self.nodes, returned), tuple(returned))
        axes = tuple(axis for _, axis in self.sequences)
        loop = Loop(body, self.steps, axes, tuple(axis for _, _, axis in stacked))
        inputs = [initial for _, _, initial in self.states]
        inputs += [name for name, _ in self.sequences]
        inputs += self.others
        for node_before in {node_before.outputs: node_before for node_before in self.before}.values():
            add(node_before)
        return Node(self.rolled.unused("loop"), loop, tuple(inputs), tuple(outputs), self.originals[0].origin)

    def _needed_of_step(self, values: Sequence[tuple[int, int]]) -> set[int]:
        """The nodes of a step on which these values of it depend."""
        needed: set[int] = set()
        waiting = [node for node, _ in values]
        while waiting:
            number = waiting.pop()
            if number in needed:
                continue
            needed.add(number)
            waiting += [read.node for read in self.repetition.reads[number] if isinstance(read, Local | Carried)]
        return needed

    def _write(self, number: int) -> None:
        """Add a node of the step to the body."""
        node = self.originals[number]
        if number in self.repetition.rows:
            self._row(number, node)
            return
        inputs = []
        for place, read in enumerate(self.repetition.reads[number]):
            inputs.append(self._input(number, place, read))
        while inputs and not inputs[-1]:
            inputs.pop()
        squeezed = self._squeezed(node, inputs[0]) if inputs else ""
        if squeezed:
            self.values[number, 0] = squeezed
            return
        nodes = {graph: self._original(graph, number) for graph in self.graphs}
        operation = self.rolled.operation(nodes)
        self.nodes.append(Node(node.name, operation, tuple(inputs), node.outputs, node.origin))
        for output, name in enumerate(node.outputs):
            self.values[number, output] = name

    def _squeezed(self, node: Node, value: str) -> str:
        """The row without the axis that it was just given; "" for another node."""
        operation: Any = node.operation
        if operation.name() != "Squeeze" or operation.axes is None:
            return ""
        for before in self.nodes:
            unsqueeze: Any = before.operation
            if before.outputs == (value,) and unsqueeze.name() == "Unsqueeze":
                rank = len(self.types[before.inputs[0]].shape) + 1 if before.inputs[0] in self.types else 0
                axes = tuple(axis % rank for axis in operation.axes) if rank else ()
                return before.inputs[0] if axes == unsqueeze.axes else ""
        return ""

    def _original(self, graph: int, number: int) -> Node:
        """A node of the first step."""
        return self.rolled.graphs[graph].nodes[self.repetition.starts[graph] + number]

    def _name(self, graph: int, number: int, place: int) -> str:
        """What a node of the first step reads."""
        inputs = self._original(graph, number).inputs
        return inputs[place] if place < len(inputs) else ""

    def _places(self, number: int, place: int) -> dict[int, Place]:
        """Where it comes from, by the graph."""
        return {graph: self.rolled.items.place(graph, self._name(graph, number, place)) for graph in self.graphs}

    def _type(self, number: int, place: int) -> ValueType:
        types = {graph: self.rolled.graphs[graph].types[self._name(graph, number, place)] for graph in self.graphs}
        return self.rolled.type(types, self.originals[number].shown)

    def _input(self, number: int, place: int, read: Read) -> str:
        """What the body calls what a node reads."""
        if isinstance(read, Local):
            return self.values[read.node, read.output]
        if isinstance(read, Carried):
            return self._state(number, place, read)
        if isinstance(read, StepOf):
            value_type = self._type(number, place)
            return self._sequence(*self._steps_of(number, place, read), value_type)
        if isinstance(read, Number):
            return self._number(number, place, read)
        places = self._places(number, place)
        value = self.rolled.value(places, self.originals[number].shown, self.before.append)
        if not value:
            return ""
        if value not in self.others:
            self.others[value] = self._unused(value)
            self.types[self.others[value]] = self._type(number, place)
        return self.others[value]

    def _state(self, number: int, place: int, read: Carried) -> str:
        """What the body calls a value of the step before."""
        what = self.originals[number].shown
        nodes = {graph: self._original(graph, read.node) for graph in self.graphs}
        types = {graph: self.rolled.graphs[graph].types[node.outputs[read.output]] for graph, node in nodes.items()}
        value_type = self.rolled.type(types, what)
        initial = self.rolled.value(self._places(number, place), what, self.before.append)
        if not initial:
            initial = self._zeros(number, place, value_type)
        key = (read.node, read.output, initial)
        if key not in self.states:
            self.states[key] = self._unused(f"{self.originals[read.node].outputs[read.output]}_before")
            self.types[self.states[key]] = value_type
        return self.states[key]

    def _initial_state(self, value: tuple[int, int]) -> None:
        """The state whose last value is read: its first reader says how it starts."""
        for number, reads in enumerate(self.repetition.reads):
            for place, read in enumerate(reads):
                if read == Carried(*value):
                    self._state(number, place, read)
                    return

    def _zeros(self, number: int, place: int, value_type: ValueType) -> str:
        """The initial state that a recurrent layer leaves out."""
        node = self.originals[number]
        formal = node.operation.formal[place]
        if node.operation.name() != "Recurrent" or formal not in ("h0", "c0"):
            raise InputError(f"{node.shown} reads nothing in the first step, and a value in the others")
        zero = self.rolled.new_constant(np.zeros((1,) * len(value_type.shape), np.float32))
        expand = operation_of("Expand", {"shape": value_type.shape})
        return self.rolled.new(self.before.append, f"{formal}_zeros", expand, zero)

    def _sequence(self, value: str, axis: int, row_type: ValueType) -> str:
        """What the body calls the row of a sequence."""
        key = (value, axis)
        if key not in self.sequences:
            self.sequences[key] = self._unused(f"{value}_row")
            self.types[self.sequences[key]] = row_type
        return self.sequences[key]

    def _steps_of(self, number: int, place: int, read: StepOf) -> tuple[str, int]:
        """The rows of another loop, in the order of the steps."""
        what = self.originals[number].shown
        places = {graph: other for graph, other in self._places(number, place).items() if isinstance(other, StepOutput)}
        first = places[max(places)]
        if any(other._replace(step=0) != first._replace(step=0) for other in places.values()):
            raise InputError(f"{what} reads different loops for different numbers of steps")
        rows = self.rolled.stack(first.item, (first.node, first.output), 0)
        start = self.rolled.sizes.of({graph: other.step for graph, other in places.items()}, what)
        size = self.rolled.count(first.item)
        return self.rolled.rows(rows, size, 0, start, read.slope, self.steps, what, self.before.append), 0

    def _number(self, number: int, place: int, read: Number) -> str:
        """The number of the step, or one that grows with it."""
        what = self.originals[number].shown
        arrays = {
            graph: self.rolled.graphs[graph].contents[self._name(graph, number, place)].array for graph in self.graphs
        }
        array = arrays[max(arrays)]
        if abs(read.slope) != 1 or any(other.shape != array.shape for other in arrays.values()):
            raise InputError(f"{what} reads a number that grows by {read.slope} from step to step")
        start = self.rolled.sizes.of({graph: int(other.flat[0]) for graph, other in arrays.items()}, what)
        dtype: Any = array.dtype.name
        numbers = Range(start, start + read.slope * self.steps, read.slope, dtype)
        value = self.rolled.new(self.before.append, "numbers", numbers)
        row = self._sequence(value, 0, ValueType(dtype, ()))
        if not array.shape:
            return row
        expand = operation_of("Expand", {"shape": array.shape})
        return self._add("number", expand, row)

    def _row(self, number: int, node: Node) -> None:
        """A node that reads the rows of the step of a sequence."""
        what = node.shown
        rolled = self.rolled
        rows = {graph: rolled.graphs[graph].row_of(self._original(graph, number)) for graph in self.graphs}
        known = {graph: row for graph, row in rows.items() if row is not None}
        row = known[max(known)]
        if len(known) < len(rows) or any(other._replace(first=0) != row._replace(first=0) for other in known.values()):
            raise InputError(f"{what} reads other rows for different numbers of steps")
        read = self.repetition.reads[number][0]
        if not isinstance(read, Fixed):
            raise InputError(f"{what} reads other rows in each step of what each step computes")
        value = rolled.value(self._places(number, 0), what, self.before.append)
        value_type = self._type(number, 0)
        size = value_type.shape[row.axis]
        start = rolled.sizes.of({graph: other.first for graph, other in known.items()}, what)
        slope = self.repetition.rows[number]
        row_type = ValueType(value_type.dtype, (*value_type.shape[: row.axis], *value_type.shape[row.axis + 1 :]))
        parts = []
        for offset in range(row.size):
            sequence = rolled.rows(value, size, row.axis, start + offset, slope, self.steps, what, self.before.append)
            part = self._sequence(sequence, row.axis, row_type)
            if not row.dropped:
                part = self._add("row", operation_of("Unsqueeze", {"axes": (row.axis,)}), part)
            parts.append(part)
        if len(parts) > 1:
            parts = [self._add("rows", operation_of("Concat", {"axis": row.axis}), *parts)]
        self.values[number, 0] = parts[0]

    def _add(self, base: str, operation: Operation, *inputs: str) -> str:
        """The name of what a new node of the body returns. Equal nodes are one."""
        for node in self.nodes:
            if node.operation == operation and node.inputs == inputs:
                return node.outputs[0]
        name = self._unused(base)
        self.nodes.append(Node(name, operation, inputs, (name,)))
        return name
