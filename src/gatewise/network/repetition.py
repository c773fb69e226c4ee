"""`items_of`: the single nodes of graphs of one network for several numbers of steps, and the nodes that are repeated.

A network with a loop over T steps has, written for one T, the nodes before the loop, T copies of the nodes of a step,
and the nodes after it. The copies are found by their operations. What a node of a step reads is then one of the values
of the classes below, for all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gatewise.errors import InputError
from gatewise.network.graph import Node
from gatewise.network.unrolled_graph import Content, UnrolledGraph

MAX_PEELED = 4  # first steps that differ from the others


class Input(NamedTuple):
    """Where a value comes from: an input of the network."""

    name: str


class Output(NamedTuple):
    """Where a value comes from: a single node, by its number among the items."""

    item: int
    output: int


class StepOutput(NamedTuple):
    """Where a value comes from: a node of one step of a repetition."""

    item: int
    step: int
    node: int
    output: int


Place = Input | Content | Output | StepOutput | None
"""Where a value comes from; None where an input is left out."""


class Local(NamedTuple):
    """What a node of a step reads: a value of the same step."""

    node: int
    output: int


class Carried(NamedTuple):
    """What a node of a step reads: a value of the step before. The first step reads another one."""

    node: int
    output: int


class Fixed(NamedTuple):
    """What a node of a step reads: the same value in each step."""


class StepOf(NamedTuple):
    """What a node of a step reads: a value of a step of another repetition, which moves on by `slope` steps."""

    slope: int


class Number(NamedTuple):
    """What a node of a step reads: a constant whole number, which changes by `slope` from step to step."""

    slope: int


Read = Local | Carried | Fixed | StepOf | Number


@dataclass(frozen=True)
class Single:
    """A node outside of loops: its number in each graph."""

    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Repetition:
    """The nodes of a loop. starts: the number of the first one, in each graph. size: how many nodes a step has. counts:
    how many steps, in each graph. reads: what each node of a step reads. rows: by how much the rows that a node reads
    move from step to step, by the number of the node.
    """

    starts: tuple[int, ...]
    size: int
    counts: tuple[int, ...]
    reads: tuple[tuple[Read, ...], ...]
    rows: dict[int, int] = field(default_factory=dict)


Item = Single | Repetition


class Items:
    """The items of graphs of rising length. Raises InputError naming the first node that differs."""

    def __init__(self, graphs: Sequence[UnrolledGraph]) -> None:
        self.graphs = graphs
        self.items: list[Item] = []
        self._owners: list[list[tuple[int, int, int] | None]] = [[None] * len(graph.nodes) for graph in graphs]
        """Of each node of each graph: the item, the step (-1 in a single node), and the node of the step."""
        tokens: dict[object, int] = {}
        self._tokens = [[tokens.setdefault(graph.token(node), len(tokens)) for node in graph.nodes] for graph in graphs]
        at = [0] * len(graphs)
        reason = ""
        while any(place < len(graph.nodes) for place, graph in zip(at, graphs, strict=True)):
            repetition = self._repetition_at(at)
            if isinstance(repetition, str):
                reason = repetition or reason
                self._single(at, reason)
                continue
            while at[-1] < repetition.starts[-1]:
                self._single(at, reason)
            self._own_steps(repetition)
            at = [
                start + repetition.size * count
                for start, count in zip(repetition.starts, repetition.counts, strict=True)
            ]

    def place(self, graph: int, name: str) -> Place:
        """Where a value of a graph comes from."""
        unrolled = self.graphs[graph]
        if not name:
            return None
        if name in unrolled.contents:
            return unrolled.contents[name]
        if name not in unrolled.producers:
            return Input(name)
        node, output = unrolled.producers[name]
        owner = self._owners[graph][node]
        if owner is None:
            # A node in front of the repetition that is looked for becomes an item with it.
            return Output(-2 - node, output)
        item, step, of_step = owner
        if step < 0:
            return Output(item, output)
        return StepOutput(item, step, of_step, output)

    def _single(self, at: list[int], reason: str) -> None:
        """The nodes at these places are one node outside of loops."""
        for place, graph in zip(at, self.graphs, strict=True):
            if place == len(graph.nodes):
                longest = self.graphs[-1]
                node = longest.nodes[min(at[-1], len(longest.nodes) - 1)]
                raise _difference(node, reason, graph.length, longest.length)
        nodes = [graph.nodes[place] for place, graph in zip(at, self.graphs, strict=True)]
        for node, graph in zip(nodes, self.graphs, strict=True):
            if node.operation.name() != nodes[-1].operation.name():
                raise _difference(nodes[-1], reason, graph.length, self.graphs[-1].length)
        for owners, place in zip(self._owners, at, strict=True):
            owners[place] = (len(self.items), -1, 0)
        self.items.append(Single(tuple(at)))
        at[:] = [place + 1 for place in at]

    def _own_steps(self, repetition: Repetition) -> None:
        for owners, start, count in zip(self._owners, repetition.starts, repetition.counts, strict=True):
            for number in range(count * repetition.size):
                step, node = divmod(number, repetition.size)
                owners[start + number] = (len(self.items), step, node)
        self.items.append(repetition)

    # Repetitions

    def _repetition_at(self, at: Sequence[int]) -> Repetition | str:
        """The repetition that starts at these places, or after some nodes that look like the end of a step; else why
        there is none, or "".
        """
        tokens = self._tokens[-1]
        reason = ""
        for size in range(1, (len(tokens) - at[-1]) // 2 + 1):
            block = tokens[at[-1] : at[-1] + size]
            if tokens[at[-1] + size : at[-1] + 2 * size] != block:
                continue
            counts = self._counts(at, block)
            if counts is None:
                continue
            candidates: list[Repetition] = []
            for offset in range(self._more(at, block, counts) + 1):
                starts = [place + offset for place in at]
                candidate = self._checked(starts, size, counts)
                if isinstance(candidate, str):
                    reason = reason or candidate
                else:
                    candidates.append(candidate)
            if candidates:
                # The end of a step that also stands in front of the first one could start each step: then more values
                # would be carried from step to step.
                return min(candidates, key=lambda candidate: (-candidate.counts[-1], _carried(candidate)))
        return reason

    def _counts(self, at: Sequence[int], block: list[int]) -> list[int] | None:
        """How many times the block stands at a place of each graph, if that grows with the number of steps."""
        counts = []
        for tokens, place in zip(self._tokens, at, strict=True):
            count = 0
            while tokens[place : place + len(block)] == block:
                count += 1
                place += len(block)
            counts.append(count)
        return counts if self._grow(counts) else None

    def _grow(self, counts: Sequence[int]) -> bool:
        beyond = {count - graph.length for count, graph in zip(counts, self.graphs, strict=True)}
        return len(beyond) == 1 and counts[-1] >= 2

    def _more(self, at: Sequence[int], block: list[int], counts: Sequence[int]) -> int:
        """How many nodes after the last block still are like those of the block, in each graph."""
        more = []
        for tokens, place, count in zip(self._tokens, at, counts, strict=True):
            after = tokens[place + count * len(block) :]
            number = 0
            while number < min(len(after), len(block)) and after[number] == block[number]:
                number += 1
            more.append(number)
        return min(more)

    def _checked(self, starts: list[int], size: int, counts: list[int]) -> Repetition | str:
        """The repetition, without first steps that differ, and without what follows the last one; or why it is none."""
        for _ in range(MAX_PEELED + 1):
            if counts[-1] < 2 or counts[0] < 0:
                return ""
            checked = _Steps(self, starts[-1], size, counts[-1])
            differing = checked.differing
            if not differing:
                return Repetition(tuple(starts), size, tuple(counts), tuple(checked.reads), checked.rows)
            if len(differing) == counts[-1]:
                return checked.reason
            if differing == set(range(len(differing))):
                starts = [start + size for start in starts]
                counts = [count - 1 for count in counts]
            elif differing == set(range(min(differing), counts[-1])):
                fewer = counts[-1] - min(differing)
                counts = [count - fewer for count in counts]
            else:
                return checked.reason
        return checked.reason


class _Steps:
    """What the nodes of the steps of the longest graph read. differing: the steps that do not read as most do."""

    def __init__(self, items: Items, start: int, size: int, count: int) -> None:
        self.items = items
        self.graph = items.graphs[-1]
        self.start = start
        self.size = size
        self.count = count
        self.differing: set[int] = set()
        self.reason = ""
        self.rows: dict[int, int] = {}
        self.reads: list[tuple[Read, ...]] = [self._reads(node) for node in range(size)]

    def _node(self, step: int, node: int) -> Node:
        return self.graph.nodes[self.start + step * self.size + node]

    def _reads(self, number: int) -> tuple[Read, ...]:
        """What a node of a step reads."""
        nodes = [self._node(step, number) for step in range(self.count)]
        if len({len(node.inputs) for node in nodes}) > 1:
            widest = max(len(node.inputs) for node in nodes)
        else:
            widest = len(nodes[0].inputs)
        reads = []
        for place in range(widest):
            places = [self._place(node.inputs[place] if place < len(node.inputs) else "") for node in nodes]
            reads.append(self._read(nodes, places))
        self._check_operations(number, nodes, reads)
        return tuple(reads)

    def _place(self, name: str) -> Place:
        """As `Items.place`; item -1 is this repetition."""
        producer = self.graph.producers.get(name)
        if producer is not None:
            number = producer[0] - self.start
            if 0 <= number < self.size * self.count:
                step, node = divmod(number, self.size)
                return StepOutput(-1, step, node, producer[1])
        return self.items.place(len(self.items.graphs) - 1, name)

    def _read(self, nodes: list[Node], places: list[Place]) -> Read:
        """What most steps read, as a step in the middle does."""
        middle = max(1, self.count // 2)
        place, before = places[middle], places[middle - 1]
        read: Read = Fixed()
        if isinstance(place, StepOutput) and place.item == -1:
            if place.step == middle:
                read = Local(place.node, place.output)
            elif place.step == middle - 1:
                read = Carried(place.node, place.output)
            else:
                self._differ(nodes[middle], "reads what was computed more than one step before", range(self.count))
                return read
        elif isinstance(place, StepOutput) and isinstance(before, StepOutput) and place.item == before.item:
            read = StepOf(place.step - before.step)
        elif isinstance(place, Content) and isinstance(before, Content) and place != before:
            read = Number(_difference_of(before, place))
        if isinstance(read, Number) and read.slope == 0:
            self._differ(nodes[middle], "reads a constant that differs from step to step", range(self.count))
            return read
        for step, actual in enumerate(places):
            if actual != self._expected(read, place, step - middle, step) and not (
                isinstance(read, Carried) and step == 0
            ):
                self._differ(nodes[step], "reads something else than in the other steps", [step])
        if isinstance(read, Carried) and isinstance(places[0], StepOutput) and places[0].item == -1:
            self._differ(nodes[0], "reads what is computed after it", [0])
        return read

    def _expected(self, read: Read, place: Place, moved: int, step: int) -> Place:
        """What a step reads that is `moved` steps after the one in the middle, which reads `place`."""
        if isinstance(read, Local):
            return StepOutput(-1, step, read.node, read.output)
        if isinstance(read, Carried):
            return StepOutput(-1, step - 1, read.node, read.output)
        if isinstance(read, StepOf) and isinstance(place, StepOutput):
            return place._replace(step=place.step + moved * read.slope)
        if isinstance(read, Number) and isinstance(place, Content):
            array = place.array + np.asarray(moved * read.slope, place.array.dtype)
            return Content.of(array)
        return place

    def _check_operations(self, number: int, nodes: list[Node], reads: list[Read]) -> None:
        """The operations are equal, except for the rows that they read."""
        middle = max(1, self.count // 2)
        reads_rows = nodes[0].operation.name() == "Gather" and isinstance(reads[1], Number)
        # Of what changes itself from step to step, a row is read by its number.
        reads_rows = reads_rows and isinstance(reads[0], Fixed)
        if nodes[middle].operation == nodes[middle - 1].operation and not reads_rows:
            for step, node in enumerate(nodes):
                if node.operation != nodes[middle].operation or len(node.outputs) != len(nodes[middle].outputs):
                    self._differ(node, "differs from the other steps", [step])
            return
        rows = [self.graph.row_of(node) for node in nodes]
        row, before = rows[middle], rows[middle - 1]
        if row is None or before is None or not isinstance(reads[0], Fixed | StepOf):
            self._differ(nodes[middle], "differs from step to step", range(self.count))
            return
        if isinstance(reads[0], StepOf) and row.first != before.first:
            self._differ(nodes[middle], "reads other rows in each step of what each step computes", range(self.count))
            return
        slope = row.first - before.first
        for step, actual in enumerate(rows):
            if actual != row._replace(first=row.first + (step - middle) * slope):
                self._differ(nodes[step], "reads other rows than in the other steps", [step])
        self.rows[number] = slope

    def _differ(self, node: Node, reason: str, steps: Sequence[int] | range) -> None:
        self.reason = self.reason or f"{node.shown} {reason}"
        self.differing.update(steps)


def _difference_of(before: Content, after: Content) -> int:
    """By how much all numbers of a constant grow; 0 where they do not grow alike."""
    if before.shape != after.shape or before.dtype != after.dtype or after.array.dtype.kind != "i":
        return 0
    grown = np.unique(after.array - before.array)
    same = len(np.unique(after.array)) == 1
    return int(grown[0]) if len(grown) == 1 and same else 0


def _carried(repetition: Repetition) -> int:
    return len({read for reads in repetition.reads for read in reads if isinstance(read, Carried)})


def _difference(node: Node, reason: str, length: int, longest: int) -> InputError:
    because = f": {reason}" if reason else ""
    return InputError(f"{node.shown} differs between {length} and {longest} steps{because}")
