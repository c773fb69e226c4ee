"""Cases of operations along axes.

CASES: attributes and inputs by operation, for the shape rule and the gradient. SYMBOLIC: with the axes of the inputs
that have symbols. REFUSED: with a part of the message.
EDGES: results and gradients where there is no derivative, and of infinite and undefined numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.network.size import symbol

RNG = np.random.default_rng(2)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def integers(*shape: int, dtype: str = "int64") -> Any:
    return RNG.integers(-9, 10, shape).astype(dtype)


def reductions(sample: Any = floats) -> list[tuple[dict[str, Any], list[Any]]]:
    return [
        ({}, [sample(2, 3)]),
        ({"axes": (-1,)}, [sample(2, 3)]),
        ({"axes": (2, 0), "keepdims": 0}, [sample(2, 3, 4)]),
        ({"axes": (1,), "keepdims": 0}, [sample(2, 3, 4)]),
        ({"noop_with_empty_axes": 1}, [sample(2, 3)]),
        ({"axes": (), "keepdims": 0}, [sample(2, 3)]),
        ({}, [sample()]),
    ]


NAN, INFINITY = np.nan, np.inf
_WITH_INTEGERS = ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceSumSquare")
_OF_FLOATS = ("ReduceMean", "ReduceL2", "ReduceLogSumExp")
_INT32 = ({"axes": (1,)}, [integers(2, 3, dtype="int32")])

CASES: dict[str, list[tuple[dict[str, Any], list[Any]]]] = {
    **{name: [*reductions(), *reductions(integers), _INT32] for name in _WITH_INTEGERS},
    **{name: reductions() for name in _OF_FLOATS},
    "ArgMax": [
        ({}, [floats(4, 3)]),
        ({"axis": -1, "keepdims": 0}, [floats(2, 3)]),
        ({"axis": 1, "select_last_index": 1}, [integers(2, 9, 2)]),
    ],
    "ArgMin": [
        ({}, [floats(4, 3)]),
        ({"axis": -1, "keepdims": 0}, [floats(2, 3)]),
        ({"axis": 1, "select_last_index": 1}, [integers(2, 9, 2)]),
    ],
    "CumSum": [
        ({"axis": 1}, [floats(2, 4, 3)]),
        ({"axis": -1, "exclusive": 1}, [floats(2, 4)]),
        ({"axis": 0, "reverse": 1}, [floats(4, 2)]),
        (
            {"axis": 1, "exclusive": 1, "reverse": 1},
            [
                floats(2, 1),
            ],
        ),
        ({"axis": 1, "exclusive": 1, "reverse": 1}, [floats(2, 5, 3)]),
        ({"axis": 0}, [integers(5, dtype="int32")]),
    ],
    "LogSoftmax": [({}, [floats(2, 3)]), ({"axis": 0}, [floats(2, 3, 2)]), ({"axis": 1}, [floats(2, 3) * 300])],
    "Softmax": [({}, [floats(2, 3)]), ({"axis": 0}, [floats(2, 3, 2)])],
    "TopK": [
        ({"K": 2}, [floats(2, 5)]),
        ({"K": 3, "axis": 0, "largest": 0}, [floats(5, 2)]),
        ({"K": 5, "axis": 1, "sorted": 0}, [floats(2, 5, 3)]),
        ({"K": 4}, [integers(2, 30)]),
    ],
}

SYMBOLIC: list[tuple[str, dict[str, Any], list[Any], list[dict[int, str]]]] = [
    ("ArgMax", {"axis": 2, "keepdims": 0}, [floats(2, 5, 3)], [{0: "B", 1: "T"}]),
    ("CumSum", {"axis": 1}, [floats(2, 5, 3)], [{0: "B", 1: "T"}]),
    ("LogSoftmax", {"axis": 1}, [floats(2, 5, 3)], [{0: "B", 1: "T"}]),
    ("ReduceMean", {"axes": (1,), "keepdims": 0}, [floats(2, 5, 3)], [{0: "B", 1: "T"}]),
    ("ReduceMax", {"axes": (0, 2)}, [floats(2, 5, 3)], [{0: "B", 1: "T"}]),
    ("TopK", {"K": symbol("T") - 2, "axis": 1}, [floats(2, 5, 3)], [{0: "B", 1: "T"}]),
]

REFUSED: list[tuple[str, dict[str, Any], list[Any], str]] = [
    *((name, {}, [integers(2, 3)], "it takes float, not int64") for name in (*_OF_FLOATS, "Softmax", "LogSoftmax")),
    *((name, {}, [floats(2) > 0], "not bool") for name in ("ReduceSum", "ReduceProd", "ReduceL1", "ReduceSumSquare")),
    *((name, {}, [floats(2) > 0], "not bool") for name in ("ArgMax", "ArgMin", "CumSum", "TopK")),
    ("ArgMax", {"axis": 2}, [floats(2, 3)], "axis 2"),
    ("ArgMin", {"axis": 1}, [floats(2, 0)], "size 0 has no index"),
    ("CumSum", {"axis": -3}, [floats(2, 3)], "axis -3"),
    ("LogSoftmax", {"axis": 2}, [floats(2, 3)], "axis 2"),
    ("ReduceMax", {"axes": (0, -2)}, [floats(2, 3)], "named twice"),
    ("ReduceSum", {"axes": (2,)}, [floats(2, 3)], "axis 2"),
    ("Softmax", {"axis": 2}, [floats(2, 3)], "axis 2"),
    ("TopK", {"K": 4}, [floats(2, 3)], "K = 4 of 3"),
    ("TopK", {"K": -1}, [floats(2, 3)], "K = -1 of 3"),
]

# Attributes, inputs, result, and the gradients for the gradient 1 of each number of the result.
EDGES: list[tuple[str, dict[str, Any], list[Any], Any, list[Any]]] = [
    ("ArgMax", {"axis": 0, "keepdims": 0}, [[3.0, 5.0, 5.0, NAN, 1.0, NAN]], 3, [None]),
    ("ArgMax", {"axis": 0}, [[3, 5, 1, 5, 2]], [1], [None]),
    ("ArgMax", {"axis": 0, "select_last_index": 1}, [[3, 5, 1, 5, 2]], [3], [None]),
    ("ArgMin", {"axis": 0, "select_last_index": 1}, [[3, 1, 4, 1, 2]], [3], [None]),
    ("ReduceL1", {}, [[0.0, -2.0, 3.0]], [5], [[0, -1, 1]]),
    ("ReduceL2", {}, [[0.0, 0.0]], [0], [[0, 0]]),
    ("ReduceLogSumExp", {}, [[1000.0, 1000.0]], [1000 + np.log(2)], [[0.5, 0.5]]),
    ("ReduceLogSumExp", {}, [[-INFINITY, 2.0]], [2], [[0, 1]]),
    ("ReduceLogSumExp", {}, [[INFINITY, 2.0]], [INFINITY], [[NAN, 0]]),
    ("ReduceLogSumExp", {}, [[-INFINITY, -INFINITY]], [-INFINITY], [[NAN, NAN]]),
    ("ReduceMax", {}, [[4.0, 1.0, 4.0]], [4], [[0.5, 0, 0.5]]),
    ("ReduceMax", {"axes": (0,), "keepdims": 0}, [[[1.0, NAN], [3.0, 5.0]]], [3, NAN], [[[0, 0.5], [1, 0.5]]]),
    ("ReduceMax", {"axes": (1,), "keepdims": 0}, [np.zeros((2, 0))], [-INFINITY] * 2, [np.zeros((2, 0))]),
    ("ReduceMin", {}, [[4, 1, 4]], [1], [None]),
    ("ReduceMin", {}, [[True, False]], [False], [None]),
    ("ReduceProd", {}, [[2.0, 0.0, 3.0]], [0], [[0, 6, 0]]),
    ("ReduceProd", {}, [[0.0, 0.0, 3.0]], [0], [[0, 0, 0]]),
    ("ReduceProd", {"axes": (1,)}, [np.zeros((2, 0))], [[1], [1]], [np.zeros((2, 0))]),
    ("ReduceProd", {"axes": (1,)}, [np.zeros((0, 2))], np.zeros((0, 1)), [np.zeros((0, 2))]),
    ("LogSoftmax", {}, [[0.0, -INFINITY]], [0, -INFINITY], [[-1, 1]]),
]
