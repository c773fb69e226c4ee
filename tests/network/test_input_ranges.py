"""What an input is, of the structure of a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.input_ranges import InputRange, input_ranges
from gatewise.network.operation import ValueType
from gatewise.network.operations.top_k import TopK
from gatewise.network.size import maximum, symbol

B, T = symbol("B"), symbol("T")
SIZES = {"B": 3, "T": 5}
TABLE = np.random.default_rng(2).standard_normal((17, 2))

Build = Callable[[GraphBuilder, str], str]


def ranges_of(build: Build, dtype: str = "int64", shape: Any = (B, T)) -> InputRange:
    builder = GraphBuilder()
    x = builder.input("x", ValueType(dtype, shape))  # type: ignore[arg-type]
    ranges, _ = input_ranges(builder.graph([build(builder, x)]), SIZES)
    return ranges["x"]


def number(builder: GraphBuilder, value: float, dtype: Any = np.int64) -> str:
    return builder.constant(np.array(value, dtype=dtype))


def rows(builder: GraphBuilder, ids: str) -> str:
    return builder.add("Gather", builder.constant(TABLE), ids)


def quotient(builder: GraphBuilder, x: str) -> str:
    """x // 2 + 3, as a whole quotient is written with Mod."""
    rest = builder.add("Mod", x, number(builder, 2))
    half = builder.add("Div", builder.add("Sub", x, rest), number(builder, 2))
    return rows(builder, builder.add("Add", half, number(builder, 3)))


@pytest.mark.parametrize(
    ("build", "low", "high"),
    [
        (rows, 0, 16),
        (lambda b, x: rows(b, b.add("Sub", x, number(b, 5))), 5, 21),
        (lambda b, x: rows(b, b.add("Sub", number(b, 5), x)), -11, 5),
        (lambda b, x: rows(b, b.add("Mul", x, number(b, 3))), 0, 5),
        (lambda b, x: rows(b, b.add("Transpose", x, perm=(1, 0))), 0, 16),
        (lambda b, x: rows(b, b.add("Cast", x, to="int32")), 0, 16),
        (lambda b, x: rows(b, b.add("Mul", x, b.add("Cast", b.add("Cast", x, to="bool"), to="int64"))), 0, 16),
        (lambda b, x: b.add("OneHot", x, depth=9), 0, 8),
        (lambda b, x: rows(b, b.add("Clip", x, number(b, 0), number(b, 16))), -2, 18),
    ],
    ids=["ids", "difference", "turned", "product", "transposed", "cast", "bool", "one hot", "clipped"],
)
def test_ids_are_rows_of_their_table(build: Build, low: int, high: int) -> None:
    found = ranges_of(build)
    assert found.ids.all()
    assert (found.low == low).all()
    assert (found.high == high).all()


def test_a_quotient_of_ids_stays_within_the_table() -> None:
    found = ranges_of(quotient)
    for x in (int(found.low.max()), int(found.high.min())):
        assert 0 <= x // 2 + 3 <= 16
    assert found.high.min() - found.low.max() > 20


def test_the_numbers_of_no_step_bound_nothing() -> None:
    """Of the steps beyond a number of them, which these inputs do not have."""

    def build(builder: GraphBuilder, x: str) -> str:
        lengths = builder.add("Slice", x, starts=(0,), ends=(1,), axes=(1,))
        mask = builder.add("Less", builder.add("Range", limit=maximum(T - 50, 0)), lengths)
        return builder.add("ReduceSum", builder.add("Cast", mask, to="float"), axes=(1,))

    assert not ranges_of(build, "int64", (B, T)).bounded.any()


def test_columns_have_ranges_of_their_own() -> None:
    """A series whose first column is an id and whose second one is a length."""

    def build(builder: GraphBuilder, x: str) -> str:
        column = builder.add("Gather", x, number(builder, 0), axis=2)
        embedded = rows(builder, builder.add("Cast", column, to="int64"))
        first_step = builder.add("Gather", x, number(builder, 0), axis=1)
        length = builder.add("Slice", first_step, starts=(1,), ends=(2,), axes=(1,))
        mask = builder.add("Less", builder.add("Range", limit=T), builder.add("Cast", length, to="int64"))
        shown = builder.add("Unsqueeze", builder.add("Cast", mask, to="float"), axes=(2,))
        return builder.add("Mul", embedded, shown)

    found = ranges_of(build, "float", (B, T, 3))
    assert found.ids[..., 0].all()
    assert not found.ids[..., 1:].any()
    assert (found.high[..., 0] == 16).all()
    np.testing.assert_array_equal(found.low[:, 0, 1], 1)
    np.testing.assert_array_equal(found.high[:, 0, 1], 5)
    assert not found.bounded[:, 1:, 1].any()
    assert not found.bounded[..., 2].any()


def test_rows_in_an_order_of_the_inputs_are_followed() -> None:
    builder = GraphBuilder()
    x = builder.input("x", ValueType("int64", (B, T)))
    lengths = builder.input("lengths", ValueType("int64", (B,)))
    order = builder.node(TopK(B, axis=0), [lengths])
    moved = builder.add("Gather", x, order[1])
    mask = builder.add("Less", builder.add("Range", limit=T), builder.add("Unsqueeze", order[0], axes=(1,)))
    shown = builder.add("Unsqueeze", builder.add("Cast", mask, to="float"), axes=(2,))
    graph = builder.graph([builder.add("Mul", rows(builder, moved), shown)])
    ranges, _ = input_ranges(graph, SIZES)
    assert (ranges["x"].high == 16).all()
    assert (ranges["lengths"].low == 1).all()
    assert (ranges["lengths"].high == 5).all()


@pytest.mark.parametrize(
    ("operation", "low", "high"), [("Less", 1, 5), ("LessOrEqual", 0, 4), ("Equal", 0, 4), ("GreaterOrEqual", 0, 4)]
)
def test_what_is_compared_with_steps_is_a_length_or_a_step(operation: str, low: int, high: int) -> None:
    """Range(T) < lengths is true for some steps with lengths 1 to T, Range(T) <= last with 0 to T - 1."""
    found = ranges_of(lambda b, x: b.add(operation, b.add("Range", limit=T), x), shape=(B, 1))
    assert (found.low == low).all()
    assert (found.high == high).all()


def test_the_number_of_a_comparison_is_that_of_the_input() -> None:
    def build(builder: GraphBuilder, x: str) -> str:
        scaled = builder.add("Div", builder.add("Sub", x, number(builder, 10.0, float)), number(builder, 4.0, float))
        return builder.add("Greater", scaled, number(builder, 2.5, float))

    found = ranges_of(build, "float")
    assert list(found.constants) == [20.0]
    assert found.constants[20.0].all()


def test_nothing_is_known_of_a_series() -> None:
    found = ranges_of(lambda b, x: b.add("Tanh", x), "float")
    assert not found.bounded.any()
    assert not found.constants


def test_sizes_that_the_graph_refuses_bound_nothing() -> None:
    """The sixth step of five, as of a decoder of six steps that is given fewer."""

    def sixth_step(builder: GraphBuilder, x: str) -> str:
        return builder.add("Gather", x, number(builder, 5), axis=1)

    ranges = ranges_of(sixth_step)
    assert not ranges.bounded.any()
