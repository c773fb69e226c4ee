"""`RolledValues`: the values of a graph with loops that is written down, of graphs for several numbers of steps.

See `gatewise.network.roll`. What later nodes read of a loop decides what the loop returns, so a graph is written from
its end: a value that is asked for gets its name here, and the loop that returns it is written later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, get_type_hints

import numpy as np

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Node
from gatewise.network.operation import Operation, ValueType
from gatewise.network.operations import operation_of
from gatewise.network.operations.range import Range
from gatewise.network.operations.slice import Slice
from gatewise.network.repetition import Carried, Input, Items, Place, Read, Repetition, Single, StepOutput
from gatewise.network.size import Dim, Size
from gatewise.network.step_sizes import StepSizes
from gatewise.network.unrolled_graph import Content, UnrolledGraph
from gatewise.network.unused_names import UnusedNames
from gatewise.types import Array


class RolledValues:
    """graphs: for these numbers of steps, the longest one last. name: of the size that stands for the number of steps.
    moves_rows: see `UnrolledGraph`.
    """

    def __init__(self, graphs: Sequence[Graph], lengths: Sequence[int], name: str, moves_rows: bool) -> None:
        self.originals = graphs
        pairs = zip(graphs, lengths, strict=True)
        self.graphs = [UnrolledGraph(graph, length, moves_rows=moves_rows) for graph, length in pairs]
        self.longest = len(graphs) - 1
        self.sizes = StepSizes(lengths, name)
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
        self.unused = UnusedNames(graphs[-1].types).unused

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

    def repetition(self, item: int) -> Repetition:
        """The item with this number, a repetition."""
        repetition = self.items.items[item]
        assert isinstance(repetition, Repetition)
        return repetition

    def _carried(self, item: int) -> set[Read]:
        return {read for reads in self.repetition(item).reads for read in reads if isinstance(read, Carried)}

    def count(self, item: int) -> Dim:
        """The number of steps of a loop."""
        return self.sizes.of(dict(enumerate(self.repetition(item).counts)), "a loop")

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

    def step_node(self, graph: int, place: StepOutput) -> Node:
        repetition = self.repetition(place.item)
        return self.graphs[graph].nodes[repetition.starts[graph] + place.step * repetition.size + place.node]

    def step_type(self, graph: int, place: StepOutput) -> ValueType:
        """The type of a value of the first step."""
        node = self.step_node(graph, place._replace(step=0))
        return self.graphs[graph].types[node.outputs[place.output]]

    def _step_name(self, place: StepOutput, suffix: str) -> str:
        node = self.step_node(self.longest, place._replace(step=0))
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

    def _lengths(self) -> str:
        return ", ".join(str(graph.length) for graph in self.graphs)
