"""Cases of layers: products, convolutions, pooling, norms.

CASES: attributes and inputs by operation, for the shape rule and the gradient. SYMBOLIC: with the axes of the inputs
that have symbols. REFUSED: with a part of the message.
"""

from __future__ import annotations

from typing import Any

import numpy as np

RNG = np.random.default_rng(4)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def positive(*shape: int) -> Any:
    return RNG.uniform(0.2, 2, shape)


CASES: dict[str, list[tuple[dict[str, Any], list[Any]]]] = {
    "AveragePool": [
        ({"kernel_shape": (3,), "strides": (2,), "pads": (1, 0)}, [floats(2, 3, 7)]),
        ({"kernel_shape": (3,), "strides": (2,), "pads": (1, 1), "count_include_pad": 1}, [floats(2, 3, 7)]),
        ({"kernel_shape": (3,), "strides": (3,), "ceil_mode": 1}, [floats(1, 2, 7)]),
        ({"kernel_shape": (3, 2), "strides": (2, 1), "pads": (1, 0, 0, 1), "ceil_mode": 1}, [floats(1, 2, 6, 3)]),
        (
            {"kernel_shape": (3,), "strides": (3,), "pads": (1, 1), "ceil_mode": 1, "count_include_pad": 1},
            [floats(1, 2, 6)],
        ),
        ({"kernel_shape": (2,), "dilations": (3,)}, [floats(1, 2, 7)]),
        ({"kernel_shape": (4,), "strides": (3,), "auto_pad": "SAME_LOWER"}, [floats(1, 2, 8)]),
    ],
    "BatchNormalization": [
        ({}, [floats(2, 3, 4), floats(3), floats(3), floats(3), positive(3)]),
        ({"epsilon": 0.1, "momentum": 0.5}, [floats(4, 3), floats(3), floats(3), floats(3), positive(3)]),
    ],
    "Conv": [
        ({}, [floats(2, 3, 7), floats(4, 3, 3)]),
        ({"strides": (2,), "dilations": (2,), "pads": (1, 3)}, [floats(2, 3, 7), floats(4, 3, 3), floats(4)]),
        ({"group": 2}, [floats(2, 4, 5), floats(6, 2, 2), floats(6)]),
        ({"group": 3, "auto_pad": "SAME_UPPER"}, [floats(1, 3, 5), floats(3, 1, 4)]),
        ({"auto_pad": "SAME_LOWER", "strides": (3,)}, [floats(1, 2, 8), floats(1, 2, 4), None]),
        ({"auto_pad": "VALID", "kernel_shape": (2, 3)}, [floats(2, 2, 4, 5), floats(3, 2, 2, 3), floats(3)]),
        (
            {"strides": (2, 1), "pads": (1, 0, 2, 1), "dilations": (1, 2), "group": 2},
            [floats(1, 4, 5, 6), floats(2, 2, 3, 2), floats(2)],
        ),
        ({}, [floats(1, 2, 3, 2, 4), floats(2, 2, 2, 1, 3)]),
    ],
    "Dropout": [({}, [floats(2, 3)]), ({"ratio": 0.9, "seed": 3, "training_mode": False}, [floats(2)])],
    "Einsum": [
        ({"equation": "bij, bjk -> bik"}, [floats(2, 3, 4), floats(2, 4, 2)]),
        ({"equation": "bthd,bshd->bhts"}, [floats(2, 3, 2, 4), floats(2, 5, 2, 4)]),
        ({"equation": "ij->"}, [floats(2, 3)]),
        ({"equation": "iij->ji"}, [floats(3, 3, 2)]),
        ({"equation": "ii"}, [floats(3, 3)]),
        ({"equation": "ba"}, [floats(2, 3)]),
        ({"equation": "i,j,k->ki"}, [floats(2), floats(3), floats(4)]),
        ({"equation": "...ij,...jk->...ik"}, [floats(2, 3, 2, 4), floats(2, 3, 4, 2)]),
        ({"equation": "...i,ij"}, [floats(2, 5, 3), floats(3, 4)]),
        ({"equation": ",i->i"}, [floats(), floats(3)]),
    ],
    "Gemm": [
        ({}, [floats(2, 3), floats(3, 4)]),
        ({"alpha": 0.5, "beta": -2.0, "transA": 1}, [floats(3, 2), floats(3, 4), floats(4)]),
        ({"transB": 1}, [floats(2, 3), floats(4, 3), floats(2, 1)]),
        ({"transA": 1, "transB": 1}, [floats(3, 2), floats(4, 3), floats()]),
    ],
    "GlobalAveragePool": [({}, [floats(2, 3, 4)]), ({}, [floats(2, 3, 2, 5)])],
    "GlobalMaxPool": [({}, [floats(2, 3, 4)]), ({}, [floats(2, 3, 2, 5)])],
    "GroupNormalization": [
        ({"num_groups": 2}, [floats(2, 4, 3), floats(4), floats(4)]),
        ({"num_groups": 3, "epsilon": 0.1}, [floats(2, 6), floats(6), floats(6)]),
    ],
    "InstanceNormalization": [
        ({}, [floats(2, 3, 5), floats(3), floats(3)]),
        ({"epsilon": 0.1}, [floats(2, 2, 3, 4), floats(2), floats(2)]),
    ],
    "LayerNormalization": [
        ({}, [floats(2, 3, 5), floats(5)]),
        ({"axis": 1, "epsilon": 0.1}, [floats(2, 3, 5), floats(3, 1), floats(5)]),
        ({"axis": -3}, [floats(2, 3, 2), floats(2, 3, 2), floats(2, 3, 2)]),
    ],
    "MatMul": [
        ({}, [floats(2, 3), floats(3, 4)]),
        ({}, [floats(3), floats(3)]),
        ({}, [floats(3), floats(2, 3, 4)]),
        ({}, [floats(2, 1, 2, 3), floats(4, 3, 2)]),
        ({}, [floats(2, 4, 3), floats(3)]),
    ],
    "MaxPool": [
        ({"kernel_shape": (3,), "strides": (2,), "pads": (1, 0)}, [floats(2, 3, 7)]),
        ({"kernel_shape": (3,), "strides": (3,), "ceil_mode": 1}, [floats(1, 2, 7)]),
        ({"kernel_shape": (3, 2), "strides": (2, 1), "pads": (1, 0, 0, 1)}, [floats(1, 2, 6, 3)]),
        ({"kernel_shape": (2,), "dilations": (3,)}, [floats(1, 2, 7)]),
        ({"kernel_shape": (4,), "strides": (3,), "auto_pad": "SAME_UPPER"}, [floats(1, 2, 8)]),
    ],
    "RMSNormalization": [
        ({}, [floats(2, 3, 5), floats(5)]),
        ({"axis": 1, "epsilon": 0.1}, [floats(2, 3, 4), floats(3, 4)]),
    ],
}

_BATCH_AND_STEPS = {0: "B", 2: "T"}

SYMBOLIC: list[tuple[str, dict[str, Any], list[Any], list[dict[int, str]]]] = [
    ("AveragePool", {"kernel_shape": (3,), "strides": (2,), "ceil_mode": 1}, [floats(2, 3, 8)], [_BATCH_AND_STEPS]),
    ("AveragePool", {"kernel_shape": (2,), "auto_pad": "SAME_UPPER"}, [floats(2, 3, 8)], [_BATCH_AND_STEPS]),
    ("BatchNormalization", {}, [floats(2, 3, 5), *[positive(3)] * 4], [_BATCH_AND_STEPS, {}, {}, {}, {}]),
    ("Conv", {"pads": (1, 1)}, [floats(2, 3, 7), floats(4, 3, 3)], [_BATCH_AND_STEPS, {}]),
    ("Conv", {"strides": (2,), "dilations": (2,)}, [floats(2, 3, 8), floats(4, 3, 3)], [_BATCH_AND_STEPS, {}]),
    ("Conv", {"strides": (3,), "auto_pad": "SAME_LOWER"}, [floats(2, 3, 8), floats(4, 3, 4)], [_BATCH_AND_STEPS, {}]),
    ("Dropout", {}, [floats(2, 3)], [{0: "B"}]),
    ("Einsum", {"equation": "bt...,b...->bt"}, [floats(2, 5, 3), floats(2, 3)], [{0: "B", 1: "T"}, {0: "B"}]),
    ("Gemm", {}, [floats(2, 3), floats(3, 4), floats(4)], [{0: "B"}, {}, {}]),
    ("GlobalAveragePool", {}, [floats(2, 3, 5)], [_BATCH_AND_STEPS]),
    ("GlobalMaxPool", {}, [floats(2, 3, 5)], [_BATCH_AND_STEPS]),
    ("GroupNormalization", {"num_groups": 2}, [floats(2, 4, 5), floats(4), floats(4)], [_BATCH_AND_STEPS, {}, {}]),
    ("InstanceNormalization", {}, [floats(2, 4, 5), floats(4), floats(4)], [_BATCH_AND_STEPS, {}, {}]),
    ("LayerNormalization", {}, [floats(2, 5, 3), floats(3)], [{0: "B", 1: "T"}, {}]),
    ("MatMul", {}, [floats(2, 5, 3), floats(3, 4)], [{0: "B", 1: "T"}, {}]),
    ("MaxPool", {"kernel_shape": (3,), "strides": (2,)}, [floats(2, 3, 8)], [_BATCH_AND_STEPS]),
    ("RMSNormalization", {}, [floats(2, 5, 3), floats(3)], [{0: "B", 1: "T"}, {}]),
]

_IDS = np.array([[1, 2]])

REFUSED: list[tuple[str, dict[str, Any], list[Any], str]] = [
    ("AveragePool", {"kernel_shape": (2,), "dilations": (3,), "pads": (2, 1)}, [floats(1, 1, 1)], "only pads"),
    ("AveragePool", {}, [floats(1, 1, 4)], "kernel_shape is missing"),
    (
        "MaxPool",
        {"kernel_shape": (2,), "dilations": (2,), "auto_pad": "SAME_UPPER"},
        [floats(1, 1, 4)],
        "auto_pad SAME_UPPER with dilations",
    ),
    (
        "BatchNormalization",
        {"training_mode": 1},
        [floats(2, 3), *[positive(3)] * 4],
        "training_mode",
    ),
    ("BatchNormalization", {}, [floats(2, 3), *[positive(2)] * 4], r"scale must be \(3,\), not \(2\)"),
    ("Conv", {}, [floats(1, 2, 3), floats(1, 2, 4)], "reaches over 4 does not fit into an axis of size 3"),
    ("Conv", {}, [floats(1, 2, 3), floats(1, 3, 2)], "does not fit X"),
    ("Conv", {"group": 2}, [floats(1, 4, 3), floats(3, 2, 2)], "3 filters are no 2 groups"),
    ("Conv", {"kernel_shape": (3,)}, [floats(1, 2, 3), floats(1, 2, 2)], "is not that of W"),
    ("Conv", {"strides": (0,)}, [floats(1, 2, 3), floats(1, 2, 2)], "must be at least 1"),
    ("Conv", {"pads": (1,)}, [floats(1, 2, 3), floats(1, 2, 2)], "pads has 1 numbers for 1 spatial axes"),
    ("Conv", {"pads": (1, 1), "auto_pad": "VALID"}, [floats(1, 2, 3), floats(1, 2, 2)], "exclude each other"),
    ("Conv", {"auto_pad": "SAME"}, [floats(1, 2, 3), floats(1, 2, 2)], "auto_pad SAME is none"),
    ("Conv", {}, [floats(1, 2, 3), floats(4, 2, 2), floats(3)], "B must be"),
    ("Dropout", {"training_mode": np.array(True)}, [floats(2)], "training_mode"),
    ("Einsum", {"equation": "ij,jk->ik"}, [floats(2, 3), floats(2, 3)], "do not fit ij,jk->ik"),
    ("Einsum", {"equation": "ij->ii"}, [floats(2, 3)], "each letter of the output"),
    ("Einsum", {"equation": "ij->k"}, [floats(2, 3)], "each letter of the output"),
    ("Einsum", {"equation": "i1->i"}, [floats(2, 3)], "no equation of letters"),
    ("Einsum", {"equation": "ij->i->j"}, [floats(2, 3)], "no equation of letters"),
    ("Einsum", {"equation": "ij"}, [floats(2, 3), floats(2)], "1 terms for 2 inputs"),
    ("Einsum", {"equation": "i"}, [floats(2, 3)], "an input with 2 axes"),
    ("Einsum", {"equation": "i...,...i"}, [floats(2, 3), floats(2)], "stand for different axes"),
    ("Einsum", {"equation": "ijk...->i"}, [floats(2, 3)], "too few"),
    ("Gemm", {}, [floats(2, 3), floats(4, 3)], "do not fit"),
    ("Gemm", {}, [floats(2, 3), floats(3, 4), floats(3)], "do not fit"),
    ("Gemm", {}, [floats(1, 3), floats(3, 4), floats(2, 4)], "C .* cannot be broadcast"),
    ("Gemm", {}, [floats(2, 3, 1), floats(3, 4)], "must be matrices"),
    ("GlobalAveragePool", {}, [floats(2, 3)], "no spatial axis"),
    ("GlobalMaxPool", {}, [floats(2, 3, 0)], "no number to pool"),
    ("GroupNormalization", {"num_groups": 3}, [floats(2, 4, 3), floats(4), floats(4)], "4 channels are no 3 groups"),
    ("InstanceNormalization", {}, [floats(2, 4), floats(4), floats(4)], "3 axes at least"),
    ("LayerNormalization", {"stash_type": 10}, [floats(2, 4), floats(4)], "stash_type 10"),
    ("LayerNormalization", {}, [floats(2, 4), floats(3, 2, 4)], "cannot be broadcast"),
    ("LayerNormalization", {}, [floats(2, 4), floats(3)], "do not fit"),
    ("MatMul", {}, [floats(2, 3), floats(2, 3)], "do not fit"),
    ("MaxPool", {"kernel_shape": (2, 2)}, [floats(1, 1, 4)], "kernel_shape has 2 numbers"),
    ("MaxPool", {"kernel_shape": (2,)}, [_IDS[None]], "floating-point"),
    ("RMSNormalization", {"axis": 3}, [floats(2, 4), floats(4)], "axis 3"),
]
