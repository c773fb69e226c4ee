"""`rolled`: a graph with loops, of graphs of the same network that were read for several fixed numbers of steps.

PyTorch writes a loop over the steps of a sequence as many times as there are steps. Graphs of at least three numbers of
steps tell the nodes of one step from those around the loop (`gatewise.network.repetition`), and how each size depends
on the number of steps T: as a + b T. The result is written step by step again for each number of steps, and has to be
the graph that was read (`gatewise.network.canonical`). No value is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

import numpy as np

from gatewise.errors import InputError
from gatewise.network.canonical import different
from gatewise.network.graph import Graph, Guard, Node
from gatewise.network.operation import Operation, ValueType
from gatewise.network.operations import operation_of
from gatewise.network.operations.concat import Concat
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.range import Range
from gatewise.network.operations.slice import Slice
from gatewise.network.repetition import (
    Carried,
    Fixed,
    Input,
    Items,
    Local,
    Number,
    Place,
    Read,
    Repetition,
    Single,
    StepOf,
    StepOutput,
)
from gatewise.network.size import Dim, Size, symbol
from gatewise.network.unroll import unrolled
from gatewise.network.unrolled_graph import Content, UnrolledGraph
from gatewise.types import Array

LEAST_GRAPHS = 3
LEAST_LENGTH = 4
"""Of the longest graph: a loop whose first step differs has three equal ones then."""


def rolled(graphs: Sequence[Graph], lengths: Sequence[int], name: str = "T") -> Graph:
    """The graph for any number of steps, of graphs for these numbers of them. name: of the size that stands for it.

    It holds for as few steps as were read. Raises InputError naming the first node that is not the same for all numbers
    of steps.
    """
    pairs = sorted(zip(lengths, graphs, strict=True), key=lambda pair: pair[0])
    if len(pairs) < LEAST_GRAPHS or len({length for length, _ in pairs}) < len(pairs):
        raise InputError(f"a loop needs graphs of {LEAST_GRAPHS} numbers of steps, not of {lengths}")
    if pairs[-1][0] < LEAST_LENGTH:
        raise InputError(f"a loop needs a graph of at least {LEAST_LENGTH} steps, not of {pairs[-1][0]}")
    reason: InputError | None = None
    # The shortest graphs may be special cases, as a network that takes its second step apart: the others decide then,
    # and the graph holds for their numbers of steps.
    while len(pairs) >= LEAST_GRAPHS:
        # Rows may be read before the loop, and the first one may be the initial state.
        for moves_rows in (True, False):
            try:
                return _rolled([graph for _, graph in pairs], [length for length, _ in pairs], name, moves_rows)
            except InputError as error:
                reason = error if moves_rows else reason
        del pairs[0]
    assert reason is not None
    raise reason


def _rolled(graphs: Sequence[Graph], lengths: Sequence[int], name: str, moves_rows: bool) -> Graph:
    graph = _Writer(graphs, lengths, name, moves_rows).graph()
    for original, length in zip(graphs, lengths, strict=True):
        node = different(original, unrolled(graph, {name: length}))
        if node is not None:
            raise InputError(f"{node.shown} is not what the loop computes for {length} steps")
    return graph


class _Sizes:
    """How sizes depend on the number of steps."""

    def __init__(self, lengths: Sequence[int], name: str) -> None:
        self.lengths = lengths
        self.steps = symbol(name)

    def of(self, numbers: Mapping[int, Dim], what: str) -> Dim:
        """The size that these are, by the number of the graph. Raises InputError for one that is not a + b T."""
        dims = list(numbers.values())
        if all(dim == dims[0] for dim in dims):
            return dims[0]
        total: Dim = 0
        terms: list[dict[tuple[Any, ...], int]] = [
            dict(dim.terms) if isinstance(dim, Size) else {(): dim} for dim in dims
        ]
        for factors in {factors for of_dim in terms for factors in of_dim}:
            coefficients = [of_dim.get(factors, 0) for of_dim in terms]
            product: Dim = self._line(list(numbers), coefficients, what)
            for factor in factors:
                product = product * (symbol(factor) if isinstance(factor, str) else Size((((factor,), 1),)))
            total = total + product
        return total

    def _line(self, graphs: Sequence[int], numbers: Sequence[int], what: str) -> Dim:
        lengths = [self.lengths[graph] for graph in graphs]
        slope, rest = divmod(numbers[-1] - numbers[0], lengths[-1] - lengths[0])
        start = numbers[0] - slope * lengths[0]
        fits = all(start + slope * length == number for length, number in zip(lengths, numbers, strict=True))
        if rest or not fits:
            those = ", ".join(f"{number} for {length}" for length, number in zip(lengths, numbers, strict=True))
            raise InputError(f"{what} has a number that does not grow evenly with the steps: {those}")
        return start + slope * self.steps


@dataclass
class _Segment:
    """Inputs of a Concat: a single one, or the values of steps that follow each other. places: of the first one, by the
    graph. counts: how many there are, by the graph; None for a single one.
    """

    places: dict[int, Place]
    counts: dict[int, int] | None = None
    slope: int = 1

    @property
    def first(self) -> StepOutput:
        """The first step, in the longest graph."""
        place = self.places[max(self.places)]
        assert isinstance(place, StepOutput)
        return place


def _segments(lists: Sequence[Sequence[Place]], node: Node) -> list[_Segment]:
    """The inputs of a Concat, by the graph."""
    segments: list[_Segment] = []
    at = [0] * len(lists)
    longest = lists[-1]
    while at[-1] < len(longest):
        slope = 1
        if _moved(longest[at[-1]], -1) in longest[at[-1] + 1 : at[-1] + 2]:
            slope = -1
        count = _length(longest, at[-1], slope)
        segment = _Segment({}, None if count == 1 else {}, slope)
        for graph, places in enumerate(lists):
            if count == 1:
                number = 1
            else:
                number = _length(places, at[graph], slope, like=longest[at[-1]])
            if number and at[graph] < len(places):
                segment.places[graph] = places[at[graph]]
            if segment.counts is not None:
                segment.counts[graph] = number
        for graph in range(len(lists) - 1):
            at[graph] += segment.counts[graph] if segment.counts is not None else 1
        at[-1] += count
        segments.append(segment)
    for graph, places in enumerate(lists):
        if at[graph] != len(places):
            raise InputError(f"{node.shown} has {len(places)} inputs where {at[graph]} were expected")
    return segments


def _moved(place: Place, steps: int) -> Place:
    return place._replace(step=place.step + steps) if isinstance(place, StepOutput) else Input("")


def _moved_to_start(place: Place) -> Place:
    return place._replace(step=0) if isinstance(place, StepOutput) else None


def _length(places: Sequence[Place], start: int, slope: int, like: Place = None) -> int:
    """How many values of steps follow each other from a place on; 1 for a value of no loop, 0 for one that is not that
    of a step `like` another one.
    """
    if start >= len(places):
        return 0
    first = places[start]
    if isinstance(like, StepOutput) and _moved_to_start(first) != _moved_to_start(like):
        return 0
    count = 1
    while start + count < len(places) and places[start + count] == _moved(first, slope * count):
        count += 1
    return count


def _needed(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes on which outputs depend."""
    read = set(outputs)
    kept: list[Node] = []
    for node in reversed(nodes):
        if read.intersection(node.outputs):
            kept.append(node)
            read.update(node.inputs)
    return kept[::-1]


class _Writer:
    """Writes the graph from its end: what later nodes read of a loop decides what the loop returns."""

    def __init__(self, graphs: Sequence[Graph], lengths: Sequence[int], name: str, moves_rows: bool) -> None:
        self.originals = graphs
        pairs = zip(graphs, lengths, strict=True)
        self.graphs = [UnrolledGraph(graph, length, moves_rows=moves_rows) for graph, length in pairs]
        self.longest = len(graphs) - 1
        self.sizes = _Sizes(lengths, name)
        for graph in graphs:
            if name in graph.symbols:
                raise InputError(f"the graph already has a size {name}")
        self.items = Items(self.graphs)
        self.constants: dict[str, Array] = {}
        self.nodes: list[Node] = []
        """In the opposite order."""
        self.last: dict[int, dict[tuple[int, int], str]] = {}
        """By repetition and value of a step: the name of that of the last step, where it is read."""
        self.stacked: dict[int, dict[tuple[int, int, int], str]] = {}
        """By repetition, value of a step and axis: the name of those of all steps, where they are read."""
        self.sliced: dict[tuple[str, Operation], str] = {}
        """By the value and the operation: the name of rows of a value."""
        self._names = set(graphs[-1].types)

    def graph(self) -> Graph:
        """The graph."""
        inputs: dict[str, ValueType] = {}
        for name in self.originals[-1].inputs:
            types = {number: graph.inputs[name] for number, graph in enumerate(self.originals)}
            inputs[name] = self.type(types, f"the input {name}")
        if not any(dim == self.sizes.steps for value_type in inputs.values() for dim in value_type.shape):
            raise InputError("no input has an axis of the steps")
        counts = {len(graph.outputs) for graph in self.originals}
        if len(counts) > 1:
            raise InputError("the number of outputs depends on the number of steps")
        outputs = []
        for names in zip(*(graph.outputs for graph in self.originals), strict=True):
            outputs.append(self._output(names))
        for item in reversed(range(len(self.items.items))):
            description = self.items.items[item]
            if isinstance(description, Single):
                self._single(item, description)
            else:
                self._loop(item, description)
        nodes = _needed(list(reversed(self.nodes)), outputs)
        read = {name for node in nodes for name in node.inputs} | set(outputs)
        constants = {name: array for name, array in self.constants.items() if name in read}
        return Graph(inputs, constants, tuple(nodes), tuple(outputs), self._guards())

    def _guards(self) -> tuple[Guard, ...]:
        guards = [set(map(str, graph.guards)) for graph in self.originals]
        if any(others != guards[-1] for others in guards):
            raise InputError("the guards of the graph depend on the number of steps")
        shortest = self.graphs[0].length
        bounds = (Guard(shortest, "<=", self.sizes.steps),) if shortest > 1 else ()
        return (*self.originals[-1].guards, *bounds)

    def _output(self, names: Sequence[str]) -> str:
        """An output of the network: its name, that of the longest graph."""
        places = dict(enumerate(self.items.place(graph, name) for graph, name in enumerate(names)))
        name = names[-1]
        before: list[Node] = []
        value = self.value(places, f"the output {name}", before.append, name)
        if value != name:
            before.append(Node(self.unused("output"), operation_of("Identity", {}), (value,), (name,)))
        self.nodes += reversed(before)
        return name

    # Values

    def value(self, places: Mapping[int, Place], what: str, add: Callable[[Node], None], name: str = "") -> str:
        """The name of the value that comes from these places, by graph. add: takes a node that is needed for it. name:
        what a value of a loop is called, if it has no name yet.
        """
        places = self._of_loops(places)
        place = places[max(places)]
        kinds = {type(other) for other in places.values()}
        if len(kinds) > 1:
            raise InputError(f"{what} reads different values for {self._lengths()} steps")
        if place is None:
            return ""
        if isinstance(place, Content):
            return self._constant(
                {graph: other for graph, other in places.items() if isinstance(other, Content)}, what, add
            )
        if isinstance(place, StepOutput):
            return self._of_step(places, place, what, add, name)
        if len(set(places.values())) > 1:
            raise InputError(f"{what} reads different values for {self._lengths()} steps")
        if isinstance(place, Input):
            return place.name
        single = self.items.items[place.item]
        assert isinstance(single, Single)
        return self.graphs[-1].nodes[single.nodes[-1]].outputs[place.output]

    def _of_loops(self, places: Mapping[int, Place]) -> Mapping[int, Place]:
        """Without the graphs in which a loop has no step: what is read there instead is its initial state, and the
        comparison with the graph that was read decides.
        """
        if not any(isinstance(place, StepOutput) for place in places.values()):
            return places
        return {graph: place for graph, place in places.items() if isinstance(place, StepOutput)}

    def _of_step(
        self, places: Mapping[int, Place], place: StepOutput, what: str, add: Callable[[Node], None], name: str
    ) -> str:
        """A value of one step."""
        steps: dict[int, Dim] = {}
        for graph, other in places.items():
            if not isinstance(other, StepOutput) or other._replace(step=0) != place._replace(step=0):
                raise InputError(f"{what} reads different values for {self._lengths()} steps")
            steps[graph] = other.step
        index = self.sizes.of(steps, what)
        count = self.count(place.item)
        value = (place.node, place.output)
        if index == count - 1 and Carried(*value) in self._carried(place.item):
            return self.last.setdefault(place.item, {}).setdefault(value, name or self._step_name(place, "last"))
        rows = self.stack(place.item, value, 0)
        if isinstance(index, Size):
            index = index - count
        if isinstance(index, Size):
            raise InputError(f"{what} reads a step that is neither counted from the first nor from the last one")
        number = self.new_constant(np.array(index), "step")
        gathered = name or self._step_name(place, "step")
        add(Node(self.unused(gathered), operation_of("Gather", {"axis": 0}), (rows, number), (gathered,)))
        return gathered

    def stack(self, item: int, value: tuple[int, int], axis: int, name: str = "") -> str:
        """The values of all steps along a new axis."""
        names = self.stacked.setdefault(item, {})
        return names.setdefault((*value, axis), name or self._step_name(StepOutput(item, 0, *value), "steps"))

    def _carried(self, item: int) -> set[Read]:
        repetition = self.items.items[item]
        assert isinstance(repetition, Repetition)
        return {read for reads in repetition.reads for read in reads if isinstance(read, Carried)}

    def count(self, item: int) -> Dim:
        """The number of steps of a loop."""
        repetition = self.items.items[item]
        assert isinstance(repetition, Repetition)
        return self.sizes.of(dict(enumerate(repetition.counts)), "a loop")

    def _constant(self, contents: Mapping[int, Content], what: str, add: Callable[[Node], None]) -> str:
        """A constant. One that depends on the number of steps has one number in all places, is a whole number that
        grows with it, or counts the steps.
        """
        arrays = {graph: content.array for graph, content in contents.items()}
        array = arrays[max(arrays)]
        if len(set(contents.values())) == 1:
            return self.new_constant(array)
        if len({(other.ndim, other.dtype) for other in arrays.values()}) == 1:
            shapes = {graph: ValueType("float", other.shape) for graph, other in arrays.items()}
            shape = self.type(shapes, what).shape
            numbers = {other.flat[0] for other in arrays.values() if other.size}
            uniform = all(np.all(other == other.flat[0]) for other in arrays.values() if other.size)
            if uniform and len(numbers) == 1:
                number = self.new_constant(np.full((1,) * array.ndim, array.flat[0]))
                return self.new(add, "full", operation_of("Expand", {"shape": shape}), number)
            if uniform and array.size == 1 and all(float(number).is_integer() for number in numbers):
                return self._growing(arrays, what, add)
            if (
                array.ndim == 1
                and array.dtype.kind == "i"
                and all(np.array_equal(other, np.arange(len(other))) for other in arrays.values())
            ):
                dtype: Any = array.dtype.name
                return self.new(add, "range", Range(0, shape[0], dtype=dtype))
        raise InputError(f"{what} reads a constant that depends on the number of steps")

    def _growing(self, arrays: Mapping[int, Array], what: str, add: Callable[[Node], None]) -> str:
        """A whole number that depends on the number of steps, as in sum / T."""
        array = arrays[max(arrays)]
        number = self.sizes.of({graph: int(other.flat[0]) for graph, other in arrays.items()}, what)
        value = self.new(add, "size", operation_of("Sizes", {"sizes": (number,), "scalar": array.ndim == 0}))
        if array.ndim > 1:
            value = self.new(add, "size", operation_of("Reshape", {"shape": array.shape}), value)
        if array.dtype == np.int64:
            return value
        to = {"f": 1, "i": 6}[array.dtype.kind]
        return self.new(add, "size", operation_of("Cast", {"to": to}), value)

    # Nodes outside of loops

    def _single(self, item: int, single: Single) -> None:
        nodes = [graph.nodes[number] for graph, number in zip(self.graphs, single.nodes, strict=True)]
        node = nodes[-1]
        before: list[Node] = []
        if isinstance(node.operation, Concat):
            self._concat(nodes, before)
            self.nodes += reversed(before)
            return
        widest = max(len(other.inputs) for other in nodes)
        inputs = []
        for number in range(widest):
            places = {
                graph: self.items.place(graph, other.inputs[number] if number < len(other.inputs) else "")
                for graph, other in enumerate(nodes)
            }
            inputs.append(self.value(places, node.shown, before.append))
        operation = self.operation(dict(enumerate(nodes)))
        if any(len(other.outputs) != len(node.outputs) for other in nodes):
            raise InputError(f"{node.shown} has another number of outputs for each number of steps")
        self.nodes.append(Node(node.name, operation, tuple(inputs), node.outputs, node.origin))
        self.nodes += reversed(before)

    def _concat(self, nodes: Sequence[Node], before: list[Node]) -> None:
        """A Concat, of whose inputs there may be one for each step. That of all steps of one loop is its output."""
        node = nodes[-1]
        axis = node.operation.axis % len(self.graphs[-1].types[node.outputs[0]].shape)  # type: ignore[attr-defined]
        lists = [[self.items.place(graph, name) for name in other.inputs] for graph, other in enumerate(nodes)]
        segments = _segments(lists, node)
        if len(segments) > 1:
            parts = [self._part(segment, node, axis, before.append) for segment in segments]
            before.append(
                Node(node.name, operation_of("Concat", {"axis": axis}), tuple(parts), node.outputs, node.origin)
            )
            return
        name = node.outputs[0]
        value = self._part(segments[0], node, axis, before.append, name)
        if value != name:
            before.append(Node(node.name, operation_of("Identity", {}), (value,), (name,), node.origin))

    def _part(self, segment: _Segment, node: Node, axis: int, add: Callable[[Node], None], name: str = "") -> str:
        """One input of a Concat: a single one, or the values of the steps of a loop. name: what it is called, if it has
        no name yet.
        """
        what = node.shown
        if segment.counts is None:
            return self.value(segment.places, what, add)
        place = segment.first
        item, value, added = self._before_new_axis(segment, axis)
        rows = self.stack(item, value, axis, name if added else "")
        count = self.sizes.of(segment.counts, what)
        start = self.sizes.of(
            {graph: other.step for graph, other in segment.places.items() if isinstance(other, StepOutput)}, what
        )
        rows = self.rows(rows, self.count(item), axis, start, segment.slope, count, what, add)
        if added:
            return rows
        types = {graph: self._step_type(graph, place) for graph in segment.places}
        shape = self.type(types, what).shape
        flat = (*shape[:axis], count * shape[axis], *shape[axis + 1 :])
        reshaped = name or self.unused("rows")
        reshape = operation_of("Reshape", {"shape": flat, "allowzero": 1})
        add(Node(self.unused("reshape"), reshape, (rows,), (reshaped,)))
        return reshaped

    def _before_new_axis(self, segment: _Segment, axis: int) -> tuple[int, tuple[int, int], bool]:
        """The repetition and the value of a step that are concatenated, before each row gets the axis along which they
        are; and whether there is such an axis.
        """
        place = segment.first
        value = (place.node, place.output)
        repetition = self.items.items[place.item]
        assert isinstance(repetition, Repetition)
        node = self._step_node(self.longest, place)
        operation: Any = node.operation
        read_type = self.graphs[-1].types[node.inputs[0]] if node.inputs else ValueType("float", ())
        shape = self.graphs[-1].types[node.outputs[0]].shape
        adds = operation.name() in ("Unsqueeze", "Reshape")
        adds = adds and shape == (*read_type.shape[:axis], 1, *read_type.shape[axis:])
        if not adds:
            return place.item, value, False
        read = repetition.reads[place.node][0]
        if isinstance(read, Local):
            return place.item, (read.node, read.output), True
        before = self.items.place(self.longest, node.inputs[0])
        # The rows of another loop, in the same order, get their axis in a loop of their own.
        whole = isinstance(read, StepOf) and read.slope == 1 and isinstance(before, StepOutput)
        if whole and isinstance(before, StepOutput) and self.count(before.item) == self.count(place.item):
            first = self.items.place(self.longest, self._step_node(self.longest, place._replace(step=0)).inputs[0])
            if isinstance(first, StepOutput) and first.step == 0:
                return before.item, (before.node, before.output), True
        return place.item, value, False

    # Loops

    def _loop(self, item: int, repetition: Repetition) -> None:
        last = self.last.get(item, {})
        stacked = self.stacked.get(item, {})
        if last or stacked:
            loop = _LoopWriter(self, item, repetition)
            before: list[Node] = []
            node = loop.node(last, stacked, before.append)
            self.nodes.append(node)
            self.nodes += reversed(before)

    def rows(
        self,
        value: str,
        size: Dim,
        axis: int,
        start: Dim,
        slope: int,
        count: Dim,
        what: str,
        add: Callable[[Node], None],
    ) -> str:
        """`count` rows of an axis of this size, from `start` on, in the order of the slope."""
        if slope == 1:
            if start == 0 and count == size:
                return value
            sliced = Slice((start,), (start + count,), (axis,))
        elif slope == -1:
            # Counted from the end, a row is a number.
            first = start - size
            end = first - count
            sliced = Slice((first,), (end,), (axis,), (-1,))
        else:
            raise InputError(f"{what} reads every {abs(slope)}th row")
        if (value, sliced) not in self.sliced:
            self.sliced[value, sliced] = self.unused("rows")
        # Written in the opposite order, the first one that is written stands last.
        name = self.sliced[value, sliced]
        self.nodes = [node for node in self.nodes if node.outputs != (name,)]
        add(Node(name, sliced, (value,), (name,)))
        return name

    # What the graphs have in common

    def operation(self, nodes: Mapping[int, Node]) -> Operation:
        """The operation that those of the graphs are, with sizes that depend on the number of steps."""
        operations = {graph: node.operation for graph, node in nodes.items()}
        operation: Any = operations[max(operations)]
        shown = nodes[max(nodes)].shown
        if any(type(other) is not type(operation) for other in operations.values()):
            raise InputError(f"{shown} is another operation for {self._lengths()} steps")
        hints = get_type_hints(type(operation))
        changed: dict[str, Any] = {}
        for attribute in fields(operation):
            values = {graph: getattr(other, attribute.name) for graph, other in operations.items()}
            if any(value != values[max(values)] for value in values.values()):
                if "Size" not in str(hints[attribute.name]):
                    raise InputError(f"{shown}: {attribute.name} depends on the number of steps")
                changed[attribute.name] = self._attribute(values, shown)
        result: Operation = replace(operation, **changed)
        return result

    def _attribute(self, values: Mapping[int, Any], shown: str) -> Any:
        if all(isinstance(value, int | Size) for value in values.values()):
            return self.sizes.of(values, shown)
        if (
            not all(isinstance(value, tuple) for value in values.values())
            or len({len(value) for value in values.values()}) > 1
        ):
            raise InputError(f"{shown} has other attributes for {self._lengths()} steps")
        first = values[max(values)]
        return tuple(
            self._attribute({graph: value[place] for graph, value in values.items()}, shown)
            for place in range(len(first))
        )

    def type(self, types: Mapping[int, ValueType], what: str) -> ValueType:
        """The type that those of the graphs are."""
        last = types[max(types)]
        if any(len(other.shape) != len(last.shape) or other.dtype != last.dtype for other in types.values()):
            raise InputError(f"{what} has other axes for {self._lengths()} steps")
        shape = []
        for axis in range(len(last.shape)):
            shape.append(self.sizes.of({graph: other.shape[axis] for graph, other in types.items()}, what))
        return ValueType(last.dtype, tuple(shape))

    def _step_node(self, graph: int, place: StepOutput) -> Node:
        repetition = self.items.items[place.item]
        assert isinstance(repetition, Repetition)
        return self.graphs[graph].nodes[repetition.starts[graph] + place.step * repetition.size + place.node]

    def _step_type(self, graph: int, place: StepOutput) -> ValueType:
        """The type of a value of the first step."""
        node = self._step_node(graph, place._replace(step=0))
        return self.graphs[graph].types[node.outputs[place.output]]

    def _step_name(self, place: StepOutput, suffix: str) -> str:
        node = self._step_node(self.longest, place._replace(step=0))
        return self.unused(f"{node.outputs[place.output]}_{suffix}")

    # Names

    def new(self, add: Callable[[Node], None], base: str, operation: Operation, *inputs: str) -> str:
        name = self.unused(base)
        add(Node(name, operation, inputs, (name,)))
        return name

    def new_constant(self, array: Array, base: str = "constant") -> str:
        content = Content.of(array)
        for name, other in self.constants.items():
            if Content.of(other) == content:
                return name
        for name, other_content in self.graphs[-1].contents.items():
            if other_content == content:
                self.constants[name] = array
                return name
        name = self.unused(base)
        self.constants[name] = array
        return name

    def unused(self, base: str) -> str:
        name = base
        number = 1
        while name in self._names:
            name = f"{base}_{number}"
            number += 1
        self._names.add(name)
        return name

    def _lengths(self) -> str:
        return ", ".join(str(graph.length) for graph in self.graphs)


class _LoopWriter:
    """Writes one loop, with what of it is read."""

    def __init__(self, writer: _Writer, item: int, repetition: Repetition) -> None:
        self.writer = writer
        self.item = item
        self.repetition = repetition
        self.graphs = [graph for graph, count in enumerate(repetition.counts) if count]
        self.steps = writer.count(item)
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
        longest = writer.graphs[-1]
        start = repetition.starts[-1]
        self.originals = longest.nodes[start : start + repetition.size]
        self._names = {name for node in self.originals for name in node.outputs}

    def node(
        self,
        last: Mapping[tuple[int, int], str],
        stacked: Mapping[tuple[int, int, int], str],
        add: Callable[[Node], None],
    ) -> Node:
        """The loop. last, stacked: what is read of its last step, and of all, with the axes and the names."""
        needed = self._needed([*last, *((node, output) for node, output, _ in stacked)])
        for number in sorted(needed):
            self._write(number)
        for value in last:
            if not any(state[:2] == value for state in self.states):
                self._initial_state(value)
        outputs: list[str] = []
        lasts: dict[tuple[int, int], str] = dict(last)
        for node, output, _ in self.states:
            name = lasts.pop((node, output), "")
            outputs.append(name or self.writer.unused(f"{self.values[node, output]}_unread"))
        outputs += stacked.values()
        returned = [self.values[node, output] for node, output, _ in self.states]
        returned += [self.values[node, output] for node, output, _ in stacked]
        names = [*self.states.values(), *self.sequences.values(), *self.others.values()]
        nodes = tuple(_needed(self.nodes, returned))
        body = Graph({name: self.types[name] for name in names}, {}, nodes, tuple(returned))
        axes = tuple(axis for _, axis in self.sequences)
        loop = Loop(body, self.steps, axes, tuple(axis for _, _, axis in stacked))
        inputs = [initial for _, _, initial in self.states]
        inputs += [name for name, _ in self.sequences]
        inputs += self.others
        for node_before in {node_before.outputs: node_before for node_before in self.before}.values():
            add(node_before)
        return Node(self.writer.unused("loop"), loop, tuple(inputs), tuple(outputs), self.originals[0].origin)

    def _needed(self, values: Sequence[tuple[int, int]]) -> set[int]:
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
        operation = self.writer.operation(nodes)
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
        return self.writer.graphs[graph].nodes[self.repetition.starts[graph] + number]

    def _name(self, graph: int, number: int, place: int) -> str:
        """What a node of the first step reads."""
        inputs = self._original(graph, number).inputs
        return inputs[place] if place < len(inputs) else ""

    def _places(self, number: int, place: int) -> dict[int, Place]:
        """Where it comes from, by the graph."""
        return {graph: self.writer.items.place(graph, self._name(graph, number, place)) for graph in self.graphs}

    def _type(self, number: int, place: int) -> ValueType:
        types = {graph: self.writer.graphs[graph].types[self._name(graph, number, place)] for graph in self.graphs}
        return self.writer.type(types, self.originals[number].shown)

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
        value = self.writer.value(places, self.originals[number].shown, self.before.append)
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
        types = {graph: self.writer.graphs[graph].types[node.outputs[read.output]] for graph, node in nodes.items()}
        value_type = self.writer.type(types, what)
        initial = self.writer.value(self._places(number, place), what, self.before.append)
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
        zero = self.writer.new_constant(np.zeros((1,) * len(value_type.shape), np.float32))
        expand = operation_of("Expand", {"shape": value_type.shape})
        return self.writer.new(self.before.append, f"{formal}_zeros", expand, zero)

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
        rows = self.writer.stack(first.item, (first.node, first.output), 0)
        start = self.writer.sizes.of({graph: other.step for graph, other in places.items()}, what)
        size = self.writer.count(first.item)
        return self.writer.rows(rows, size, 0, start, read.slope, self.steps, what, self.before.append), 0

    def _number(self, number: int, place: int, read: Number) -> str:
        """The number of the step, or one that grows with it."""
        what = self.originals[number].shown
        arrays = {
            graph: self.writer.graphs[graph].contents[self._name(graph, number, place)].array for graph in self.graphs
        }
        array = arrays[max(arrays)]
        if abs(read.slope) != 1 or any(other.shape != array.shape for other in arrays.values()):
            raise InputError(f"{what} reads a number that grows by {read.slope} from step to step")
        start = self.writer.sizes.of({graph: int(other.flat[0]) for graph, other in arrays.items()}, what)
        dtype: Any = array.dtype.name
        numbers = Range(start, start + read.slope * self.steps, read.slope, dtype)
        value = self.writer.new(self.before.append, "numbers", numbers)
        row = self._sequence(value, 0, ValueType(dtype, ()))
        if not array.shape:
            return row
        expand = operation_of("Expand", {"shape": array.shape})
        return self._add("number", expand, row)

    def _row(self, number: int, node: Node) -> None:
        """A node that reads the rows of the step of a sequence."""
        what = node.shown
        writer = self.writer
        rows = {graph: writer.graphs[graph].row_of(self._original(graph, number)) for graph in self.graphs}
        known = {graph: row for graph, row in rows.items() if row is not None}
        row = known[max(known)]
        if len(known) < len(rows) or any(other._replace(first=0) != row._replace(first=0) for other in known.values()):
            raise InputError(f"{what} reads other rows for different numbers of steps")
        read = self.repetition.reads[number][0]
        if not isinstance(read, Fixed):
            raise InputError(f"{what} reads other rows in each step of what each step computes")
        value = writer.value(self._places(number, 0), what, self.before.append)
        value_type = self._type(number, 0)
        size = value_type.shape[row.axis]
        start = writer.sizes.of({graph: other.first for graph, other in known.items()}, what)
        slope = self.repetition.rows[number]
        row_type = ValueType(value_type.dtype, (*value_type.shape[: row.axis], *value_type.shape[row.axis + 1 :]))
        parts = []
        for offset in range(row.size):
            sequence = writer.rows(value, size, row.axis, start + offset, slope, self.steps, what, self.before.append)
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

    def _unused(self, base: str) -> str:
        name = base
        number = 1
        while name in self._names:
            name = f"{base}_{number}"
            number += 1
        self._names.add(name)
        return name
