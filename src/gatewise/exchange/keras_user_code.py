"""Code of the user in a Keras network: whether what was read of it on symbolic tensors is what it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gatewise.errors import InputError
from gatewise.exchange.keras_layers import is_of_keras
from gatewise.exchange.read_network import ReadNetwork
from gatewise.network.graph import Graph
from gatewise.network.operation import Execution
from gatewise.network.size import value_of
from gatewise.types import Array

_LEAST_SIZES = (1, 2, 7)


def has_user_code(keras: Any, network: Any) -> bool:
    """Whether a network runs code that is not of Keras: a class of the user, or a function in a Lambda layer."""
    layers = network._flatten_layers()
    return any(not is_of_keras(layer) or isinstance(layer, keras.layers.Lambda) for layer in layers)


def check_user_code(network: Any, read: ReadNetwork, again: ReadNetwork) -> None:
    """Refuse code that computes something else the second time, or something else on values than on symbolic tensors.
    It runs once for a graph, and each time for the network. read, again: the network as it was read, twice.
    """
    if not _are_equal(read.graph, again.graph):
        raise InputError(
            f"{network.name}: its code computes something else each time it is called: it counts, or draws random "
            "numbers; a graph computes the same for each call: make what changes an input of the network"
        )
    for least in _LEAST_SIZES:
        inputs = _example(read.graph, least)
        try:
            computed = read.graph.run(inputs, execution=Execution(dtype=np.float64, keep=False), values=read.compared)
            original = read.original_values(inputs, read.compared, "float64")
        except InputError:
            continue  # which inputs the network takes is not known here
        _check_values(network, read, computed, original)


def _check_values(
    network: Any, read: ReadNetwork, computed: Mapping[str, Array], original: Mapping[str, Array]
) -> None:
    for name, array in original.items():
        if computed[name].shape == array.shape and np.allclose(computed[name], array, 1e-5, 1e-6, equal_nan=True):
            continue
        origin = next((node.origin for node in read.graph.nodes if name in node.outputs), network.name)
        raise InputError(
            f"{origin}: the code of the network computes something else on tensors than on symbolic tensors; "
            "use keras.ops in it, without asking which of them a tensor is"
        )


def _are_equal(left: Graph, right: Graph) -> bool:
    """Whether two graphs compute the same. What Keras numbers anew, the origins, may differ."""
    if len(left.nodes) != len(right.nodes) or left.constants.keys() != right.constants.keys():
        return False
    for node, other in zip(left.nodes, right.nodes, strict=True):
        if node != replace(other, origin=node.origin):
            return False
    for name, array in left.constants.items():
        if not np.array_equal(array, right.constants[name], equal_nan=array.dtype.kind == "f"):
            return False
    return left.outputs == right.outputs


def _example(graph: Graph, least: int) -> dict[str, Array]:
    """Inputs of a graph with sizes from `least` on."""
    rng = np.random.default_rng(0)
    sizes = {name: least + number for number, name in enumerate(graph.symbols)}
    inputs: dict[str, Array] = {}
    for name, value_type in graph.inputs.items():
        shape = tuple(value_of(size, sizes) for size in value_type.shape)
        if value_type.dtype == "float":
            inputs[name] = rng.integers(0, 3, shape).astype(np.float32)  # whole numbers may be ids
        else:
            inputs[name] = rng.integers(0, 2, shape).astype(value_type.dtype)
    return inputs
