"""`graph_to_onnx`: a graph as an ONNX file, which computes in float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.members.onnx.graph import Graph
from gatewise.members.onnx.network import numpy_dtype
from gatewise.members.onnx.operations import write_graph
from gatewise.network.graph import Graph as Network
from gatewise.network.operation import ValueType


def graph_to_onnx(network: Network, metadata: Mapping[str, str] | None = None, storage: str = "float32") -> Any:
    """The checked ModelProto of a graph, whose values have the same names there. metadata: its `metadata_props`.
    storage: the dtype of embeddings and of matrices of weights, see `gatewise.storage.compact`.

    Raises MissingExtra without onnx, InputError naming a node that cannot be written.
    """
    graph = Graph(storage)
    values = write_graph(graph, network, {name: name for name in network.inputs})
    outputs: dict[str, Any] = {}
    for name, value in zip(network.outputs, values, strict=True):
        shown = value
        if value in network.inputs or value in network.constants or value in outputs:
            shown = graph.rename(value, f"{value}_output_{len(outputs)}")
        outputs[shown] = _info(network.types[name])
    inputs = {name: _info(value_type) for name, value_type in network.inputs.items()}
    return graph.model(inputs, outputs, metadata or {})


def _info(value_type: ValueType) -> tuple[Any, list[int | str]]:
    """The dtype and the shape of an input or output, where a text is a size that depends on the inputs."""
    shape: list[int | str] = []
    for dim in value_type.shape:
        shape.append(dim if isinstance(dim, int) else str(dim))
    return numpy_dtype(value_type.dtype), shape
