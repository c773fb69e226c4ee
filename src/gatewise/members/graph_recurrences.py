"""The recurrences of a graph whose gates can be shown: those that read the steps of its main input, or other ones."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.members.graph_axes import GraphAxes
from gatewise.members.recurrent_layer import CellName, Direction
from gatewise.network.cells import CELLS
from gatewise.network.graph import Graph, Node
from gatewise.network.operations.recurrent import Recurrent


@dataclass(frozen=True, eq=False)
class Recurrence:
    """One direction of a recurrent layer. layer: its number. units: H."""

    node: Node
    layer: int
    direction: Direction
    cell: CellName
    units: int

    @property
    def gate_names(self) -> str:
        """The gates that can be held, in the order of the weights."""
        return CELLS[self.cell].gate_names


def recurrences_of(graph: Graph, axes: GraphAxes, *, other_steps: bool = False) -> list[Recurrence]:
    """Those that read B sequences of T steps, the lowest layer first, and of a layer forward first. Two directions that
    read the same values are a layer. A recurrence over the reversed sequence is left out. other_steps: those that read
    another number of steps instead, such as the steps after a convolution that moves by two.
    """
    reversed_values: set[str] = set()
    layers: list[list[Node]] = []
    for node in graph.nodes:
        if _reverses(node) or reversed_values.intersection(node.inputs):
            # What a recurrence makes of a reversed sequence is reversed too, until it is turned back.
            turned = _reverses(node) and bool(reversed_values.intersection(node.inputs))
            if not turned:
                reversed_values.update(node.outputs)
            continue
        if not isinstance(node.operation, Recurrent):
            continue
        batch, steps, _ = graph.types[node.inputs[0]].shape
        if batch != axes.batch_size or (steps != axes.steps) != other_steps:
            continue
        if layers and _is_other_direction(layers[-1], node):
            layers[-1].append(node)
        else:
            layers.append([node])
    recurrences = []
    for number, nodes in enumerate(layers):
        for node in sorted(nodes, key=lambda node: _operation(node).reverse):
            operation = _operation(node)
            units = graph.types[node.inputs[2]].shape[0]
            assert isinstance(units, int)
            direction: Direction = "backward" if operation.reverse else "forward"
            units //= CELLS[operation.cell].gates
            recurrences.append(Recurrence(node, number, direction, operation.cell, units))
    return recurrences


def _operation(node: Node) -> Recurrent:
    assert isinstance(node.operation, Recurrent)
    return node.operation


def _is_other_direction(nodes: list[Node], node: Node) -> bool:
    """Whether the node is the second direction of a layer that has one so far."""
    if len(nodes) != 1:
        return False
    first = _operation(nodes[0])
    second = _operation(node)
    return nodes[0].inputs[0] == node.inputs[0] and first.cell == second.cell and first.reverse != second.reverse


def _reverses(node: Node) -> bool:
    """Whether it may reverse the steps."""
    steps = getattr(node.operation, "steps", None)
    is_negative = isinstance(steps, tuple) and any(isinstance(step, int) and step < 0 for step in steps)
    return node.operation.name() == "ReverseSequence" or is_negative
