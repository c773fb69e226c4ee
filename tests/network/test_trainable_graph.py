"""The weights of a graph: which constants they are, and gradients with which they learn."""

import numpy as np

from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.size import symbol
from gatewise.network.trainable_graph import TrainableGraph, weights_of
from gatewise.types import Array

B, T = symbol("B"), symbol("T")


def _graph(rng: np.random.Generator) -> Graph:
    """Scaled series through an LSTM with a constant mask value, attention and a linear layer."""
    builder = GraphBuilder()

    def weight(name: str, *shape: int) -> str:
        return builder.constant(rng.normal(scale=0.4, size=shape), name)

    x = builder.input("x", ValueType("float", (B, T, 3)))
    scaled = builder.add(
        "Div", builder.add("Sub", x, weight("mean", 3)), builder.constant(np.full(3, 2.0), "deviation")
    )
    recurrent = builder.add("Recurrent", scaled, weight("ih", 20, 3), weight("hh", 20, 5), weight("bias", 20))
    scores = builder.add("MatMul", recurrent, weight("attention", 5, 1))
    shares = builder.add("Softmax", scores, axis=1)
    pooled = builder.add("ReduceSum", builder.add("Mul", shares, recurrent), axes=(1,), keepdims=0)
    logits = builder.add("Add", builder.add("MatMul", pooled, weight("dense", 5, 2)), weight("dense_bias", 2))
    return builder.graph([builder.add("Mul", logits, builder.constant(np.array(1.5), "factor"))])


def test_weights_are_matrices_and_biases() -> None:
    graph = _graph(np.random.default_rng(0))
    assert set(weights_of(graph)) == {"ih", "hh", "bias", "attention", "dense", "dense_bias"}


def test_a_graph_learns() -> None:
    """Plain gradient descent fits eight random series; what is no weight stays as it is."""
    rng = np.random.default_rng(1)
    graph = _graph(rng)
    network = TrainableGraph(graph)
    x = rng.normal(size=(8, 6, 3))
    wanted = rng.normal(size=(8, 2))
    losses = []

    def grad_of(logits: Array) -> Array:
        losses.append(float(np.square(logits - wanted).mean()))
        return 2 * (logits - wanted) / wanted.size

    for _ in range(300):
        _, gradients = network.gradients({"x": x}, graph.outputs[0], grad_of)
        for name, gradient in gradients.items():
            network.parameters[name] -= 0.3 * gradient
    assert losses[-1] < 0.2 * losses[0]
    constants = network.constants()
    np.testing.assert_array_equal(constants["mean"], graph.constants["mean"])
    assert not np.array_equal(constants["ih"], graph.constants["ih"])
    assert graph.constants["ih"].dtype == np.float64, "the graph itself is not changed"
