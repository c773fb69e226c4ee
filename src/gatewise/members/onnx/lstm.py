"""The network as ONNX nodes: truncation and pads -> embedding -> LSTM layers -> pooling -> dense.

Inputs are padded at the end: tokens (B, T) or channels (B, T, C), with the lengths (B,) of the sequences. What
`network/batch.py` does to a ragged batch, truncation and pads in front, is part of the graph.
"""

from collections.abc import Mapping

import numpy as np

from gatewise.errors import InputError
from gatewise.members.onnx.graph import Graph, Value, ints, scalar
from gatewise.network.activations import SELU_ALPHA, SELU_SCALE
from gatewise.network.architecture import Architecture, Hidden, Layer, parameter_shapes
from gatewise.network.batch import PAD
from gatewise.network.weight_layouts import from_onnx_arrays, to_onnx_arrays, weights_of
from gatewise.types import Array

_DIRECTIONS = {"forward": "forward", "backward": "reverse", "both": "bidirectional"}  # as the LSTM node has them


def check_exportable(arch: Architecture) -> None:
    """Raise InputError for a network that ONNX cannot compute."""
    if arch.gate != "sigmoid":
        raise InputError(
            f"gate={arch.gate!r} cannot be exported: gates of 0 and 1 turn rounding differences into other logits"
        )


def lstm_logits(graph: Graph, parameters: Mapping[str, Array], arch: Architecture, x: str, lengths: str) -> str:
    """Logits (B, outputs) float32 of tokens (B, T) int64, or of channels (B, T, C) float32, each of `lengths` (B,); of
    the steps that the network reads (B, T, outputs) with pooling "none".
    """
    check_exportable(arch)
    x, lengths = _read_steps(graph, arch, x, lengths)
    if arch.inputs == "tokens":
        x = graph.lookup("embedding.weight", parameters["embedding.weight"], x)  # (B, T, D)
    x = graph.add("Transpose", x, perm=[1, 0, 2])  # (T, B, D)
    final = ""
    for number, layer in enumerate(arch.layers):
        W, R, B = to_onnx_arrays(weights_of(parameters, arch, number))
        h, h_T = graph.add_several(  # (T, R, B, H) of every step, (R, B, H) of the last one; R directions
            "LSTM",
            2,
            x,
            graph.matrix(f"lstm.{number}.W", W),
            graph.matrix(f"lstm.{number}.R", R),
            graph.keep(f"lstm.{number}.B", B),
            graph.cast(lengths, np.int32),
            hidden_size=layer.units,
            direction=_DIRECTIONS[layer.direction],
        )
        x = _merge(graph, layer, h, axis=1)  # (T, B, width)
        final = _merge(graph, layer, h_T, axis=0)  # (B, width)
    x = _pool(graph, arch, x, final, lengths)
    for name, _, dense in arch.dense():
        weight = graph.keep(f"{name}.weight", parameters[f"{name}.weight"].T)
        bias = graph.keep(f"{name}.bias", parameters[f"{name}.bias"])
        x = _activate(graph, graph.add("Add", graph.add("MatMul", x, weight), bias), dense)
    return x


def parameters_of(arch: Architecture, constants: Mapping[str, Array]) -> dict[str, Array]:
    """The parameters by name, of the constants that `lstm_logits` kept."""
    arrays: list[Array] = [] if arch.inputs == "channels" else [constants["embedding.weight"]]
    for number in range(len(arch.layers)):
        W, R, B = (constants[f"lstm.{number}.{name}"] for name in "WRB")
        for weights_of_direction in from_onnx_arrays(W, R, B):
            arrays += [array for array in weights_of_direction if array is not None]
    for name, _, _ in arch.dense():
        arrays += [constants[f"{name}.weight"].T, constants[f"{name}.bias"]]
    return dict(zip(parameter_shapes(arch), arrays, strict=True))


def _activate(graph: Graph, x: str, hidden: Hidden) -> str:
    """The activation of x; most have an operator of that name."""
    name = hidden.activation
    if name == "linear":
        return x
    if name == "silu":
        return graph.add("Mul", x, graph.add("Sigmoid", x))
    if name == "gelu":
        erf = graph.add("Erf", graph.add("Mul", x, scalar(0.5**0.5, np.float32)))
        return graph.add(
            "Mul", x, graph.add("Mul", graph.add("Add", erf, scalar(1, np.float32)), scalar(0.5, np.float32))
        )
    attributes = {
        "leaky_relu": {"alpha": hidden.negative_slope},
        "hard_sigmoid": {"alpha": 1 / 6, "beta": 0.5},
        "selu": {"alpha": SELU_ALPHA, "gamma": SELU_SCALE},
    }
    return graph.add("".join(map(str.capitalize, name.split("_"))), x, **attributes.get(name, {}))


def _merge(graph: Graph, layer: Layer, h: str, axis: int) -> str:
    """The outputs (..., R, B, H) of the directions, the axis R, as one: (..., B, width)."""
    if layer.merge == "sum":
        return graph.add("ReduceSum", h, ints(axis), keepdims=0)
    if layer.merge != "concat":
        return graph.add("ReduceMean" if layer.merge == "mean" else "ReduceProd", h, axes=[axis], keepdims=0)
    swapped = graph.add("Transpose", h, perm=[0, 2, 1, 3] if axis else [1, 0, 2])
    return graph.add("Reshape", swapped, ints(0, 0, -1) if axis else ints(0, -1))


def _read_steps(graph: Graph, arch: Architecture, x: str, lengths: str) -> tuple[str, str]:
    """The steps that the network reads, and their number (B,): after truncation, and with pads in front."""
    if not arch.max_length:
        return x, lengths
    most = scalar(arch.max_length)
    # Truncation in the middle keeps a third of the steps at the beginning, as `network.batch.truncate`.
    head = arch.max_length // 3 if arch.truncation == "middle" else 0
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


def _pool(graph: Graph, arch: Architecture, h: str, final: str, lengths: str) -> str:
    """The pooled states (B, features) of h (T, B, width) and the final states (B, width); (B, T, width) without."""
    if arch.pooling == "last":
        return final
    if arch.pooling in ("step", "none"):
        h = graph.add("Transpose", h, perm=[1, 0, 2])
        last = graph.column(graph.add("Sub", lengths, scalar(1)))
        return h if arch.pooling == "none" else graph.add("GatherND", h, last, batch_dims=1)
    step = graph.add("Unsqueeze", graph.count(graph.size(h, 0)), ints(1))  # (T, 1)
    inside = graph.add("Unsqueeze", graph.add("Less", step, lengths), ints(2))  # (T, B, 1)
    parts = []
    if "mean" in arch.pooling:
        total = graph.add("ReduceSum", graph.add("Where", inside, h, scalar(0, np.float32)), ints(0), keepdims=0)
        number = graph.cast(graph.column(graph.add("Max", lengths, scalar(1))), np.float32)
        parts.append(graph.add("Div", total, number))
    if "max" in arch.pooling:  # every h is above -1, and a sum of two above -2
        inner = graph.add("Where", inside, h, scalar(-3, np.float32))
        parts.append(graph.add("ReduceMax", inner, axes=[0], keepdims=0))
    return graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
