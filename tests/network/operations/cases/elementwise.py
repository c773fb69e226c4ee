"""Cases of operations on each number.

CASES: attributes and inputs by operation, for the shape rule and the gradient. SYMBOLIC: with the axes of the inputs
that have symbols. REFUSED: with a part of the message.
EDGES: results and gradients where there is no derivative, and of infinite and undefined numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

RNG = np.random.default_rng(1)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def apart(*shape: int) -> Any:
    """Numbers that are at least 0.05 away from each other and from 0: central differences need that of a bend."""
    count = int(np.prod(shape))
    steps = np.arange(1, count + 1) * RNG.choice([-1, 1], count)
    return RNG.permutation(steps * 0.1 + RNG.uniform(-0.02, 0.02, count)).reshape(shape)


def positive(*shape: int) -> Any:
    return RNG.uniform(0.2, 3, shape)


def integers(*shape: int, dtype: str = "int64") -> Any:
    return RNG.integers(-9, 10, shape).astype(dtype)


def bools(*shape: int) -> Any:
    return RNG.random(shape) < 0.4


def unary(sample: Any = apart) -> list[tuple[dict[str, Any], list[Any]]]:
    return [({}, [sample(2, 3)]), ({}, [sample(2, 1, 3)]), ({}, [sample()])]


def broadcast(sample: Any = floats) -> list[tuple[dict[str, Any], list[Any]]]:
    return [({}, [sample(2, 1, 4), sample(3, 1)]), ({}, [sample(), sample(2)]), ({}, [sample(2, 3), sample(2, 3)])]


NAN, INFINITY = np.nan, np.inf

CASES: dict[str, list[tuple[dict[str, Any], list[Any]]]] = {
    "Abs": [*unary(), ({}, [integers(2, 3)])],
    "Add": [*broadcast(), ({}, [integers(2, 1), integers(3)])],
    "And": broadcast(bools),
    "Ceil": unary(),
    "Celu": [*unary(), ({"alpha": 2.5}, [apart(3, 2)])],
    "Clip": [
        ({}, [floats(2, 3)]),
        ({}, [apart(3, 4), np.asarray(-0.35), np.asarray(0.55)]),
        ({}, [apart(3, 4), None, np.asarray(0.15)]),
        ({}, [apart(3, 4), np.asarray(0.15)]),
        ({}, [apart(3, 4), np.asarray([-0.35]), np.asarray([0.55])]),
        ({}, [np.asarray(0.7), np.asarray([0.9])]),
        ({}, [apart(3, 4), np.asarray(0.45), np.asarray(-0.25)]),
        ({}, [integers(3, 4), np.asarray(-2), np.asarray(5)]),
    ],
    "Cos": unary(floats),
    "Div": [
        ({}, [floats(2, 1, 4), positive(3, 1)]),
        ({}, [floats(2, 3), -positive(2, 3)]),
        ({}, [integers(4, 1), np.array([3, -3, 7, -8])]),
    ],
    "Elu": [*unary(), ({"alpha": 0.3}, [apart(3, 2)])],
    "Equal": [*broadcast(), ({}, [integers(4, 5), integers(5)]), ({}, [bools(3), bools(2, 1)])],
    "Erf": unary(floats),
    "Exp": unary(floats),
    "Floor": unary(),
    "Gelu": [*unary(floats), ({"approximate": "tanh"}, [floats(3, 2)])],
    "Greater": [*broadcast(), ({}, [integers(4, 5), integers(5)])],
    "GreaterOrEqual": [*broadcast(), ({}, [integers(4, 5), integers(5)])],
    "HardSigmoid": [*unary(), ({"alpha": 0.7, "beta": 0.31}, [apart(3, 4)])],
    "HardSwish": [({}, [apart(3, 4) * 5])],
    "IsInf": [({}, [np.array([[1.0, INFINITY], [-INFINITY, NAN]])])],
    "IsNaN": [({}, [np.array([[1.0, INFINITY], [-INFINITY, NAN]])])],
    "LeakyRelu": [*unary(), ({"alpha": 0.3}, [apart(3, 2)])],
    "Less": [*broadcast(), ({}, [integers(4, 5), integers(5)])],
    "LessOrEqual": [*broadcast(), ({}, [integers(4, 5), integers(5)])],
    "Log": unary(positive),
    "Max": [
        *broadcast(),
        ({}, [floats(2, 3)]),
        ({}, [floats(2, 1), floats(3), floats(4, 1, 1)]),
        ({}, [integers(2, 1), integers(3)]),
    ],
    "Mean": [*broadcast(), ({}, [floats(2, 3)]), ({}, [floats(2, 1), floats(3), floats(4, 1, 1)])],
    "Min": [
        *broadcast(),
        ({}, [floats(2, 3)]),
        ({}, [floats(2, 1), floats(3), floats(4, 1, 1)]),
        ({}, [integers(2, 1), integers(3)]),
    ],
    "Mish": unary(floats),
    "Mod": [
        ({"fmod": 1}, [floats(2, 1, 4) * 5, positive(3, 1)]),
        ({}, [floats(2, 1, 4) * 5, apart(3, 1)]),
        ({}, [integers(4, 1), np.array([3, -3, 7, -8])]),
        ({"fmod": 1}, [integers(4, 1, dtype="int32"), np.array([3, -3, 7, -8], dtype=np.int32)]),
    ],
    "Mul": [*broadcast(), ({}, [integers(2, 1), integers(3)])],
    "Neg": [*unary(), ({}, [integers(2, 3)])],
    "Not": unary(bools),
    "Or": broadcast(bools),
    "PRelu": [
        ({}, [apart(2, 3, 4), floats(4)]),
        ({}, [apart(2, 3, 4), floats(3, 1)]),
        ({}, [apart(2, 3), floats()]),
    ],
    "Pow": [
        ({}, [positive(2, 1, 4), floats(3, 1)]),
        ({}, [apart(2, 3), np.array([2, 3, 0])]),
        ({}, [integers(2, 3, dtype="int32"), np.array([2, 3, 0])]),
        ({}, [np.array([[2], [5]]), positive(3)]),
    ],
    "Reciprocal": unary(),
    "Relu": [*unary(), ({}, [integers(2, 3)])],
    "Round": unary(),
    "Selu": [*unary(), ({"alpha": 0.3, "gamma": 2.0}, [apart(3, 2)])],
    "Sigmoid": unary(floats),
    "Sign": [*unary(), ({}, [integers(2, 3)])],
    "Sin": unary(floats),
    "Softplus": unary(floats),
    "Softsign": unary(),
    "Sqrt": unary(positive),
    "Sub": [*broadcast(), ({}, [integers(2, 1), integers(3)])],
    "Sum": [*broadcast(), ({}, [floats(2, 3)]), ({}, [floats(2, 1), floats(3), floats(4, 1, 1)])],
    "Swish": [*unary(floats), ({"alpha": 1.7}, [floats(3, 2)])],
    "Tanh": unary(floats),
    "ThresholdedRelu": [({"alpha": 0.25}, [apart(3, 4)])],
    "Where": [
        ({}, [bools(2, 1, 4), floats(3, 1), floats(4)]),
        ({}, [bools(3), integers(2, 1), integers()]),
        ({}, [bools(3), bools(2, 1), bools(3)]),
    ],
    "Xor": broadcast(bools),
}

SYMBOLIC: list[tuple[str, dict[str, Any], list[Any], list[dict[int, str]]]] = [
    ("Add", {}, [floats(2, 5, 3), floats(1, 3)], [{0: "B", 1: "T"}, {}]),
    ("Clip", {}, [floats(2, 5), np.asarray(0.1)], [{0: "B", 1: "T"}, {}]),
    ("Less", {}, [floats(2, 5, 3), floats(5, 1)], [{0: "B", 1: "T"}, {0: "T"}]),
    ("Mean", {}, [floats(2, 5, 3), floats(2, 1, 3), floats(5, 1)], [{0: "B", 1: "T"}, {0: "B"}, {0: "T"}]),
    ("PRelu", {}, [floats(2, 5, 3), floats(5, 1)], [{0: "B", 1: "T"}, {0: "T"}]),
    ("Relu", {}, [floats(2, 5)], [{0: "B", 1: "T"}]),
    ("Where", {}, [bools(2, 5, 1), floats(5, 3), floats()], [{0: "B", 1: "T"}, {0: "T"}, {}]),
]

# Operations by the inputs of a dtype that they do not take.
_OTHER_DTYPES: list[tuple[str, list[Any]]] = [
    ("Add Sub Mul Div Mod Pow Max Min PRelu", [bools(2), bools(2)]),
    ("Less Greater LessOrEqual GreaterOrEqual", [bools(2), bools(2)]),
    ("And Or Xor Sum Mean", [integers(2), integers(2)]),
    ("Abs Neg Sign Relu Clip", [bools(2)]),
    ("Sqrt Exp Log Reciprocal Floor Ceil Round Erf Sin Cos IsNaN IsInf Not", [integers(2)]),
    ("LeakyRelu ThresholdedRelu Elu Selu Celu Gelu Sigmoid HardSigmoid HardSwish", [integers(2)]),
    ("Softplus Softsign Tanh Mish Swish", [integers(2)]),
    ("Where", [integers(2), floats(2), floats(2)]),
]
_REFUSED_DTYPES = [(name, inputs) for names, inputs in _OTHER_DTYPES for name in names.split()]

REFUSED: list[tuple[str, dict[str, Any], list[Any], str]] = [
    *((name, {}, inputs, "it takes .*, not (bool|int64)") for name, inputs in _REFUSED_DTYPES),
    ("Add", {}, [floats(2), floats(3)], "do not fit"),
    ("Add", {}, [floats(2), integers(2)], "have the dtypes float and int64"),
    ("Celu", {"alpha": 0.0}, [floats(2)], "alpha may not be 0"),
    ("Clip", {}, [floats(2), floats(2)], "a bound of"),
    ("Clip", {}, [floats(2), np.asarray(3)], "a bound of"),
    ("Div", {}, [integers(3), np.array([2, 0, 1])], "divided by 0"),
    ("Equal", {}, [floats(2), integers(2)], "have the dtypes float and int64"),
    ("Gelu", {"approximate": "sigmoid"}, [floats(2)], "approximate must be"),
    ("Max", {}, [floats(2), floats(2), floats(3)], "do not fit"),
    ("Mod", {}, [integers(3), np.array([2, 0, 1])], "divided by 0"),
    ("PRelu", {}, [floats(2), floats(3, 2)], "a slope"),
    ("Pow", {}, [integers(2), np.array([1, -1])], "no power below 0"),
    ("Where", {}, [bools(2), floats(2), integers(2)], "chooses between float and int64"),
    ("Where", {}, [bools(2), floats(2), floats(3)], "do not fit"),
]

# Attributes, inputs, result, and the gradients for the gradient 1 of each number of the result.
EDGES: list[tuple[str, dict[str, Any], list[Any], Any, list[Any]]] = [
    ("Abs", {}, [[0.0, -INFINITY, NAN]], [0, INFINITY, NAN], [[0, -1, NAN]]),
    ("Clip", {}, [[-1.0, 2.0, 3.0, NAN], -1.0, 2.0], [-1, 2, 2, NAN], [[1, 1, 0, 0], 0, 1]),
    ("Clip", {}, [[-1.0, 5.0], 3.0, 2.0], [2, 2], [[0, 0], 0, 2]),
    ("Div", {}, [[7, -7, 7, -7, 6], [2, 2, -2, -2, -3]], [3, -3, -3, 3, -2], [None, None]),
    ("Mod", {}, [[7, -7, 7, -7], [3, 3, -3, -3]], [1, 2, -2, -1], [None, None]),
    ("Mod", {"fmod": 1}, [[7, -7, 7, -7], [3, 3, -3, -3]], [1, -1, 1, -1], [None, None]),
    ("Elu", {"alpha": 2.0}, [[0.0, 1000.0, -INFINITY]], [0, 1000, -2], [[2, 1, 0]]),
    ("Exp", {}, [[INFINITY, -INFINITY]], [INFINITY, 0], [[INFINITY, 0]]),
    ("HardSigmoid", {"alpha": 0.25, "beta": 0.5}, [[-2.0, 2.0, INFINITY, 0.0]], [0, 1, 1, 0.5], [[0, 0, 0, 0.25]]),
    ("HardSwish", {}, [[-3.0, 3.0, 0.0, INFINITY]], [0, 3, 0, INFINITY], [[0, 1, 0.5, 1]]),
    ("IsInf", {"detect_negative": 0}, [[INFINITY, -INFINITY, NAN]], [True, False, False], [None]),
    ("IsInf", {"detect_positive": 0}, [[INFINITY, -INFINITY, NAN]], [False, True, False], [None]),
    ("LeakyRelu", {"alpha": 0.5}, [[0.0, -4.0, INFINITY]], [0, -2, INFINITY], [[0.5, 0.5, 1]]),
    ("Log", {}, [[0.0, INFINITY, -1.0]], [-INFINITY, INFINITY, NAN], [[INFINITY, 0, -1]]),
    ("Max", {}, [[1.0, 2.0, NAN], [1.0, 3.0, 0.0]], [1, 3, NAN], [[0.5, 0, 0.5], [0.5, 1, 0.5]]),
    ("Max", {}, [[6.0], [6.0], [6.0]], [6], [[1 / 3], [1 / 3], [1 / 3]]),
    ("Min", {}, [[1.0, -INFINITY], [1.0, 3.0]], [1, -INFINITY], [[0.5, 1], [0.5, 0]]),
    ("PRelu", {}, [[0.0, -2.0, 3.0], [0.5]], [0, -1, 3], [[0.5, 0.5, 1], [-2]]),
    ("Pow", {}, [[0.0, 0.0, -2.0], [0.0, 2.0, 2.0]], [1, 0, 4], [[0, 0, -4], [0, 0, NAN]]),
    ("Relu", {}, [[0.0, -INFINITY, INFINITY, NAN]], [0, 0, INFINITY, NAN], [[0, 0, 1, 1]]),
    ("Round", {}, [[0.5, 1.5, 2.5, -0.5]], [0, 2, 2, -0.0], [None]),
    ("Sigmoid", {}, [[1000.0, -1000.0, INFINITY, -INFINITY]], [1, 0, 1, 0], [[0, 0, 0, 0]]),
    ("Softplus", {}, [[1000.0, -1000.0, INFINITY, -INFINITY]], [1000, 0, INFINITY, 0], [[1, 0, 1, 0]]),
    ("Sqrt", {}, [[0.0, INFINITY, -1.0]], [0, INFINITY, NAN], [[INFINITY, 0, NAN]]),
    ("ThresholdedRelu", {}, [[1.0, 1.5, -3.0]], [0, 1.5, 0], [[0, 1, 0]]),
    ("Where", {}, [[True, False], [2.0, NAN], [NAN, 3.0]], [2, 3], [None, [1, 0], [0, 1]]),
]
