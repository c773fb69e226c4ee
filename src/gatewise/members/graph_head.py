"""The last linear layer of a graph, which fine-tuning replaces where the classes differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gatewise.errors import InputError, quote
from gatewise.members.graph_axes import output_axes
from gatewise.members.graph_network import GraphNetwork
from gatewise.network.graph import Graph, Node
from gatewise.network.graph_builder import GraphBuilder
from gatewise.types import Array

# What moves values and does not change them; such nodes may follow the last linear layer.
_MOVES = frozenset(["Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"])


def features_of(network: GraphNetwork) -> GraphNetwork:
    """The network up to what its last linear layer reads, whose logits are these features. Where no linear layer is
    the last one, the features are the logits themselves. Raises InputError for features without a last axis of a fixed
    size.
    """
    graph = network.form.explained
    name = _read_by_last_linear(graph, network.form.logits_name)
    shape = graph.types[name].shape
    axes = output_axes(name, graph.types[name], network.form.axes)
    if len(shape) - 1 in (axes.batch, axes.steps) or axes.outputs != shape[-1]:
        raise InputError(
            f"the value {quote(name)} before the outputs is {graph.types[name]}: a new layer for other classes needs "
            "features on the last axis"
        )
    features = replace(graph, outputs=(name,))
    return GraphNetwork.of(features, name, name, network.form.lengths_name)


def with_linear(features: GraphNetwork, weight: Array, bias: Array) -> GraphNetwork:
    """The network that returns weight · features + bias. features: of `features_of`, F of them. weight: (outputs, F);
    bias: (outputs,).
    """
    builder = GraphBuilder.of(features.form.explained)
    product = builder.add("MatMul", features.form.logits_name, builder.constant(np.ascontiguousarray(weight.T)))
    logits = builder.add("Add", product, builder.constant(bias))
    graph = builder.graph([logits], features.graph.guards)
    return GraphNetwork.of(graph, logits, logits, features.form.lengths_name)


def _read_by_last_linear(graph: Graph, logits: str) -> str:
    """What the linear layer reads whose outputs are these logits, or the logits."""
    producers = {name: node for node in graph.nodes for name in node.outputs}
    value = _before_difference(producers, logits)
    while value in producers and producers[value].operation.name() in _MOVES:
        value = producers[value].inputs[0]
    node = producers.get(value)
    if node is not None and node.operation.name() == "Add":
        product = [name for name in node.inputs if name not in graph.constants]
        node = producers.get(product[0]) if len(product) == 1 else None
    if node is None or node.operation.name() not in ("MatMul", "Gemm") or not _is_linear(graph, node):
        return logits
    return node.inputs[0]


def _before_difference(producers: Mapping[str, Node], logit: str) -> str:
    """The two logits whose difference is the logit of the second of two classes
    (`gatewise.members.graph_logits.with_difference`); another value as it is.
    """
    node = producers.get(logit)
    if node is None or node.operation.name() != "Sub":
        return logit
    read = [producers.get(name) for name in node.inputs]
    data = {each.inputs[0] for each in read if each is not None and each.operation.name() == "Gather"}
    is_difference = None not in read and len(data) == 1
    return data.pop() if is_difference else logit


def _is_linear(graph: Graph, node: Node) -> bool:
    """Whether the product is one of values with a constant matrix (F, outputs)."""
    if vars(node.operation).get("transA"):
        return False
    return node.inputs[1] in graph.constants and len(graph.types[node.inputs[1]].shape) == 2
