"""`GraphSteps`: where the steps of the main input of a graph enter it, for gradients along them.

Token ids have no gradient: what is differentiated are the values that they look up, in an embedding (Gather) or as one
of V (OneHot). Channels are differentiated themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.members.graph_axes import GraphAxes, InputAxes
from gatewise.network.graph import Graph, Node
from gatewise.network.operations.gather import Gather
from gatewise.network.operations.one_hot import OneHot
from gatewise.network.operations.transpose import Transpose
from gatewise.types import Array

_SAME = ("Cast", "Identity")  # operations after which ids are the same ids


@dataclass(frozen=True, eq=False)
class Lookup:
    """A node that looks ids up. axes: of its output. vocab_size: V. table: the constant (V, ...) of an embedding, ""
    for one of V.
    """

    node: Node
    axes: InputAxes
    vocab_size: int
    table: str

    @property
    def value(self) -> str:
        """The name of its output."""
        return self.node.outputs[0]


@dataclass(frozen=True, eq=False)
class GraphSteps:
    """Of a graph and the axes of its inputs."""

    graph: Graph
    axes: GraphAxes

    @cached_property
    def lookups(self) -> tuple[Lookup, ...]:
        """The nodes that look up the ids of the main input; none for channels."""
        main = self.axes.main
        axes = self.axes.of_inputs[main]
        if len(self.graph.inputs[main].shape) != sum(axis is not None for axis in (axes.batch, axes.steps)):
            return ()  # each step has several numbers
        ids = {main: axes}
        lookups = []
        for node in self.graph.nodes:
            operation = node.operation
            if operation.name() in _SAME and node.inputs[0] in ids:
                ids[node.outputs[0]] = ids[node.inputs[0]]
            elif isinstance(operation, Transpose) and node.inputs[0] in ids:
                ids[node.outputs[0]] = _transposed(ids[node.inputs[0]], operation, len(self.graph.inputs[main].shape))
            elif isinstance(operation, Gather) and node.inputs[1] in ids and node.inputs[0] in self.graph.constants:
                table = self.graph.constants[node.inputs[0]]
                if operation.axis % table.ndim == 0:
                    lookups.append(Lookup(node, ids[node.inputs[1]], len(table), node.inputs[0]))
            elif isinstance(operation, OneHot) and node.inputs[0] in ids:
                is_last = operation.axis == -1 and operation.dtype == "float"
                if is_last and isinstance(operation.depth, int):
                    lookups.append(Lookup(node, ids[node.inputs[0]], operation.depth, ""))
        return tuple(lookups)

    @property
    def vocab_size(self) -> int:
        """V: ids from 0 to V - 1 can be looked up everywhere."""
        return min(lookup.vocab_size for lookup in self.lookups)

    @cached_property
    def from_lookups(self) -> Graph:
        """The graph with what is looked up as further inputs."""
        values = [lookup.value for lookup in self.lookups]
        inputs = {**self.graph.inputs, **{name: self.graph.types[name] for name in values}}
        nodes = tuple(node for node in self.graph.nodes if not set(values).intersection(node.outputs))
        return replace(self.graph, inputs=inputs, nodes=nodes)

    @cached_property
    def embedding(self) -> Array:
        """What the ids look up (V, D), side by side where there are several tables. Raises InputError without one."""
        if not self.lookups:
            raise InputError(f"the input {quote(self.axes.main)} has no embedding")
        tables = []
        for lookup in self.lookups:
            if lookup.table:
                table = self.graph.constants[lookup.table][: self.vocab_size]
                tables.append(table.reshape(self.vocab_size, -1))
            else:
                operation = lookup.node.operation
                assert isinstance(operation, OneHot)
                off, on = operation.values
                table = np.full((self.vocab_size, lookup.vocab_size), off, dtype=np.float32)
                np.fill_diagonal(table, on)
                tables.append(table)
        return np.concatenate(tables, axis=1, dtype=np.float32)

    def split(self, x: Array) -> dict[str, Array]:
        """What is looked up, by name, in the layout of the graph, of x (B, T, D)."""
        values = {}
        first = 0
        for lookup in self.lookups:
            shape = [
                size for size in self.graph.types[lookup.value].shape[self._rank(lookup) :] if isinstance(size, int)
            ]
            width = int(np.prod(shape, dtype=np.int64))
            array = x[..., first : first + width].reshape(*x.shape[:2], *shape)
            values[lookup.value] = placed(array, lookup.axes)
            first += width
        return values

    def joined(self, values: dict[str, Array]) -> Array:
        """The inverse of `split`: (B, T, D)."""
        arrays = [taken(values[lookup.value], lookup.axes) for lookup in self.lookups]
        return np.concatenate([array.reshape(*array.shape[:2], -1) for array in arrays], axis=2)

    def _rank(self, lookup: Lookup) -> int:
        return sum(axis is not None for axis in (lookup.axes.batch, lookup.axes.steps))


def placed(array: Array, axes: InputAxes) -> Array:
    """An array (B, T, ...) with these axes; the one that is None has the size 1 and goes."""
    if axes.batch is None and axes.steps is None:
        return np.asarray(array[0, 0])
    if axes.batch is None:
        return np.moveaxis(array[0], 0, axes.steps or 0)
    if axes.steps is None:
        return np.moveaxis(array[:, 0], 0, axes.batch)
    return np.moveaxis(array, (0, 1), (axes.batch, axes.steps))


def taken(array: Array, axes: InputAxes) -> Array:
    """The inverse of `placed`."""
    if axes.batch is None and axes.steps is None:
        return array[None, None]
    if axes.batch is None:
        return np.moveaxis(array, axes.steps or 0, 0)[None]
    if axes.steps is None:
        return np.moveaxis(array, axes.batch, 0)[:, None]
    return np.moveaxis(array, (axes.batch, axes.steps), (0, 1))


def _transposed(axes: InputAxes, operation: Transpose, rank: int) -> InputAxes:
    """The axes of ids after a transpose."""
    perm = tuple(operation.perm or reversed(range(rank)))
    batch, steps = (None if axis is None else perm.index(axis) for axis in (axes.batch, axes.steps))
    return InputAxes(batch, steps)
