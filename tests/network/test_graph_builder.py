"""Nodes of constants alone are computed when they are added."""

from __future__ import annotations

import numpy as np

from gatewise.network.graph_builder import Folding, GraphBuilder
from gatewise.network.operation import ValueType


def test_a_node_of_constants_is_computed_in_float64() -> None:
    """As of the scale of a normed weight, which float32 would round."""
    rng = np.random.default_rng(4)
    weights = rng.standard_normal((3, 5)).astype(np.float32)
    builder = GraphBuilder()
    builder.input("x", ValueType("float", (2, 3)))
    name = builder.constant(weights)
    norm = builder.add("ReduceL2", name, axes=(1,))
    expected = np.sqrt((weights.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(builder.constants[norm], expected, rtol=1e-15)
    assert builder.constants[norm].dtype == np.float64


def test_weights_that_are_moved_stay_in_float32() -> None:
    rng = np.random.default_rng(4)
    weights = rng.standard_normal((3, 5)).astype(np.float32)
    weights[0, 0] = np.nan
    builder = GraphBuilder()
    name = builder.constant(weights)
    transposed = builder.constants[builder.add("Transpose", name, perm=(1, 0))]
    np.testing.assert_array_equal(transposed, weights.T)
    assert transposed.dtype == np.float32


def test_constants_are_computed_within_a_limit_only() -> None:
    """Of a file that asks for more of them, the nodes stay: they are checked before a run."""
    builder = GraphBuilder(Folding(numbers=20, work=700))
    small = builder.constant(np.arange(12.0).reshape(3, 4))
    square = builder.constant(np.arange(400.0).reshape(20, 20))
    assert builder.add("Transpose", small) in builder.constants
    assert builder.add("Transpose", small) not in builder.constants, "8 numbers are left"
    assert builder.add("ReduceSum", square, keepdims=False) in builder.constants
    assert builder.add("ReduceSum", square, keepdims=False) not in builder.constants, "275 multiplications are left"
    assert builder.folding == Folding(numbers=7, work=275)


def test_products_of_constants_count_their_multiplications() -> None:
    builder = GraphBuilder(Folding(work=30_000))
    matrix = builder.constant(np.random.default_rng(1).normal(size=(25, 25)))
    assert builder.add("MatMul", matrix, matrix) in builder.constants
    assert builder.add("MatMul", matrix, matrix) not in builder.constants
    assert builder.add("Neg", matrix) in builder.constants
