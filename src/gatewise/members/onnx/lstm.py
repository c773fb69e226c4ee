"""The network as ONNX nodes: truncation and pads -> embedding -> LSTM layers -> pooling -> dense.

Inputs are padded at the end: tokens (B, T) or channels (B, T, C), with the lengths (B,) of the sequences. What
`network/batch.py` does to a ragged batch, truncation and pads in front, is part of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gatewise.errors import InputError
from gatewise.members.onnx.graph import Graph, Value, ints, scalar
from gatewise.network.architecture import Architecture, check_plain
from gatewise.network.batch import PAD
from gatewise.network.weight_layouts import to_onnx_arrays, weights_of
from gatewise.types import Array


def check_exportable(arch: Architecture) -> None:
    """Raise InputError for a network that the graph cannot compute."""
    check_plain(arch, "the ONNX export")
    if arch.gate != "sigmoid":
        raise InputError(
            f"gate={arch.gate!r} cannot be exported: gates of 0 and 1 turn rounding differences into other logits"
        )


def lstm_logits(graph: Graph, parameters: Mapping[str, Array], arch: Architecture, x: str, lengths: str) -> str:
    """Logits (B, outputs) float32 of tokens (B, T) int64, or of channels (B, T, C) float32, each of `lengths` (B,)."""
    check_exportable(arch)
    x, lengths = _read_steps(graph, arch, x, lengths)
    if arch.inputs == "tokens":
        x = graph.add("Gather", parameters["embedding.weight"], x)  # (B, T, D)
    x = graph.add("Transpose", x, perm=[1, 0, 2])  # (T, B, D)
    h = h_T = ""
    for layer in range(len(arch.layers)):
        if layer:
            x = graph.add("Reshape", graph.add("Transpose", h, perm=[0, 2, 1, 3]), ints(0, 0, -1))
        W, R, B = to_onnx_arrays(weights_of(parameters, arch, layer))
        h, h_T = graph.add_several(  # (T, R, B, H) of every step, (R, B, H) of the last one; R directions
            "LSTM",
            2,
            *(x, W, R, B, graph.cast(lengths, np.int32)),
            hidden_size=arch.top.units,
            direction="bidirectional" if arch.top.direction == "both" else "forward",
        )
    pooled = []
    for one in _pool(graph, arch, h, h_T, lengths):  # (R, B, H) -> (B, R x H)
        pooled.append(graph.add("Reshape", graph.add("Transpose", one, perm=[1, 0, 2]), ints(0, -1)))
    features = graph.add("Concat", *pooled, axis=1) if len(pooled) > 1 else pooled[0]
    return graph.add("Gemm", features, parameters["dense.weight"], parameters["dense.bias"], transB=1)


def _read_steps(graph: Graph, arch: Architecture, x: str, lengths: str) -> tuple[str, str]:
    """The steps that the network reads, and their number (B,): after truncation, and with pads in front."""
    if not arch.max_length:
        return x, lengths
    most, head = scalar(arch.max_length), arch.max_length // 3 if arch.truncation == "middle" else 0
    padded = arch.padding == "pre"
    step: Value = np.arange(arch.max_length)
    if not padded:
        step = graph.count(graph.add("Min", graph.size(x, 1), ints(arch.max_length)))
    beyond = graph.add("Sub", lengths, most)  # (B,), below 0 where there are pads
    extra = graph.column(beyond if padded else graph.add("Max", beyond, scalar(0)))
    source = graph.add("Add", step, extra)  # (B, T'): the step of x
    if head:
        in_head = graph.add("And", graph.add("Less", step, scalar(head)), graph.add("Greater", extra, scalar(0)))
        source = graph.add("Where", in_head, step, source)
    if not padded:
        return _gather(graph, arch, x, source), graph.add("Min", lengths, most)
    is_pad = graph.add("Less", source, scalar(0))
    tokens = _gather(graph, arch, x, graph.add("Max", source, scalar(0)))
    full = graph.add("Expand", ints(arch.max_length), graph.size(x, 0))
    return graph.add("Where", is_pad, scalar(PAD), tokens), full


def _gather(graph: Graph, arch: Architecture, x: str, source: str) -> str:
    """Step source[b, t] of x[b]: (B, T') tokens, or (B, T', C) channels."""
    if arch.inputs == "channels":
        source = graph.add("Expand", graph.add("Unsqueeze", source, ints(2)), ints(1, 1, arch.channels))
    return graph.add("GatherElements", x, source, axis=1)


def _pool(graph: Graph, arch: Architecture, h: str, h_T: str, lengths: str) -> list[str]:
    """The pooled states, each (R, B, H)."""
    if arch.pooling == "last":
        return [h_T]
    step = graph.add("Unsqueeze", graph.count(graph.size(h, 0)), ints(1))  # (T, 1)
    inside = graph.add("Unsqueeze", graph.add("Less", step, lengths), ints(1, 3))  # (T, 1, B, 1)
    parts = []
    if "mean" in arch.pooling:
        total = graph.add("ReduceSum", graph.add("Where", inside, h, scalar(0, np.float32)), ints(0), keepdims=0)
        number = graph.cast(graph.column(graph.add("Max", lengths, scalar(1))), np.float32)
        parts.append(graph.add("Div", total, number))
    if "max" in arch.pooling:
        parts.append(
            graph.add("ReduceMax", graph.add("Where", inside, h, scalar(-2, np.float32)), axes=[0], keepdims=0)
        )
    return parts
