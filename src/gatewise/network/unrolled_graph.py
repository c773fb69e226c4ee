"""`UnrolledGraph`: a graph of one number of steps, whose nodes are compared with those of the other steps.

Rows that are read by a constant number, such as x[:, 3], may be read before the loop, as `for row in x.unbind(1)` does.
They become nodes of the step that reads them: each reader gets a node of its own, right in front of it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gatewise.network.canonical import fixed_bounds
from gatewise.network.graph import Graph, Node
from gatewise.network.operation import ValueType
from gatewise.network.operations import operation_of
from gatewise.network.operations.slice import Slice
from gatewise.types import Array


class Row(NamedTuple):
    """Rows of an axis of the first input that a node reads by number: the first one, and how many they are. dropped:
    the axis is not there any more.
    """

    axis: int
    first: int
    size: int
    dropped: bool


@dataclass(frozen=True)
class Content:
    """What a constant holds."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, array: Array) -> Content:
        """Of an array."""
        return cls(array.dtype.str, array.shape, array.tobytes())

    @property
    def array(self) -> Array:
        """It again."""
        return np.frombuffer(self.data, dtype=self.dtype).reshape(self.shape)


class UnrolledGraph:
    """nodes: those of the graph, with those that read rows moved. tokens: a number for each node, equal for nodes that
    may be the same one in different steps. moves_rows: whether rows that are read by number become nodes of their
    readers.
    """

    def __init__(self, graph: Graph, length: int, *, moves_rows: bool = True) -> None:
        self.graph = graph
        self.length = length
        self.types: dict[str, ValueType] = dict(graph.types)
        self.contents = {name: Content.of(array) for name, array in graph.constants.items()}
        self.nodes: list[Node] = []
        self._readers: dict[str, Node] = {}
        for node in graph.nodes:
            if moves_rows:
                self._take(node)
            else:
                self.nodes.append(node)
        for name in graph.outputs:
            self._materialise(name)
        self.producers = {
            name: (number, place) for number, node in enumerate(self.nodes) for place, name in enumerate(node.outputs)
        }

    def _take(self, node: Node) -> None:
        if node.operation.name() == "Split" and self._is_split_into_rows(node):
            operation: Any = node.operation
            for number, name in enumerate(node.outputs):
                row = Slice((number,), (number + 1,), (operation.axis,))
                self._readers[name] = Node(f"{node.name}/{number}", row, node.inputs, (name,), node.origin)
            return
        squeezes_rows = node.operation.name() == "Squeeze" and node.inputs[0] in self._readers
        if squeezes_rows or self.row_of(node) is not None:
            self._readers[node.outputs[0]] = node
            return
        inputs = tuple(self._own(name, node.name) for name in node.inputs)
        self.nodes.append(Node(node.name, node.operation, inputs, node.outputs, node.origin))

    def _is_split_into_rows(self, node: Node) -> bool:
        axis = node.operation.axis  # type: ignore[attr-defined]
        return all(self.types[name].shape[axis] == 1 for name in node.outputs)

    def _own(self, name: str, reader: str) -> str:
        """The value for one reader: that of a node of its own, if it is rows that are read by number."""
        node = self._readers.get(name)
        if node is None:
            return name
        own = f"{name}/{reader}"
        number = 0
        while own in self.types:
            number += 1
            own = f"{name}/{reader}/{number}"
        self.types[own] = self.types[name]
        inputs = tuple(self._own(read, own) for read in node.inputs)
        self.nodes.append(Node(own, node.operation, inputs, (own,), node.origin))
        return own

    def _materialise(self, name: str) -> None:
        """An output of the graph that is rows read by number."""
        node = self._readers.pop(name, None)
        if node is not None:
            inputs = tuple(self._own(read, name) for read in node.inputs)
            self.nodes.append(Node(node.name, node.operation, inputs, node.outputs, node.origin))

    def row_of(self, node: Node) -> Row | None:
        """The rows that a node reads by a constant number; None for other nodes."""
        operation: Any = node.operation
        if operation.name() == "Gather":
            content = self.contents.get(node.inputs[1])
            shape = self.types[node.inputs[0]].shape
            axis = operation.axis % len(shape)
            size = shape[axis]
            if content is None or content.array.size != 1 or not isinstance(size, int):
                return None
            return Row(axis, int(content.array.flat[0]) % size, 1, not content.shape)
        if operation.name() == "Slice":
            whole = self._only_row(node)
            if whole is not None:
                return whole
            bounds = fixed_bounds(operation, self.types[node.inputs[0]].shape)
            if bounds is not None and len(bounds) == 1:
                ((axis, (first, count, stride)),) = bounds.items()
                if stride == 1:
                    return Row(axis, first, count, False)
        return None

    def _only_row(self, node: Node) -> Row | None:
        """The row 0 that a node reads of an axis of one row, as x[:, t : t + 1] does of one step."""
        operation: Any = node.operation
        shape = self.types[node.inputs[0]].shape
        if operation.starts != (0,) or operation.ends != (1,) or operation.steps not in (None, (1,)):
            return None
        axis = (operation.axes or (0,))[0] % len(shape)
        return Row(axis, 0, 1, False) if shape[axis] == 1 else None

    def token(self, node: Node) -> Hashable:
        """What is equal for nodes that may be the same one in different steps: where weights are read, which ones."""
        inputs: list[Hashable] = []
        for name in node.inputs:
            content = self.contents.get(name)
            is_number = content is not None and len(content.data) <= np.dtype(content.dtype).itemsize
            if content is None or is_number or np.dtype(content.dtype).kind == "i":
                inputs.append(self.types[name].dtype if name else "")
            else:
                inputs.append(content)
        if node.operation.name() == "Slice":
            return "Slice", tuple(inputs)
        return node.operation.name(), tuple(inputs)


def row_node(name: str, data: str, axis: int, row: int, dropped: bool, index: str) -> Node:
    """A node that reads one row of an axis. index: the constant of its number, for a Gather."""
    if dropped:
        return Node(name, operation_of("Gather", {"axis": axis}), (data, index), (name,))
    return Node(name, Slice((row,), (row + 1,), (axis,)), (data,), (name,))
