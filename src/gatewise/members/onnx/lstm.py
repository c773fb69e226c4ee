"""The LSTM of a model as ONNX nodes: those of its graph, and the parameters in such a file."""

from __future__ import annotations

from collections.abc import Mapping

from gatewise.errors import InputError
from gatewise.members.onnx.graph import Graph
from gatewise.members.onnx.operations import write_graph
from gatewise.network.architecture import Architecture, parameter_shapes
from gatewise.network.architecture_graph import INPUTS, LENGTHS, graph_of_sequences
from gatewise.network.weight_layouts import from_onnx_arrays
from gatewise.types import Array


def check_exportable(arch: Architecture) -> None:
    """Raise InputError for a network that ONNX cannot compute."""
    arch.check_plain("an ONNX file")
    if arch.gate != "sigmoid":
        raise InputError(
            f"gate={arch.gate!r} cannot be exported: gates of 0 and 1 turn rounding differences into other logits"
        )


def lstm_logits(graph: Graph, parameters: Mapping[str, Array], arch: Architecture, x: str, lengths: str) -> str:
    """Logits (B, outputs) float32 of tokens (B, T) int64, or of channels (B, T, C) float32, each of `lengths` (B,); of
    the steps that the network reads (B, T, outputs) with pooling "none".
    """
    check_exportable(arch)
    network = graph_of_sequences(arch, parameters)
    inputs = {INPUTS[arch.inputs]: x, LENGTHS: lengths}
    [logits] = write_graph(graph, network, inputs, prefix=f"{graph.owner}.")
    return logits


def parameters_of(arch: Architecture, constants: Mapping[str, Array]) -> dict[str, Array]:
    """The parameters by name, of the constants that `lstm_logits` kept."""
    arrays: list[Array] = [] if arch.inputs == "channels" else [constants["embedding.weight"]]
    for number, layer in enumerate(arch.layers):
        W, R, B = (constants[f"lstm.{number}.{layer.directions[0]}.{name}"] for name in "WRB")
        for weights_of_direction in from_onnx_arrays(W, R, B):
            arrays += [array for array in weights_of_direction if array is not None]
    for name, _, _ in arch.dense():
        arrays += [constants[f"{name}.weight"].T, constants[f"{name}.bias"]]
    return dict(zip(parameter_shapes(arch), arrays, strict=True))
