"""`graph_inputs`: what graph.js must know of the inputs of a network that is a graph, for an exported web model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.errors import InputError, quote
from gatewise.model import Model
from gatewise.network.graph import Graph, Node
from gatewise.network.input_ids import InputIds, origin_of
from gatewise.network.size import Dim


def graph_inputs(model: Model) -> dict[str, Any]:
    """The "graph" of model.json. Raises InputError for sizes and ids that graph.js does not check."""
    network: Any = model.ensemble.network
    graph: Graph = network.graph
    ranges = _ranges(graph)
    inputs = []
    for name, value_type in graph.inputs.items():
        axes = network.form.axes.of_inputs[name]
        inputs.append(
            {
                "name": name,
                "dtype": value_type.dtype,
                "dims": [_size(dim) for dim in value_type.shape],
                "batch": axes.batch,
                "steps": axes.steps,
                "range": ranges.get(name),
            }
        )
    guards = []
    for guard in graph.guards:
        sides = {"left": _size(guard.left), "right": _size(guard.right)}
        guards.append({**sides, "relation": guard.relation, "shown": str(guard)})
    return {
        "main": network.form.axes.main,
        "inputs": inputs,
        "lengths": network.form.lengths_name,
        "rows": network.form.fewest_rows,
        "guards": guards,
    }


def _size(dim: Dim) -> int | str:
    """A number, or the name of a symbol. Raises InputError for a size that is computed."""
    if isinstance(dim, int) or str(dim).isidentifier():
        return dim if isinstance(dim, int) else str(dim)
    raise InputError(f"a network with the size {dim} cannot be exported to the web, whose module computes no sizes")


def _ranges(graph: Graph) -> Mapping[str, list[int]]:
    """The rows of the tables that each input is read from, where it is read as it is."""
    made_by = {name: node for node in graph.nodes for name in node.outputs}
    ranges: dict[str, list[int]] = {}
    for read in InputIds(graph).reads:
        name = origin_of(read.value, made_by)
        [rows] = read.rows if len(read.rows) == 1 else [None]
        if name in made_by and _is_within(graph, made_by[name], rows):
            continue
        if name not in graph.inputs or not isinstance(rows, int):
            raise InputError(
                f"the ids {quote(read.value)}, which the network computes before it looks them up, are not checked by "
                "the module of a web model"
            )
        ranges[name] = [0, min(rows - 1, ranges.get(name, [0, rows - 1])[1])]
    return ranges


def _is_within(graph: Graph, node: Node, rows: Dim | None) -> bool:
    """Whether a node clips numbers to the rows of a table."""
    if node.operation.name() != "Clip" or len(node.inputs) < 3 or not isinstance(rows, int):
        return False
    low, high = (graph.constants.get(name) for name in node.inputs[1:3])
    return low is not None and high is not None and float(low) >= 0 and float(high) < rows
