"""The logits of an output of a graph: what stands before its sigmoid, softmax or log_softmax.

What moves values and does not change them, such as a reshape after the sigmoid, is done to the logits instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.members.graph_axes import GraphAxes, axes_for, output_axes
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
        return _by_step(GraphLogits(graph, output, "linear"))
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
    return _by_step(GraphLogits(replace(graph, nodes=tuple(nodes)), names[output], activation))


def _rows_of_steps(graph: Graph, name: str) -> bool:
    """Whether a value is (B T, K): the outputs of all steps, one row after the other."""
    axes = GraphAxes(graph)
    shape = graph.types[name].shape
    if axes.steps is None or len(shape) != 2 or axes.batch_size in (1, shape[0]) or axes.steps == 1:
        return False
    return shape[0] == axes.batch_size * axes.steps


def _by_step(logits: GraphLogits) -> GraphLogits:
    """The logits with axes of B and T, where they are (B T, K), in the order of the value that was reshaped to rows."""
    graph = logits.graph
    if not _rows_of_steps(graph, logits.name):
        return logits
    axes = GraphAxes(graph)
    assert axes.steps is not None
    rows, outputs = graph.types[logits.name].shape
    producers = {name: node for node in graph.nodes for name in node.outputs}
    value = logits.name
    while value in producers:
        before = [name for name in producers[value].inputs if name and name not in graph.constants]
        of_rows = [name for name in before if graph.types[name].shape[:1] == (rows,)]
        if of_rows:
            value = of_rows[0]
            continue
        first_axes = graph.types[before[0]].shape[:2] if len(before) == 1 else ()
        is_reshape = producers[value].operation.name() in ("Reshape", "Flatten")
        if is_reshape and first_axes in ((axes.batch_size, axes.steps), (axes.steps, axes.batch_size)):
            name = _unused(graph, f"{logits.name}_by_step")
            reshape = operation_of("Reshape", {"shape": (*first_axes, outputs)})
            node = Node(name, reshape, (logits.name,), (name,))
            return replace(logits, graph=replace(graph, nodes=(*graph.nodes, node)), name=name)
        return logits
    return logits


def with_difference(graph: Graph, name: str) -> GraphLogits:
    """The logit of the second of two classes: the difference of the two logits of the value."""
    axes = output_axes(name, graph.types[name], axes_for(graph, name))
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
    axis: int = vars(node.operation)["axis"] % len(value_type.shape)
    if _rows_of_steps(graph, value):
        is_of_classes = axis == 1
    else:
        axes = output_axes(value, value_type, axes_for(graph, value))
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
