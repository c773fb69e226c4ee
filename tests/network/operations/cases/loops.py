"""Cases of loops; see `tests.network.operations.cases.elementwise`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.network.graph import Graph
from gatewise.network.graph_builder import GraphBuilder
from gatewise.network.operation import ValueType
from gatewise.network.size import symbol

RNG = np.random.default_rng(11)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def cell(batch: Any = 2) -> Graph:
    """h' = tanh(x W + h U) · gain^count and count' = count + 1, which has no gradient; it returns h' and h' + x W."""
    builder = GraphBuilder()
    h = builder.input("h", ValueType("float", (batch, 4)))
    count = builder.input("count", ValueType("int64", ()))
    x = builder.input("x", ValueType("float", (batch, 3)))
    one = builder.input("one", ValueType("int64", ()))
    gain = builder.input("gain", ValueType("float", (4,)))
    w = builder.input("w", ValueType("float", (3, 4)))
    u = builder.input("u", ValueType("float", (4, 4)))
    of_x = builder.add("MatMul", x, w)
    state = builder.add("Tanh", builder.add("Add", of_x, builder.add("MatMul", h, u)))
    power = builder.add("Pow", gain, builder.add("Cast", count, to=1))
    state = builder.add("Mul", state, power)
    return builder.graph([state, builder.add("Add", count, one), state, builder.add("Add", state, of_x)])


def inputs(steps: int, axis: int = 1) -> list[Any]:
    """Of the cell, with the steps along an axis of x."""
    x = np.moveaxis(floats(2, steps, 3), 1, axis)
    return [floats(2, 4), np.array(0), x, np.array(1), 0.5 + RNG.random(4), floats(3, 4), floats(4, 4)]


def passing() -> Graph:
    """A body without nodes: the row of each step becomes the state, and is returned."""
    builder = GraphBuilder()
    builder.input("before", ValueType("float", (2,)))
    row = builder.input("row", ValueType("float", (2,)))
    return builder.graph([row, row])


def growing() -> Graph:
    """A body whose state does not keep its shape."""
    builder = GraphBuilder()
    h = builder.input("h", ValueType("float", (2,)))
    return builder.graph([builder.add("Concat", h, h, axis=0)])


T = symbol("T")

CASES: dict[str, list[tuple[dict[str, Any], list[Any]]]] = {
    "Loop": [
        ({"body": cell(), "steps": 5, "axes": (1,), "output_axes": (1, -1)}, inputs(5)),
        ({"body": cell(), "steps": 1, "axes": (2,), "output_axes": (0, 0)}, inputs(1, axis=2)),
        ({"body": cell(), "steps": 3, "axes": (0,), "output_axes": (2, 1)}, inputs(3, axis=0)),
        ({"body": passing(), "steps": 3, "axes": (-1,), "output_axes": (-1,)}, [floats(2), floats(2, 3)]),
    ]
}
SYMBOLIC: list[tuple[str, dict[str, Any], list[Any], list[dict[int, str]]]] = [
    (
        "Loop",
        {"body": cell(symbol("B")), "steps": T, "axes": (1,), "output_axes": (1, 0)},
        inputs(5),
        [{0: "B"}, {}, {0: "B", 1: "T"}, {}, {}, {}, {}],
    ),
]
FIVE = {"body": cell(), "steps": 5, "axes": (1,), "output_axes": (1, 1)}
REFUSED: list[tuple[str, dict[str, Any], list[Any], str]] = [
    ("Loop", {**FIVE, "steps": 4}, inputs(5), "has 5 rows along axis 1, not 4"),
    ("Loop", {**FIVE, "axes": (3,)}, inputs(5), "axis 3 of a value with 3 axes"),
    ("Loop", {**FIVE, "steps": T - 2}, inputs(5), "may be fewer than none"),
    ("Loop", FIVE, inputs(5)[:-1], "the body has 7 inputs, and the node 6"),
    ("Loop", {**FIVE, "output_axes": (0,) * 5}, inputs(5), "more output axes than outputs"),
    ("Loop", {"body": growing(), "steps": 2}, [floats(2)], r"a state is float \(2\) before a step, and float \(4\)"),
    ("Loop", FIVE, [floats(3, 4), *inputs(5)[1:]], r"reads h as float \(2, 4\), and it is float \(3, 4\)"),
]
