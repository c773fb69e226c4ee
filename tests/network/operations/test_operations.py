"""The shape rule and the gradient of each operation, on arrays of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.network.graph import Graph, Node
from gatewise.network.operation import Execution, ValueType
from gatewise.network.operations import NAMES, operation_of
from gatewise.network.size import symbol
from tests.network.operations.cases import arrangement, elementwise, layers, loops, recurrent, reductions
from tests.network.operations.checks import check, check_edge, check_symbolic

FAMILIES = (arrangement, elementwise, layers, loops, recurrent, reductions)
CASES = {name: cases for family in FAMILIES for name, cases in family.CASES.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_shape_rule_and_the_gradient(name: str) -> None:
    assert CASES[name]
    for attributes, inputs in CASES[name]:
        check(operation_of(name, attributes), *inputs)


@pytest.mark.parametrize("case", [case for family in FAMILIES for case in family.SYMBOLIC], ids=lambda case: case[0])
def test_the_shape_rule_of_sizes_that_depend_on_the_inputs(case: Any) -> None:
    name, attributes, inputs, axes = case
    check_symbolic(operation_of(name, attributes), inputs, axes)


@pytest.mark.parametrize("case", [*elementwise.EDGES, *reductions.EDGES], ids=lambda case: case[0])
def test_what_is_computed_where_there_is_no_derivative(case: Any) -> None:
    name, attributes, inputs, result, grads = case
    check_edge(operation_of(name, attributes), inputs, result, grads)


@pytest.mark.parametrize("case", [case for family in FAMILIES for case in family.REFUSED], ids=lambda case: case[0])
def test_what_does_not_fit_is_refused(case: Any) -> None:
    name, attributes, inputs, message = case
    with pytest.raises(InputError, match=message):
        check(operation_of(name, attributes), *inputs)


def test_a_graph_differentiates_nodes_with_optional_inputs_and_unread_outputs() -> None:
    """A convolution without a bias, and a chunk that nothing reads, beside central differences."""
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((4, 3, 2))
    graph = Graph(
        {"x": ValueType("float", (symbol("B"), 3, symbol("T")))},
        {"w": weight},
        (
            Node("conv", operation_of("Conv", {"pads": (0, 1)}), ("x", "w"), ("y",)),
            Node("split", operation_of("Split", {"split": (1, 3), "axis": 1}), ("y",), ("first", "rest")),
            Node("mean", operation_of("GlobalAveragePool", {}), ("rest",), ("z",)),
        ),
        ("z",),
    )
    x = rng.standard_normal((2, 3, 5))
    factor = rng.standard_normal((2, 3, 1))

    def loss(values: Any) -> float:
        return float((graph.run({"x": values}, execution=Execution(dtype=np.float64))["z"] * factor).sum())

    _, grads = graph.gradients({"x": x}, "z", lambda z: factor, ["x", "w"], execution=Execution(dtype=np.float64))
    for place in [(0, 0, 0), (1, 2, 4), (0, 1, 3)]:
        moved = np.zeros_like(x)
        moved[place] = 1e-6
        np.testing.assert_allclose(grads["x"][place], (loss(x + moved) - loss(x - moved)) / 2e-6, rtol=1e-5)
    assert not grads["w"][0].any()
    assert grads["w"][1:].all()
