"""The numbers of inputs that are no rows of the table from which a graph reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest

from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.input_ids import InputIds
from gatewise.network.operation import ValueType
from gatewise.network.operations.loop import Loop
from tests.members.graphs import B, T

V = 17


def looked_up(ids_of: Callable[[GraphBuilder, str], str]) -> Graph:
    """Rows of a table (17, 3) by the ids that the function computes of the input."""
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    table = builder.constant(np.random.default_rng(1).normal(size=(V, 3)))
    return builder.graph([builder.add("Gather", table, ids_of(builder, ids), axis=0)])


def outside(graph: Graph, **inputs: Any) -> tuple[Any, ...] | None:
    arrays = {name: np.asarray(array) for name, array in inputs.items()}
    found = InputIds(graph).outside(arrays, graph.sizes(arrays))
    return None if found is None else astuple(found)


def integer(builder: GraphBuilder, number: int) -> str:
    return builder.constant(np.array(number))


WAYS: dict[str, tuple[Callable[[GraphBuilder, str], str], int, int]] = {
    "as they are": (lambda builder, ids: ids, 0, V - 1),
    "transposed": (lambda builder, ids: builder.add("Transpose", ids, perm=(1, 0)), 0, V - 1),
    "plus 2": (lambda builder, ids: builder.add("Add", ids, integer(builder, 2)), -2, V - 3),
    "20 minus": (lambda builder, ids: builder.add("Sub", integer(builder, 20), ids), 20 - V + 1, 20),
    "halved": (lambda builder, ids: builder.add("Cast", ids, to="int32"), 0, V - 1),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_number_beyond_the_table_is_named_with_its_place(way: str) -> None:
    ids_of, low, high = WAYS[way]
    graph = looked_up(ids_of)
    ids = np.random.default_rng(2).integers(low, high + 1, (3, 5))
    assert outside(graph, ids=ids) is None
    for number in (low - 1, high + 1, low - 40, high + 40):
        ids[1, 3] = number
        assert outside(graph, ids=ids) == ("ids", (1, 3), number, low, high)


def clipped(builder: GraphBuilder, ids: str) -> str:
    return builder.add("Clip", ids, integer(builder, 0), integer(builder, V - 1))


def replaced(builder: GraphBuilder, ids: str) -> str:
    """-100 becomes 3."""
    ignored = builder.add("Equal", ids, integer(builder, -100))
    return builder.add("Where", ignored, integer(builder, 3), ids)


def last_row(builder: GraphBuilder, ids: str) -> str:
    """0 becomes -1, the last row, as of an index of PyTorch."""
    is_zero = builder.add("Equal", ids, integer(builder, 0))
    return builder.add("Where", is_zero, integer(builder, -1), ids)


def test_what_the_network_does_to_a_number_counts() -> None:
    ids = np.array([[-100, 4, 9], [V, 900, -3]])
    assert outside(looked_up(clipped), ids=ids) is None
    assert outside(looked_up(replaced), ids=ids[:1]) is None
    assert outside(looked_up(replaced), ids=ids) == ("ids", (1, 0), V, 0, V - 1)
    assert outside(looked_up(last_row), ids=np.array([[0, 3]])) is None
    assert outside(looked_up(last_row), ids=np.array([[0, -3]])) == ("ids", (0, 1), -3, 0, V - 1)


def test_each_column_has_its_table() -> None:
    """Series (B, T, 3): a number, and two ids of tables of 5 and 9 rows."""
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 3)))
    rows = []
    for column, size in ((1, 5), (2, 9)):
        numbers = builder.add("Gather", x, builder.constant(np.array(column)), axis=2)
        ids = builder.add("Cast", numbers, to="int64")
        rows.append(builder.add("Gather", builder.constant(np.ones((size, 2))), ids, axis=0))
    graph = builder.graph([builder.add("Concat", *rows, axis=2)])
    x_of_rows = np.random.default_rng(4).normal(size=(2, 6, 3)) * 30
    x_of_rows[..., 1:] = np.random.default_rng(5).integers(0, 5, (2, 6, 2))
    assert outside(graph, x=x_of_rows) is None
    x_of_rows[1, 4, 2] = 8
    assert outside(graph, x=x_of_rows) is None
    x_of_rows[1, 4, 1] = 8
    assert outside(graph, x=x_of_rows) == ("x", (1, 4, 1), 8, 0, 4)


def test_one_of_v_has_no_row_beyond_the_last_one() -> None:
    builder = GraphBuilder()
    ids = builder.input("ids", ValueType("int64", (B, T)))
    graph = builder.graph([builder.add("OneHot", ids, depth=6)])
    assert outside(graph, ids=[[0, 5]]) is None
    assert outside(graph, ids=[[0, 5], [6, 1]]) == ("ids", (1, 0), 6, 0, 5)
    assert outside(graph, ids=[[0, -1]]) == ("ids", (0, 1), -1, 0, 5)


def test_a_table_that_each_step_of_a_loop_reads() -> None:
    body = GraphBuilder()
    state = body.input("state", ValueType("float", (B, 3)))
    id = body.input("id", ValueType("int64", (B,)))
    table = body.input("table", ValueType("float", (V, 3)))
    after = body.add("Add", state, body.add("Gather", table, id, axis=0))
    builder = GraphBuilder()
    start = builder.input("start", ValueType("float", (B, 3)))
    ids = builder.input("ids", ValueType("int64", (B, T)))
    rows = builder.constant(np.random.default_rng(3).normal(size=(V, 3)))
    [last] = builder.node(Loop(body=body.graph([after]), steps=T, axes=(1,)), (start, ids, rows))
    graph = builder.graph([last])
    start_rows = np.zeros((2, 3))
    assert outside(graph, start=start_rows, ids=np.full((2, 4), V - 1)) is None
    assert outside(graph, start=start_rows, ids=np.array([[0, 1, 2, 3], [0, 1, -2, 3]])) == (
        "ids",
        (1, 2),
        -2,
        0,
        V - 1,
    )


def test_rows_that_the_network_computes_are_not_ids_of_the_input() -> None:
    """The row of the largest of some products, and the last step of a series, counted from the end."""
    builder = GraphBuilder()
    x = builder.input("x", ValueType("float", (B, T, 3)))
    products = builder.add("MatMul", x, builder.constant(np.random.default_rng(6).normal(size=(3, V))))
    best = builder.add("ArgMax", products, axis=2, keepdims=0)
    row = builder.add("Gather", builder.constant(np.ones((V, 2))), best, axis=0)
    last = builder.add("Gather", x, builder.constant(np.array(-1)), axis=1)
    assert InputIds(builder.graph([row, last])).reads == ()
