"""`GraphWriter`: writes the graph with loops, from its end: the nodes outside of loops, and the loops between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gatewise.errors import InputError
from gatewise.network.concat_segments import Segment, segments_of
from gatewise.network.graph import Graph, Guard, Node, needed_nodes
from gatewise.network.operation import ValueType
from gatewise.network.operations import operation_of
from gatewise.network.operations.concat import Concat
from gatewise.network.repetition import Local, Repetition, Single, StepOf, StepOutput
from gatewise.network.rolled_loop import LoopWriter
from gatewise.network.rolled_values import RolledValues


class _Stacked(NamedTuple):
    """What a Concat joins: the value of the step of a repetition. has_axis: whether the rows get the axis along which
    they are joined in front of it.
    """

    item: int
    node: int
    output: int
    has_axis: bool


class GraphWriter:
    """rolled: the values of the graph."""

    def __init__(self, rolled: RolledValues) -> None:
        self.rolled = rolled

    def graph(self) -> Graph:
        """The graph."""
        inputs: dict[str, ValueType] = {}
        for name in self.rolled.originals[-1].inputs:
            types = {number: graph.inputs[name] for number, graph in enumerate(self.rolled.originals)}
            inputs[name] = self.rolled.type(types, f"the input {name}")
        if not any(dim == self.rolled.sizes.steps for value_type in inputs.values() for dim in value_type.shape):
            raise InputError("no input has an axis of the steps")
        counts = {len(graph.outputs) for graph in self.rolled.originals}
        if len(counts) > 1:
            raise InputError("the number of outputs depends on the number of steps")
        outputs = []
        for names in zip(*(graph.outputs for graph in self.rolled.originals), strict=True):
            outputs.append(self._output(names))
        for item in reversed(range(len(self.rolled.items.items))):
            description = self.rolled.items.items[item]
            if isinstance(description, Single):
                self._single(item, description)
            else:
                self._loop(item, description)
        nodes = needed_nodes(list(reversed(self.rolled.nodes)), outputs)
        read = {name for node in nodes for name in node.inputs} | set(outputs)
        constants = {name: array for name, array in self.rolled.constants.items() if name in read}
        return Graph(inputs, constants, tuple(nodes), tuple(outputs), self._guards())

    def _guards(self) -> tuple[Guard, ...]:
        guards = [set(map(str, graph.guards)) for graph in self.rolled.originals]
        if any(others != guards[-1] for others in guards):
            raise InputError("the guards of the graph depend on the number of steps")
        shortest = self.rolled.graphs[0].length
        bounds = (Guard(shortest, "<=", self.rolled.sizes.steps),) if shortest > 1 else ()
        return (*self.rolled.originals[-1].guards, *bounds)

    def _output(self, names: Sequence[str]) -> str:
        """An output of the network: its name, that of the longest graph."""
        places = dict(enumerate(self.rolled.items.place(graph, name) for graph, name in enumerate(names)))
        name = names[-1]
        before: list[Node] = []
        value = self.rolled.value(places, f"the output {name}", before.append, name)
        if value != name:
            before.append(Node(self.rolled.unused("output"), operation_of("Identity", {}), (value,), (name,)))
        self.rolled.nodes += reversed(before)
        return name

    def _single(self, item: int, single: Single) -> None:
        nodes = [graph.nodes[number] for graph, number in zip(self.rolled.graphs, single.nodes, strict=True)]
        node = nodes[-1]
        before: list[Node] = []
        if isinstance(node.operation, Concat):
            self._concat(nodes, before)
            self.rolled.nodes += reversed(before)
            return
        widest = max(len(other.inputs) for other in nodes)
        inputs = []
        for number in range(widest):
            places = {
                graph: self.rolled.items.place(graph, other.inputs[number] if number < len(other.inputs) else "")
                for graph, other in enumerate(nodes)
            }
            inputs.append(self.rolled.value(places, node.shown, before.append))
        operation = self.rolled.operation(dict(enumerate(nodes)))
        if any(len(other.outputs) != len(node.outputs) for other in nodes):
            raise InputError(f"{node.shown} has another number of outputs for each number of steps")
        self.rolled.nodes.append(Node(node.name, operation, tuple(inputs), node.outputs, node.origin))
        self.rolled.nodes += reversed(before)

    def _concat(self, nodes: Sequence[Node], before: list[Node]) -> None:
        """A Concat, of whose inputs there may be one for each step. That of all steps of one loop is its output."""
        node = nodes[-1]
        operation: Any = node.operation
        axis = operation.axis % len(self.rolled.graphs[-1].types[node.outputs[0]].shape)
        lists = [[self.rolled.items.place(graph, name) for name in other.inputs] for graph, other in enumerate(nodes)]
        segments = segments_of(lists, node)
        if len(segments) > 1:
            parts = [self._part(segment, node, axis, before.append) for segment in segments]
            concat = operation_of("Concat", {"axis": axis})
            before.append(Node(node.name, concat, tuple(parts), node.outputs, node.origin))
            return
        name = node.outputs[0]
        value = self._part(segments[0], node, axis, before.append, name)
        if value != name:
            before.append(Node(node.name, operation_of("Identity", {}), (value,), (name,), node.origin))

    def _part(self, segment: Segment, node: Node, axis: int, add: Callable[[Node], None], name: str = "") -> str:
        """One input of a Concat: a single one, or the values of the steps of a loop. name: what it is called, if it has
        no name yet.
        """
        what = node.shown
        if segment.counts is None:
            return self.rolled.value(segment.places, what, add)
        stacked = self._before_new_axis(segment, axis)
        value = (stacked.node, stacked.output)
        rows = self.rolled.stack(stacked.item, value, axis, name if stacked.has_axis else "")
        size = self.rolled.count(stacked.item)
        count = self.rolled.sizes.of(segment.counts, what)
        steps = {graph: place.step for graph, place in segment.places.items() if isinstance(place, StepOutput)}
        start = self.rolled.sizes.of(steps, what)
        rows = self.rolled.rows(rows, size, axis, start, segment.slope, count, what, add)
        if stacked.has_axis:
            return rows
        types = {graph: self.rolled.step_type(graph, segment.first) for graph in segment.places}
        shape = self.rolled.type(types, what).shape
        flat = (*shape[:axis], count * shape[axis], *shape[axis + 1 :])
        reshaped = name or self.rolled.unused("rows")
        reshape = operation_of("Reshape", {"shape": flat, "allowzero": 1})
        add(Node(self.rolled.unused("reshape"), reshape, (rows,), (reshaped,)))
        return reshaped

    def _before_new_axis(self, segment: Segment, axis: int) -> _Stacked:
        """What is joined, before each row gets the axis along which they are."""
        place = segment.first
        without_axis = _Stacked(place.item, place.node, place.output, has_axis=False)
        node = self.rolled.step_node(self.rolled.longest, place)
        operation: Any = node.operation
        read_type = self.rolled.graphs[-1].types[node.inputs[0]] if node.inputs else ValueType("float", ())
        shape = self.rolled.graphs[-1].types[node.outputs[0]].shape
        with_axis = (*read_type.shape[:axis], 1, *read_type.shape[axis:])
        if operation.name() not in ("Unsqueeze", "Reshape") or shape != with_axis:
            return without_axis
        read = self.rolled.repetition(place.item).reads[place.node][0]
        if isinstance(read, Local):
            return _Stacked(place.item, read.node, read.output, has_axis=True)
        before = self.rolled.items.place(self.rolled.longest, node.inputs[0])
        # The rows of another loop, in the same order, get their axis in a loop of their own.
        if not isinstance(read, StepOf) or read.slope != 1 or not isinstance(before, StepOutput):
            return without_axis
        if self.rolled.count(before.item) != self.rolled.count(place.item):
            return without_axis
        first_node = self.rolled.step_node(self.rolled.longest, place._replace(step=0))
        first = self.rolled.items.place(self.rolled.longest, first_node.inputs[0])
        if not isinstance(first, StepOutput) or first.step != 0:
            return without_axis
        return _Stacked(before.item, before.node, before.output, has_axis=True)

    def _loop(self, item: int, repetition: Repetition) -> None:
        last = self.rolled.last.get(item, {})
        stacked = self.rolled.stacked.get(item, {})
        if last or stacked:
            loop = LoopWriter(self.rolled, item, repetition)
            before: list[Node] = []
            node = loop.node(last, stacked, before.append)
            self.rolled.nodes.append(node)
            self.rolled.nodes += reversed(before)
