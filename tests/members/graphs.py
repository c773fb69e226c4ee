"""Small graphs with random, asymmetric weights, as readers of other libraries make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gatewise.network.architecture import Architecture
from gatewise.network.graph import Graph, Guard
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.operations import operation_of
from gatewise.network.size import Dim, symbol
from gatewise.types import Array

B = symbol("B")
T = symbol("T")


def of_architecture(arch: Architecture, parameters: Mapping[str, Array]) -> Graph:
    """The graph of an architecture without truncation and pads."""
    builder = GraphBuilder()
    for name, array in parameters.items():
        builder.constant(array, name)
    if arch.inputs == "tokens":
        ids = builder.input("ids", ValueType("int64", (B, T)))
        x = builder.add("Gather", "embedding.weight", ids, axis=0)
    else:
        x = builder.input("series", ValueType("float", (B, T, arch.channels)))
    directions: list[list[str]] = []
    for number, layer in enumerate(arch.layers):
        directions = []
        for direction in layer.directions:
            prefix = f"lstm.{number}.{direction}"
            weights = [f"{prefix}.{part}" for part in ("weight_ih", "weight_hh", "bias")]
            operation = operation_of_recurrence(reverse=direction == "backward")
            directions.append(builder.node(operation, [x, *weights]))
        x = merged(builder, [outputs[0] for outputs in directions], layer.merge, axis=2)
    merge = arch.top.merge
    poolings: dict[str, Callable[[], str]] = {
        "none": lambda: x,
        "last": lambda: merged(builder, [outputs[1] for outputs in directions], merge, axis=1),
        "step": lambda: builder.add("Gather", x, builder.constant(-1), axis=1),
        "mean": lambda: builder.add("ReduceMean", x, axes=(1,), keepdims=0),
        "max": lambda: builder.add("ReduceMax", x, axes=(1,), keepdims=0),
    }
    parts = [poolings[how]() for how in arch.pooling.split("+")]
    pooled = parts[0] if len(parts) == 1 else builder.add("Concat", *parts, axis=1)
    for prefix, _, dense in arch.dense():
        transposed = builder.constant(parameters[f"{prefix}.weight"].T)
        pooled = builder.add("Add", builder.add("MatMul", pooled, transposed), f"{prefix}.bias")
        if dense.activation != "linear":
            pooled = builder.add(dense.activation.title(), pooled)
    return builder.graph([pooled])


def operation_of_recurrence(cell: str = "LSTM", reverse: bool = False) -> Any:
    """A recurrence."""
    from gatewise.network.operations.recurrent import Recurrent

    return Recurrent(cell=cell, reverse=reverse)  # type: ignore[arg-type]


def merged(builder: GraphBuilder, values: list[str], merge: str, axis: int) -> str:
    """Two directions as one value."""
    if len(values) == 1:
        return values[0]
    if merge == "concat":
        return builder.add("Concat", *values, axis=axis)
    both = builder.add("Mul" if merge == "product" else "Add", *values)
    return builder.add("Mul", both, builder.constant(np.float32(0.5))) if merge == "mean" else both


def recurrent_classifier(cell: str = "GRU", units: int = 5, vocab_size: int = 19, classes: int = 3) -> Graph:
    """Embedding, a recurrence, attention over its steps with a mask of token 0, a softmax over the classes."""
    rng = np.random.default_rng(3)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    x = builder.add("Gather", builder.constant(rng.normal(size=(vocab_size, 4)), "embedding"), ids)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[cell]
    sizes = {"weight_ih": (gates * units, 4), "weight_hh": (gates * units, units), "bias": (gates * units,)}
    weights = [builder.constant(rng.normal(size=size) * 0.6, name) for name, size in sizes.items()]
    h = builder.node(operation_of_recurrence(cell), [x, *weights], name="rnn")[0]
    query = builder.constant(rng.normal(size=(units, 1)), "query")
    energy = builder.add("MatMul", h, query)  # (B, T, 1)
    is_pad = builder.add("Unsqueeze", builder.add("Equal", ids, builder.constant(0)), axes=(2,))
    masked = builder.add("Where", is_pad, builder.constant(np.float32(-1e9)), energy)
    weight = builder.add("Softmax", masked, axis=1)
    context = builder.add("ReduceSum", builder.add("Mul", weight, h), axes=(1,), keepdims=0)
    dense = builder.constant(rng.normal(size=(units, classes)), "dense")
    return builder.graph([builder.add("Softmax", builder.add("MatMul", context, dense), axis=-1), weight])


def several_inputs() -> Graph:
    """Ids (B, T), numbers (B, 4) and an initial state h0 (1, B, 5): a probability (B,), and two numbers (B, 2)."""
    rng = np.random.default_rng(1)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    numbers = builder.input("numbers", ValueType("float", (B, 4)))
    h0 = builder.input("h0", ValueType("float", (1, B, 5)))
    x = builder.add("Gather", builder.constant(rng.normal(size=(13, 3)), "table"), ids)
    weights = [builder.constant(rng.normal(size=size)) for size in ((20, 3), (20, 5), (20,))]
    start = builder.add("Squeeze", h0, axes=(0,))
    last = builder.node(operation_of_recurrence(), [x, *weights, "", "", start])[1]
    both = builder.add("Concat", last, numbers, axis=1)
    logit = builder.add("MatMul", both, builder.constant(rng.normal(size=(9, 1))))
    probability = builder.node(
        operation_of("Squeeze", {"axes": (1,)}), [builder.add("Sigmoid", logit)], ["probability"]
    )
    further = builder.node(operation_of("MatMul", {}), [both, builder.constant(rng.normal(size=(9, 2)))], ["numbers2"])
    return builder.graph([*probability, *further])


def weights_of(builder: GraphBuilder, rng: np.random.Generator, cell: str, width: int, units: int) -> list[str]:
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[cell]
    sizes = [(gates * units, width), (gates * units, units), (gates * units,)]
    return [builder.constant((rng.normal(size=size) * 0.6).astype(np.float32)) for size in sizes]


def text_graph(cell: str = "GRU", steps: Dim = T, guards: tuple[Guard, ...] = (), per_step: bool = False) -> Graph:
    """Embedding, two recurrences that leave out token 0, the last state of one and the maximum of the other."""
    rng = np.random.default_rng(6)
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, steps)))
    x = builder.add("Gather", builder.constant(rng.normal(size=(19, 4)).astype(np.float32), "embedding"), ids)
    mask = builder.add("Not", builder.add("Equal", ids, builder.constant(0)))
    first = builder.node(operation_of_recurrence(cell), [x, *weights_of(builder, rng, cell, 4, 5), "", mask])
    second = builder.node(operation_of_recurrence(cell), [first[0], *weights_of(builder, rng, cell, 5, 6)])
    if per_step:
        features = builder.add("Concat", first[0], second[0], axis=2)
    else:
        highest = builder.add("ReduceMax", second[0], axes=(1,), keepdims=0)
        features = builder.add("Concat", first[1], highest, axis=1)
    dense = builder.constant(rng.normal(size=(11, 3)).astype(np.float32))
    return builder.graph([builder.add("Softmax", builder.add("MatMul", features, dense), axis=-1)], guards)
