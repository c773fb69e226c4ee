"""A graph in a model folder: checked data of known operations and limited sizes. Nothing is executed from a file.

The entry of config.json has the inputs, nodes, outputs and guards; the constants are tensors of their own, by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.network.graph import MAX_NUMBERS, Graph, Guard, Node
from gatewise.network.operation import Operation, ValueType
from gatewise.network.operations import operation_named
from gatewise.network.operations.loop import Loop
from gatewise.network.size import Dim, Size, symbols_of, value_of
from gatewise.storage.fields import fields_from
from gatewise.types import Array

MAX_DEPTH = 4  # of loops: a file cannot ask for unbounded work
MAX_STEPS = 1 << 16


@dataclass(frozen=True)
class _Entry:
    inputs: dict[str, ValueType]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    guards: tuple[Guard, ...] = ()


def graph_entry(graph: Graph) -> dict[str, Any]:
    """What config.json says of a graph."""
    return graph.to_entry()


def graph_from(entry: object, constants: Mapping[str, Array], where: str) -> Graph:
    """The graph of an entry of config.json and its constants. Raises ModelFileError naming the node."""
    return _graph_from(entry, constants, where, depth=0)


def _graph_from(entry: object, constants: Mapping[str, Array], where: str, depth: int) -> Graph:
    """depth: how many loops the graph is the body of."""
    if depth > MAX_DEPTH:
        raise ModelFileError(f"{where}: at most {MAX_DEPTH} loops inside of each other")
    if isinstance(entry, Mapping) and isinstance(entry.get("nodes"), list):
        nodes = [_node_from(node, f"{where}: nodes[{n}]", depth) for n, node in enumerate(entry["nodes"])]
        entry = {**entry, "nodes": nodes}
    read = fields_from(_Entry, entry, where)
    try:
        graph = Graph(read.inputs, constants, read.nodes, read.outputs, read.guards)
    except InputError as error:
        raise ModelFileError(f"{where}: {error}") from None
    for guard in graph.guards:
        unknown = (symbols_of(guard.left) | symbols_of(guard.right)) - set(graph.symbols)
        if unknown:
            raise ModelFileError(f"{where}: the guard {guard} has no input of the size {', '.join(sorted(unknown))}")
    for node in graph.nodes:
        unknown = _symbols_read(node.operation) - set(graph.symbols)
        # The sizes of a body are those of the graph around it.
        if unknown and depth == 0:
            raise ModelFileError(f"{where}: {node.shown}: no input has the size {', '.join(sorted(unknown))}")
    for name, value_type in graph.types.items():
        _check_size(name, value_type, where)
    return graph


def _node_from(entry: object, where: str, depth: int) -> Node:
    if isinstance(entry, Mapping) and "operation" in entry:
        entry = {**entry, "operation": operation_from(entry["operation"], f"{where}: operation", depth)}
    return fields_from(Node, entry, where)


def operation_from(entry: object, where: str, depth: int = 0) -> Operation:
    """What `Operation.to_entry` returns. Raises ModelFileError for anything else."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        raise ModelFileError(f"{where}: must be an object with a type")
    try:
        operation = operation_named(entry["type"])
    except InputError as error:
        raise ModelFileError(f"{where}: {error}") from None
    attributes = {name: value for name, value in entry.items() if name != "type"}
    if "activations" in attributes and isinstance(attributes["activations"], list):
        attributes["activations"] = [
            operation_from(each, f"{where}: activations", depth) for each in attributes["activations"]
        ]
    if operation is Loop and "body" in attributes:
        attributes["body"] = _graph_from(attributes["body"], {}, f"{where}: body", depth + 1)
    read = fields_from(operation, attributes, where)
    if isinstance(read, Loop) and _least(read.steps, where) > MAX_STEPS:
        raise ModelFileError(f"{where}: {read.steps} steps, and at most {MAX_STEPS:,} for inputs of one step")
    return read


def _check_size(name: str, value_type: ValueType, where: str) -> None:
    """Refuse a value that is too large for a batch of one sequence of one step."""
    numbers = 1
    for dim in value_type.shape:
        numbers *= max(_least(dim, f"{where}: {quote(name)}"), 0)
    if numbers > MAX_NUMBERS:
        raise ModelFileError(f"{where}: {quote(name)} has {value_type}, more than {MAX_NUMBERS:,} numbers")


def _least(dim: Dim, where: str) -> int:
    """A size for a batch of one sequence of one step."""
    try:
        return value_of(dim, dict.fromkeys(symbols_of(dim), 1))
    except InputError as error:
        raise ModelFileError(f"{where}: {error}") from None


def _symbols_read(value: object) -> set[str]:
    """The symbols of all sizes among the attributes of an operation, or in one of them."""
    if isinstance(value, Size):
        return symbols_of(value)
    parts: Iterable[object] = ()
    if isinstance(value, tuple):
        parts = value
    elif isinstance(value, Graph):
        parts = (*value.nodes, *value.inputs.values())
    elif isinstance(value, Operation | Node | ValueType):
        parts = [getattr(value, field.name) for field in fields(value)]  # type: ignore[arg-type]  # a dataclass
    return {name for part in parts for name in _symbols_read(part)}
