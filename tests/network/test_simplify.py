"""Each rewrite of a graph leaves fewer or other nodes, and the same outputs in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import Execution, ValueType
from gatewise.network.simplify import simplified
from gatewise.network.size import symbol
from gatewise.types import Array

B, T = symbol("B"), symbol("T")
Network = Callable[[GraphBuilder, str], list[str]]
"""Adds nodes that read x (B, T, 6): the outputs."""


def random(*shape: int) -> Array:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape)


def of(network: Network) -> Graph:
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 6)))
    return builder.graph(network(builder, x))


def no_effect(builder: GraphBuilder, x: str) -> list[str]:
    y = builder.add("Dropout", builder.add("Identity", x))
    y = builder.add("Cast", builder.add("Transpose", y, perm=(0, 1, 2)), to="float")
    y = builder.add("Slice", y, starts=(0,), ends=(2**40,), axes=(1,))
    y = builder.add("Expand", builder.add("Reshape", y, shape=(B, T, 6)), shape=(1, 1, 6))
    return [builder.add("Relu", builder.add("Concat", builder.add("Sum", y), axis=1))]


def nothing_at_all(builder: GraphBuilder, x: str) -> list[str]:
    return [builder.add("Identity", x)]


def shapes(builder: GraphBuilder, x: str) -> list[str]:
    y = builder.add("Unsqueeze", x, axes=(0, 3))  # (1, B, T, 1, 6)
    y = builder.add("Transpose", y, perm=(1, 0, 2, 4, 3))  # (B, 1, T, 6, 1)
    y = builder.add("Squeeze", y, axes=(1, 4))
    y = builder.add("Reshape", builder.add("Reshape", y, shape=(0, -1, 2)), shape=(B * T, 6))
    return [builder.add("Relu", builder.add("Flatten", builder.add("Reshape", y, shape=(B, T, 3, 2)), axis=2))]


def transposes(builder: GraphBuilder, x: str) -> list[str]:
    y = builder.add("Transpose", builder.add("Transpose", x, perm=(1, 2, 0)))
    back = builder.add("Transpose", builder.add("Transpose", x, perm=(2, 0, 1)), perm=(1, 2, 0))
    return [builder.add("Relu", y), builder.add("Relu", back)]


def last_rows(builder: GraphBuilder, x: str) -> list[str]:
    sliced = builder.add("Slice", x, starts=(-1,), ends=(2**62,), axes=(1,))
    y = builder.add("Squeeze", sliced, axes=(1,))
    counted = builder.add("Gather", x, builder.add("Sizes", sizes=(T - 1,), scalar=True), axis=1)
    channel = builder.add("Slice", x, starts=(2,), ends=(3,), axes=(-1,))
    return [builder.add("Relu", y), builder.add("Relu", counted), builder.add("Relu", channel)]


def rows_that_stay(builder: GraphBuilder, x: str) -> list[str]:
    """Of an axis of any size the third step may be missing, and then a slice is empty."""
    some = builder.add("Slice", x, starts=(2,), ends=(3,), axes=(1,))
    down = builder.add("Slice", x, starts=(-1,), ends=(-(2**62),), axes=(1,), steps=(-1,))
    return [builder.add("ReduceSum", some, axes=(1,)), down]


def stacked(builder: GraphBuilder, x: str) -> list[str]:
    parts = [builder.add("Unsqueeze", builder.add(name, x), axes=(0,)) for name in ("Tanh", "Relu", "Sigmoid")]
    both = builder.add("Concat", *parts[:2], axis=0)
    all_three = builder.add("Concat", *parts, axis=0)
    outputs = [builder.add("Gather", all_three, builder.constant(np.array(place)), axis=0) for place in (-1, 1)]
    outputs += [builder.add(name, all_three, axes=(0,), keepdims=0) for name in ("ReduceSum", "ReduceMean")]
    outputs += [builder.add(name, all_three, axes=(0,)) for name in ("ReduceMax", "ReduceMin")]
    return [*outputs, builder.add("ReduceProd", both, axes=(0,), keepdims=0)]


def last_states(builder: GraphBuilder, x: str) -> list[str]:
    """Joined along the batch, and then cut apart."""
    parts = [builder.add("ReduceMax", builder.add(name, x), axes=(1,), keepdims=0) for name in ("Tanh", "Relu")]
    both = builder.add("Reshape", builder.add("Concat", *parts, axis=0), shape=(2, B, 6))
    other = builder.add("Reshape", builder.add("Concat", *parts, axis=0), shape=(B, 2, 6))
    return [builder.add("Gather", both, builder.constant(np.array(-1)), axis=0), other]


def poolings(builder: GraphBuilder, x: str) -> list[str]:
    channels = builder.add("Transpose", x, perm=(0, 2, 1))
    outputs = [builder.add(name, channels) for name in ("GlobalAveragePool", "GlobalMaxPool")]
    total = builder.add("ReduceSum", x, axes=(1,), keepdims=0)
    steps = builder.add("Cast", builder.add("Sizes", sizes=(T,), scalar=True), to="float")
    outputs.append(builder.add("Div", total, steps))
    over_channels = builder.add("ReduceSum", x, axes=(2,))
    outputs.append(builder.add("Div", over_channels, builder.constant(np.array(6.0))))
    return [*outputs, builder.add("Div", over_channels, builder.constant(np.array(5.0)))]


def normalised(builder: GraphBuilder, x: str) -> list[str]:
    channels = builder.add("Transpose", x, perm=(0, 2, 1))
    arrays = [random(6), random(6), random(6) + 0.1, random(6) ** 2 + 0.1]
    return [builder.add("BatchNormalization", channels, *map(builder.constant, arrays), epsilon=0.01)]


def activations(builder: GraphBuilder, x: str) -> list[str]:
    def constant(number: float) -> str:
        return builder.constant(np.array(number))

    outputs = [builder.add("Mul", builder.add("Sigmoid", x), x)]
    for scale, operation in ((2**0.5, "Div"), (0.5**0.5, "Mul")):
        probability = builder.add("Add", builder.add("Erf", builder.add(operation, x, constant(scale))), constant(1.0))
        outputs.append(builder.add("Mul", builder.add("Mul", x, constant(0.5)), probability))
        outputs.append(builder.add("Mul", x, builder.add("Mul", probability, constant(0.5))))
    outputs.append(builder.add("Max", x, constant(0.0)))
    outputs.append(builder.add("Clip", x, constant(0.0)))
    outputs.append(builder.add("PRelu", x, builder.constant(np.array([0.3]))))
    clipped = builder.add("Clip", builder.add("Add", x, constant(3.0)), constant(0.0), constant(6.0))
    outputs += [builder.add("Div", clipped, constant(6.0)), builder.add("Mul", clipped, constant(1 / 6))]
    return [*outputs, builder.add("Div", x, builder.add("Add", builder.add("Abs", x), constant(1.0)))]


def not_these_activations(builder: GraphBuilder, x: str) -> list[str]:
    """Another number, and constants that have more axes than x."""

    def constant(*numbers: float) -> str:
        return builder.constant(np.array(numbers).reshape(-1, 1, 1, 1))

    probability = builder.add("Add", builder.add("Erf", builder.add("Mul", x, constant(0.6))), constant(1.0))
    wide = constant(0.0, 0.0)
    clipped = builder.add("Clip", x, builder.constant(np.array(0.0)), builder.constant(np.array(6.0)))
    return [builder.add("Mul", builder.add("Mul", x, constant(0.5)), probability), builder.add("Max", x, wide), clipped]


def equal_nodes(builder: GraphBuilder, x: str) -> list[str]:
    return [builder.add("Add", builder.add("Tanh", x), builder.add("Tanh", x))]


def sizes(builder: GraphBuilder, x: str) -> list[str]:
    count = builder.add("Max", builder.add("Sizes", sizes=(T,)), builder.constant(np.array([1])))
    longer = builder.add("Max", builder.add("Sizes", sizes=(T,)), builder.constant(np.array([3])))
    return [builder.add("Mul", x, builder.add("Cast", number, to="float")) for number in (count, longer)]


def run(graph: Graph, batch: int, steps: int) -> dict[str, Array]:
    x = np.random.default_rng(batch * steps).normal(size=(batch, steps, 6))
    return graph.run({"x": x}, execution=Execution(dtype=np.float64, keep=False))


NETWORKS = (
    no_effect,
    nothing_at_all,
    shapes,
    transposes,
    last_rows,
    rows_that_stay,
    stacked,
    last_states,
    poolings,
    normalised,
    activations,
    not_these_activations,
    equal_nodes,
    sizes,
)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_outputs_are_the_same(network: Network) -> None:
    graph = of(network)
    shorter = simplified(graph)
    assert shorter.outputs == graph.outputs
    assert [shorter.types[name] for name in shorter.outputs] == [graph.types[name] for name in graph.outputs]
    for batch, steps in ((1, 1), (3, 2), (2, 7)):
        wanted, computed = run(graph, batch, steps), run(shorter, batch, steps)
        for name in graph.outputs:
            np.testing.assert_allclose(computed[name], wanted[name], rtol=1e-12, atol=1e-12)


def names(network: Network) -> list[str]:
    """Without Identity, by which an output keeps its name."""
    return sorted({node.operation.name() for node in simplified(of(network)).nodes} - {"Identity"})


def test_what_is_left() -> None:
    assert names(no_effect) == ["Relu"]
    assert names(nothing_at_all) == []
    assert names(shapes) == ["Relu", "Reshape"]
    assert len(simplified(of(transposes)).nodes) == 3, "one of the two pairs cancels"
    assert names(last_rows) == ["Gather", "Relu", "Reshape"]
    assert names(rows_that_stay) == ["ReduceSum", "Slice"]
    graph = of(last_states)
    last = simplified(Graph(graph.inputs, graph.constants, graph.nodes, graph.outputs[:1]))
    assert [node.operation.name() for node in last.nodes] == ["Relu", "ReduceMax", "Identity"]
    assert names(poolings) == ["Div", "ReduceMax", "ReduceMean", "ReduceSum", "Transpose"]
    assert names(normalised) == ["Add", "Mul", "Transpose"]
    assert names(activations) == ["Gelu", "HardSigmoid", "LeakyRelu", "Relu", "Softsign", "Swish"]
    assert names(not_these_activations) == ["Add", "Clip", "Erf", "Max", "Mul"]
    assert names(equal_nodes) == ["Add", "Tanh"]
    assert len(simplified(of(equal_nodes)).nodes) == 2
    assert names(sizes) == ["Cast", "Max", "Mul", "Sizes"]
    left = names(stacked)
    assert "Concat" not in left
    assert {"Sum", "Mean", "Max", "Min", "Mul"} <= set(left)
