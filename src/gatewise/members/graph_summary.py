"""What a summary says of a graph: its inputs, its outputs and its layers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gatewise.errors import counted
from gatewise.members.graph_form import GraphForm
from gatewise.network.graph import Graph
from gatewise.network.operation import Operation

_LAYERS = {"Gather": "Embedding", "MatMul": "Linear", "Gemm": "Linear"}
"""The layer that is usually this operation."""


def described(form: GraphForm) -> dict[str, Any]:
    """Its form as plain data."""
    types = form.graph.types
    return {
        "inputs": {name: str(types[name]) for name in form.graph.inputs},
        "outputs": {name: str(types[name]) for name in form.graph.outputs},
        "output": form.output,
        "nodes": len(form.graph.nodes),
        "recurrent_layers": [asdict(layer) for layer in form.layers],
        "no_architecture": form.no_architecture,
    }


def form_rows(form: GraphForm) -> list[tuple[str, str]]:
    """What a summary says of its form besides the layers, by name."""
    types = form.graph.types
    inputs = ", ".join(f"{name}: {types[name]}" for name in form.graph.inputs)
    outputs = []
    for name in form.graph.outputs:
        is_explained = name == form.output and len(form.graph.outputs) > 1
        explained = ", explained" if is_explained else ""
        outputs.append(f"{name}: {types[name]}{explained}")
    network = f"a graph of {counted(len(form.graph.nodes), 'operation')}"
    if form.no_architecture:
        network += f", not an Architecture of LSTM layers: {form.no_architecture}"
    return [("inputs", inputs), ("outputs", "; ".join(outputs)), ("network", network)]


def layer_rows(graph: Graph) -> list[tuple[str, str, int]]:
    """The name, the shape and the number of weights of the layers with weights. Nodes that come from the same layer are
    one row, with the shape of the last one; a constant that several nodes read is counted once.
    """
    counted: set[str] = set()
    rows: dict[str, tuple[str, str, int]] = {}
    for node in graph.nodes:
        names = [name for name in node.inputs if name in graph.constants and name not in counted]
        size = sum(graph.constants[name].size for name in names)
        counted.update(names)
        # The operations of a layer of Keras follow its name and a colon.
        layer = node.origin.partition(": ")[0] or node.name
        if layer not in rows and size <= 1:
            continue
        name, _, before = rows.get(layer, (f"{_layer_name(node.operation)} {node.origin_name}", "", 0))
        shape = ", ".join(str(dim) for dim in graph.types[node.outputs[0]].shape)
        rows[layer] = (name, f"({shape})", before + size)
    return list(rows.values())


def _layer_name(operation: Operation) -> str:
    """What a summary calls a node: the cell of a recurrence, the layer that is usually this operation, or its name."""
    cell = getattr(operation, "cell", None)
    if cell is not None:
        return str(cell)
    name = operation.name()
    return _LAYERS.get(name, name)
