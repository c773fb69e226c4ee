"""`InputIds`: the numbers of the inputs that a graph reads as rows of a table, such as the token ids of an embedding.

Gather counts a negative number from the end of the table, and OneHot has a row of zeros for a number beyond it. The
libraries whose networks are read do neither for an embedding, so a graph is not run for such numbers of a user. What a
network does to a number before it looks it up counts: a number that it clips or replaces is not refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Node
from gatewise.network.input_ranges import elements_of
from gatewise.network.operation import Execution
from gatewise.network.operations.gather import Gather
from gatewise.network.operations.gather_nd import GatherND
from gatewise.network.operations.loop import Loop
from gatewise.network.operations.one_hot import OneHot
from gatewise.network.size import Dim
from gatewise.types import Array

_PRODUCTS = ("Conv", "Einsum", "Gemm", "Loop", "MatMul", "Recurrent")
"""A number that one of these computes is no id of a user."""

_SAME = ("Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operations after which numbers are the same numbers."""


def origin_of(name: str, made_by: Mapping[str, Node]) -> str:
    """The value that has the numbers of this one, before operations that only arrange them. made_by: the nodes by the
    names of their outputs.
    """
    while name in made_by and made_by[name].operation.name() in _SAME:
        name = made_by[name].inputs[0]
    return name


class TableRead(NamedTuple):
    """A value of a graph whose numbers are rows of a table. rows: how many there are; of several numbers for each
    element, as of GatherND, one of each.
    """

    value: str
    rows: tuple[Dim, ...]


@dataclass(frozen=True)
class OutsideId:
    """A number of an input that is no row of the table. index: its place in the input. low, high: the rows."""

    name: str
    index: tuple[int, ...]
    number: float
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class InputIds:
    """Of a graph."""

    graph: Graph

    @cached_property
    def reads(self) -> tuple[TableRead, ...]:
        """The values that depend on the inputs and are read as rows of tables, each once for each table."""
        depends = set(self.graph.inputs)
        computed: set[str] = set()
        for node in self.graph.nodes:
            if node.operation.name() in _PRODUCTS or computed.intersection(node.inputs):
                computed.update(node.outputs)
            if depends.intersection(node.inputs):
                depends.update(node.outputs)
        reads = []
        for read in _reads_of(self.graph, set(self.graph.constants)):
            if read.value in depends and read.value not in computed and read not in reads:
                reads.append(read)
        return tuple(reads)

    @cached_property
    def _lookups(self) -> Graph:
        """The part of the graph that computes those values."""
        return self.graph.part(list(dict.fromkeys(read.value for read in self.reads)))

    def outside(self, inputs: Mapping[str, Array], sizes: Mapping[str, int]) -> OutsideId | None:
        """The first number of the inputs that is no row of a table from which it is read."""
        if not self.reads:
            return None
        execution = Execution(sizes, keep=False)
        try:
            values = self._lookups.compute(inputs, execution, self._lookups.outputs)
        except InputError:
            return None  # the run refuses these inputs, and says which node does
        for read in self.reads:
            rows = np.array([execution.size(dim) for dim in read.rows])
            numbers = np.asarray(values[read.value])
            for index in np.argwhere((numbers < 0) | (numbers >= rows)):
                place = tuple(index.tolist())
                count = int(np.broadcast_to(rows, numbers.shape or (1,))[place or (0,)])
                refused = self._source(read.value, place, float(numbers[place]), count, inputs, sizes)
                if refused is not None:
                    return refused
        return None

    def _source(
        self,
        value: str,
        place: tuple[int, ...],
        number: float,
        rows: int,
        inputs: Mapping[str, Array],
        sizes: Mapping[str, int],
    ) -> OutsideId | None:
        """The number of an input that is this element of a value; None where the network made it another one."""
        for element in elements_of(self.graph, sizes, value, place):
            entered = float(inputs[element.name][element.index])
            if abs(element.scale * entered + element.offset - number) < 1:  # a cast cuts the fraction
                ends = sorted((end - element.offset) / element.scale for end in (0, rows - 1))
                return OutsideId(element.name, element.index, entered, math.ceil(ends[0]), math.floor(ends[1]))
        return None


def _reads_of(graph: Graph, constants: set[str]) -> Iterator[TableRead]:
    """The table reads of a graph. constants: the names of the values that do not change."""
    for node in graph.nodes:
        operation = node.operation
        if isinstance(operation, Gather | GatherND) and node.inputs[0] in constants:
            shape = graph.types[node.inputs[0]].shape
            if isinstance(operation, Gather):
                yield TableRead(node.inputs[1], (shape[operation.axis],))
            else:
                depth = graph.types[node.inputs[1]].shape[-1]
                assert isinstance(depth, int)
                yield TableRead(node.inputs[1], shape[operation.batch_dims : operation.batch_dims + depth])
        elif isinstance(operation, OneHot):
            yield TableRead(node.inputs[0], (operation.depth,))
        elif isinstance(operation, Loop):
            yield from _reads_of_loop(node, operation.body, constants)


def _reads_of_loop(node: Node, body: Graph, constants: set[str]) -> Iterator[TableRead]:
    """Those of the steps, whose numbers are rows of a value outside of the loop."""
    outer = dict(zip(body.inputs, node.inputs, strict=True))
    made_by = {name: inside for inside in body.nodes for name in inside.outputs}
    for read in _reads_of(body, {name for name, value in outer.items() if value in constants}):
        name = origin_of(read.value, made_by)
        if name in outer and len(read.rows) == 1:
            yield TableRead(outer[name], read.rows)
