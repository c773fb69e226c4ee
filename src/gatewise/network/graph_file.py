"""A graph in a model folder: checked data of known operations and limited sizes. Nothing is executed from a file.

The entry of config.json has the inputs, nodes, outputs and guards; the constants are tensors of their own, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatewise.errors import InputError, ModelFileError, quote
from gatewise.network.graph import MAX_NUMBERS, Graph, Guard, Node
from gatewise.network.operation import Operation, ValueType
from gatewise.network.operations import operation_named
from gatewise.network.size import symbols_of, to_entry, value_of
from gatewise.storage.fields import fields_from
from gatewise.types import Array


@dataclass(frozen=True)
class _Entry:
    inputs: dict[str, ValueType]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    guards: tuple[Guard, ...] = ()


def graph_entry(graph: Graph) -> dict[str, Any]:
    """What config.json says of a graph."""
    return {
        "inputs": {name: _type_entry(value_type) for name, value_type in graph.inputs.items()},
        "nodes": [_node_entry(node) for node in graph.nodes],
        "outputs": list(graph.outputs),
        "guards": [_guard_entry(guard) for guard in graph.guards],
    }


def graph_from(entry: object, constants: Mapping[str, Array], where: str) -> Graph:
    """The graph of an entry of config.json and its constants. Raises ModelFileError naming the node."""
    if isinstance(entry, Mapping) and isinstance(entry.get("nodes"), list):
        entry = {**entry, "nodes": [_node_from(node, f"{where}: nodes[{n}]") for n, node in enumerate(entry["nodes"])]}
    read = fields_from(_Entry, entry, where)
    try:
        graph = Graph(read.inputs, constants, read.nodes, read.outputs, read.guards)
    except InputError as error:
        raise ModelFileError(f"{where}: {error}") from None
    for guard in graph.guards:
        unknown = (symbols_of(guard.left) | symbols_of(guard.right)) - set(graph.symbols)
        if unknown:
            raise ModelFileError(f"{where}: the guard {guard} has no input of the size {', '.join(sorted(unknown))}")
    for name, value_type in graph.types.items():
        _check_size(name, value_type, where)
    return graph


def _node_from(entry: object, where: str) -> Node:
    if isinstance(entry, Mapping) and "operation" in entry:
        entry = {**entry, "operation": operation_from(entry["operation"], f"{where}: operation")}
    return fields_from(Node, entry, where)


def operation_from(entry: object, where: str) -> Operation:
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
            operation_from(each, f"{where}: activations") for each in attributes["activations"]
        ]
    return fields_from(operation, attributes, where)


def _check_size(name: str, value_type: ValueType, where: str) -> None:
    """Refuse a value that is too large for a batch of one sequence of one step."""
    numbers = 1
    for dim in value_type.shape:
        sizes = dict.fromkeys(symbols_of(dim), 1)
        try:
            numbers *= max(value_of(dim, sizes), 0)
        except InputError as error:
            raise ModelFileError(f"{where}: {quote(name)}: {error}") from None
    if numbers > MAX_NUMBERS:
        raise ModelFileError(f"{where}: {quote(name)} has {value_type}, more than {MAX_NUMBERS:,} numbers")


def _type_entry(value_type: ValueType) -> dict[str, Any]:
    return {"dtype": value_type.dtype, "shape": [to_entry(dim) for dim in value_type.shape]}


def _node_entry(node: Node) -> dict[str, Any]:
    entry = {
        "name": node.name,
        "operation": node.operation.to_entry(),
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
    }
    if node.origin:
        entry["origin"] = node.origin
    return entry


def _guard_entry(guard: Guard) -> dict[str, Any]:
    return {"left": to_entry(guard.left), "relation": guard.relation, "right": to_entry(guard.right)}
