"""Nodes of constants alone are computed when they are added."""

from __future__ import annotations

import numpy as np

from gatewise.network.graph_builder import GraphBuilder
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
