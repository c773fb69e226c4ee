"""The logits of an output of a graph: what stands before its sigmoid, softmax or log_softmax.

What moves values and does not change them, such as a reshape after the sigmoid, is done to the logits instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.members.graph_axes import GraphAxes, output_axes
from gatewise.network.graph import Graph, Node
from gatewise.network.operations import operation_of

_ACTIVATIONS = {"Sigmoid": "sigmoid", "Softmax": "softmax", "LogSoftmax": "log_softmax"}
# Operations that move the values of their first input.
_MOVES = frozenset(["Cast", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"])


@dataclass(frozen=True, eq=False)
class GraphLogits:
    """graph: with the value `name`, the logits. activation: that which was removed, "linear" for none."""

    graph: Graph
    name: str
    activation: str


def logits_of(graph: Graph, output: str) -> GraphLogits:
    """The logits of an output. Raises InputError for a softmax over other values than the outputs."""
    producers = {name: node for node in graph.nodes for name in node.outputs}
    moves: list[Node] = []
    value = output
    while value in producers and producers[value].operation.name() in _MOVES:
        node = producers[value]
        moves.append(node)
        value = node.inputs[0]
    if graph.types[output].dtype != "float":
        raise InputError(f"the output {quote(output)} is {graph.types[output]}; what is explained must be float")
    activated = producers.get(value)
    if activated is None or activated.operation.name() not in _ACTIVATIONS:
        return GraphLogits(graph, output, "linear")
    activation = _ACTIVATIONS[activated.operation.name()]
    if activation != "sigmoid":
        _check_axis(graph, activated, value, output, moves)
    nodes = list(graph.nodes)
    names = {value: activated.inputs[0]}
    for move in reversed(moves):
        logits = _unused(graph, f"{move.outputs[0]}_logits")
        inputs = (names[move.inputs[0]], *move.inputs[1:])
        nodes.append(replace(move, name=_unused(graph, f"{move.name}_logits"), inputs=inputs, outputs=(logits,)))
        names[move.outputs[0]] = logits
    return GraphLogits(replace(graph, nodes=tuple(nodes)), names[output], activation)


def with_difference(graph: Graph, name: str) -> GraphLogits:
    """The logit of the second of two classes: the difference of the two logits of the value."""
    axes = output_axes(name, graph.types[name], GraphAxes(graph))
    shape = graph.types[name].shape
    [axis] = [n for n, size in enumerate(shape) if n not in (axes.batch, axes.steps) and size == 2]
    names = [_unused(graph, f"{name}_class_{number}") for number in (0, 1)]
    rows = [_unused(graph, f"{name}_class_{number}_row") for number in (0, 1)]
    constants = {**graph.constants, rows[0]: np.array(0), rows[1]: np.array(1)}
    gather = operation_of("Gather", {"axis": axis})
    nodes = [Node(column, gather, (name, row), (column,)) for column, row in zip(names, rows, strict=True)]
    logit = _unused(graph, f"{name}_logit")
    nodes.append(Node(logit, operation_of("Sub", {}), (names[1], names[0]), (logit,)))
    return GraphLogits(replace(graph, constants=constants, nodes=(*graph.nodes, *nodes)), logit, "linear")


def _check_axis(graph: Graph, node: Node, value: str, output: str, moves: list[Node]) -> None:
    """Refuse a softmax over another axis than that of the outputs."""
    value_type = graph.types[value]
    axes = output_axes(value, value_type, GraphAxes(graph))
    axis: int = vars(node.operation)["axis"] % len(value_type.shape)
    is_of_classes = axis not in (axes.batch, axes.steps) and value_type.shape[axis] == axes.outputs
    changes_classes = any(move.operation.name() in ("Flatten", "Gather", "Reshape", "Slice") for move in moves)
    if not is_of_classes or changes_classes:
        raise InputError(
            f"the output {quote(output)} is a softmax over axis {axis} of {value_type} ({node.shown}), which is not "
            "over its classes: return the logits, or the softmax over the classes"
        )


def _unused(graph: Graph, name: str) -> str:
    """The name, with a number where the graph has a value or a node of it."""
    taken = {*graph.types, *(node.name for node in graph.nodes)}
    unused = name
    number = 1
    while unused in taken:
        number += 1
        unused = f"{name}_{number}"
    return unused
