"""Cases of operations that arrange numbers.

CASES: attributes and inputs by operation, for the shape rule and the gradient. SYMBOLIC: with the axes of the inputs
that have symbols. REFUSED: with a part of the message.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.network.size import symbol

RNG = np.random.default_rng(3)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def ints(low: int, high: int, *shape: int) -> Any:
    return RNG.integers(low, high, shape)


CASES: dict[str, list[tuple[dict[str, Any], list[Any]]]] = {
    "Sizes": [({"sizes": (3, 5)}, []), ({"sizes": (7,), "scalar": True}, [])],
    "RequireLongest": [
        ({}, [floats(3, 4, 2), np.array([2, 4, 1])]),
        ({}, [ints(0, 9, 2, 3), np.array([3, 3])]),
    ],
    "Cast": [
        ({"to": "float"}, [floats(2, 3)]),
        ({"to": 11}, [ints(-5, 5, 2, 3)]),
        ({"to": "int32"}, [floats(7) * 1e3]),
        ({"to": 7, "saturate": 0}, [np.array([-0.9, 0.9, -(2.0**63), 2.0**62])]),
        ({"to": "bool"}, [np.array([0.0, 0.2, -0.0, np.nan])]),
        ({"to": "int64"}, [np.array([True, False])]),
    ],
    "Concat": [
        ({"axis": 1}, [floats(2, 1, 3), floats(2, 4, 3), floats(2, 2, 3)]),
        ({"axis": -1}, [floats(3, 2)]),
        ({"axis": 0}, [ints(0, 9, 2), ints(0, 9, 3)]),
        ({"axis": 0}, [floats(0, 2), floats(3, 2)]),
    ],
    "ConstantOfShape": [
        ({"input": (2, 3), "value": 1.5}, []),
        ({"input": (), "value": np.array([7], dtype=np.int32)}, []),
        ({"input": (4,), "value": np.array([True])}, []),
        ({"input": (2, 0)}, []),
    ],
    "Expand": [
        ({"shape": (2, 1, 5)}, [floats(3, 1)]),
        ({"shape": (4,)}, [floats(2, 3, 1)]),
        ({"shape": (1,)}, [floats(2, 3)]),
        ({"shape": (2, 2)}, [floats()]),
    ],
    "Flatten": [
        ({}, [floats(2, 3, 4)]),
        ({"axis": 0}, [floats(2, 3)]),
        ({"axis": -1}, [floats(2, 3, 4)]),
        ({"axis": 3}, [floats(2, 3, 4)]),
        ({"axis": 0}, [floats()]),
    ],
    "Gather": [
        ({}, [floats(5, 3), np.array([[4, 0, 4], [-1, -5, 2]])]),
        ({"axis": 1}, [floats(2, 4, 3), np.array([3, 3, -2], dtype=np.int32)]),
        ({"axis": -1}, [floats(2, 4), np.array(1)]),
        ({}, [ints(0, 9, 4), np.array([2, 0])]),
        ({}, [floats(4, 2), np.zeros((0, 3), dtype=np.int64)]),
    ],
    "GatherElements": [
        ({}, [floats(3, 4), np.array([[2, 0, -1, -3], [2, 2, 0, 1]])]),
        ({"axis": -1}, [floats(3, 2, 4), ints(-4, 4, 2, 1, 7)]),
        ({"axis": 1}, [floats(2, 3), ints(-3, 3, 2, 3).astype(np.int32)]),
    ],
    "GatherND": [
        ({}, [floats(3, 4, 2), np.array([[1, -1], [1, 3], [-3, 0]])]),
        ({}, [floats(3, 4), np.array([[[0, 1]], [[0, 1]]])]),
        ({"batch_dims": 1}, [floats(2, 4, 3), np.array([[[1], [-4]], [[3], [3]]])]),
        ({"batch_dims": 2}, [floats(2, 3, 4, 2), ints(-4, 4, 2, 3, 1)]),
        ({"batch_dims": 1}, [floats(2, 4, 3), np.array([[1, 2], [0, -1]])]),
        ({}, [ints(0, 9, 4), np.array([2])]),
    ],
    "Identity": [({}, [floats(2, 3)]), ({}, [ints(0, 9, 2)])],
    "OneHot": [
        ({"depth": 5}, [np.array([[0, 4, -1], [5, -6, -5]])]),
        ({"depth": 3, "axis": 0, "values": (0.25, -2.0)}, [ints(-3, 3, 2, 4)]),
        ({"depth": np.array([3.0]), "axis": -2, "values": np.array([4, 9], dtype=np.int32)}, [ints(0, 3, 4)]),
        ({"depth": 2, "values": np.array([False, True])}, [np.array(1, dtype=np.int32)]),
        ({"depth": 3}, [np.array([1.5, 2.9, -1.5])]),
    ],
    "Pad": [
        ({"pads": (1, 0, 2, 3)}, [floats(2, 3)]),
        ({"pads": (0, -1, 1, -1), "constant_value": -3.5}, [floats(2, 4)]),
        ({"pads": (-2, 3), "axes": (-2,), "constant_value": 1.5}, [floats(2, 4)]),
        ({"pads": (2, 1), "axes": (1,), "constant_value": 3}, [ints(0, 9, 2, 4)]),
        ({"pads": (3, 0, 2, 1), "mode": "reflect"}, [floats(4, 2)]),
        ({"pads": (4, 1), "axes": (1,), "mode": "edge"}, [floats(2, 3, 2)]),
        ({"pads": (7, 4), "axes": (-1,), "mode": "wrap"}, [floats(2, 3)]),
        ({"pads": (0, 0), "mode": "edge"}, [floats(0)]),
    ],
    "Range": [
        ({"start": 2, "limit": 9, "delta": 3}, []),
        ({"start": np.array(10, np.int32), "limit": np.array(-1, np.int32), "delta": np.array(-4, np.int32)}, []),
        ({"start": 5, "limit": 2}, []),
    ],
    "Reshape": [({"shape": (3, -1)}, [floats(2, 3, 2)]), ({"shape": (0, 0, 1, -1)}, [floats(2, 3, 2)])],
    "ReverseSequence": [
        ({}, [floats(5, 3, 2), np.array([3, 5, 0])]),
        ({"batch_axis": 0, "time_axis": 1}, [floats(3, 4), np.array([1, 4, 2], dtype=np.int32)]),
    ],
    "ScatterElements": [
        ({}, [floats(3, 4), np.array([[2, 0, -1, -3], [1, 2, 0, 1]]), floats(2, 4)]),
        ({"axis": -1, "reduction": "add"}, [floats(2, 3, 4), ints(-4, 4, 2, 2, 6), floats(2, 2, 6)]),
        ({"axis": 1}, [ints(0, 9, 2, 5), np.array([[3, -1], [0, 1]]), ints(10, 20, 2, 2)]),
    ],
    "Slice": [
        ({"starts": (1,), "ends": (3,)}, [floats(4, 2)]),
        ({"starts": (-1, 3), "ends": (-9, 0), "axes": (0, 1), "steps": (-1, -2)}, [floats(4, 5)]),
        ({"starts": (0,), "ends": (1 << 62,), "axes": (-1,), "steps": (3,)}, [floats(2, 7)]),
    ],
    "Split": [
        ({"split": (2, 1, 3), "axis": 1}, [floats(2, 6)]),
        ({"num_outputs": 3, "axis": -2}, [floats(8, 2)]),
        ({"num_outputs": 1}, [floats(3)]),
        ({"split": (0, 3)}, [floats(3, 2)]),
        ({"num_outputs": 2}, [ints(0, 9, 4)]),
    ],
    "Squeeze": [
        ({"axes": (0, -2)}, [floats(1, 3, 1, 2)]),
        ({}, [floats(1, 3, 1)]),
        ({"axes": ()}, [floats(1, 3)]),
    ],
    "Tile": [
        ({"repeats": (2, 1, 3)}, [floats(2, 3, 2)]),
        ({"repeats": (0, 2)}, [floats(3, 2)]),
        ({"repeats": ()}, [floats()]),
    ],
    "Transpose": [
        ({}, [floats(2, 3, 4)]),
        ({"perm": (1, 2, 0)}, [floats(2, 3, 4)]),
        ({"perm": (3, 0, 2, 1)}, [floats(2, 1, 4, 3)]),
        ({}, [floats()]),
    ],
    "Trilu": [
        ({}, [floats(3, 4)]),
        ({"k": -1, "upper": 0}, [floats(2, 4, 3)]),
        ({"k": 2}, [ints(1, 9, 3, 3)]),
        ({"k": -9, "upper": 0}, [floats(2, 2)]),
    ],
    "Unsqueeze": [
        ({"axes": (0, -1)}, [floats(2, 3)]),
        ({"axes": (2, 0)}, [floats(2, 3)]),
        ({"axes": (0,)}, [floats()]),
    ],
}

B, T = symbol("B"), symbol("T")

SYMBOLIC: list[tuple[str, dict[str, Any], list[Any], list[dict[int, str]]]] = [
    ("Cast", {"to": "int64"}, [floats(2, 5)], [{0: "B", 1: "T"}]),
    (
        "Concat",
        {"axis": 1},
        [floats(2, 5, 3), floats(2, 1, 3), floats(2, 5, 3)],
        [{0: "B", 1: "T"}, {0: "B"}, {0: "B", 1: "T"}],
    ),
    ("ConstantOfShape", {"input": (B, T + 1, 3)}, [floats(2, 5)], [{0: "B", 1: "T"}]),
    ("Expand", {"shape": (B, 1, T)}, [floats(2, 4, 1), floats(5)], [{0: "B"}, {0: "T"}]),
    ("Expand", {"shape": (T, 1, 3)}, [floats(2, 1), floats(5)], [{0: "B"}, {0: "T"}]),
    ("Flatten", {"axis": 2}, [floats(2, 5, 3)], [{0: "B", 1: "T"}]),
    ("Gather", {"axis": 1}, [floats(2, 5, 3), np.array([0, -1])], [{0: "B", 1: "T"}, {}]),
    ("Gather", {}, [floats(9, 3), ints(0, 9, 2, 5)], [{}, {0: "B", 1: "T"}]),
    ("GatherElements", {"axis": 1}, [floats(2, 5, 3), ints(0, 5, 2, 1, 3)], [{0: "B", 1: "T"}, {0: "B"}]),
    ("GatherND", {"batch_dims": 1}, [floats(2, 5, 3), ints(0, 5, 2, 1)], [{0: "B", 1: "T"}, {0: "B"}]),
    ("OneHot", {"depth": T, "axis": 1}, [ints(-9, 9, 2, 5)], [{0: "B", 1: "T"}]),
    ("Pad", {"pads": (0, 2, 0, 1)}, [floats(2, 5)], [{0: "B", 1: "T"}]),
    ("Pad", {"pads": (0, 20 - T), "axes": (1,)}, [floats(2, 5)], [{0: "B", 1: "T"}]),
    ("Pad", {"pads": (20 - T, 0), "axes": (1,)}, [floats(2, 25)], [{0: "B", 1: "T"}]),
    ("Pad", {"pads": (2, T - 1), "axes": (1,), "mode": "reflect"}, [floats(2, 5)], [{0: "B", 1: "T"}]),
    ("Range", {"limit": T, "delta": 2}, [floats(5)], [{0: "T"}]),
    ("Range", {"start": T - 1, "limit": -1, "delta": -1}, [floats(5)], [{0: "T"}]),
    ("Range", {"start": 7, "limit": T}, [floats(5)], [{0: "T"}]),
    ("Reshape", {"shape": (0, -1)}, [floats(2, 5, 3)], [{0: "B", 1: "T"}]),
    (
        "ReverseSequence",
        {"batch_axis": 0, "time_axis": 1},
        [floats(2, 5), np.array([3, 5])],
        [{0: "B", 1: "T"}, {0: "B"}],
    ),
    ("ScatterElements", {}, [floats(5, 3), np.array([[4, 0, 1]]), floats(1, 3)], [{0: "T"}, {}, {}]),
    ("Slice", {"starts": (-1,), "ends": (1 << 62,), "axes": (1,)}, [floats(2, 5, 3)], [{0: "B", 1: "T"}]),
    ("Slice", {"starts": (0,), "ends": (50,), "axes": (1,)}, [floats(2, 60, 3)], [{0: "B", 1: "T"}]),
    ("Slice", {"starts": (-1,), "ends": (-(1 << 62),), "axes": (1,), "steps": (-2,)}, [floats(2, 5)], [{1: "T"}]),
    ("Split", {"split": (1, T - 1), "axis": 1}, [floats(2, 5)], [{0: "B", 1: "T"}]),
    ("Split", {"num_outputs": 3, "axis": 1}, [floats(2, 5)], [{0: "B", 1: "T"}]),
    ("Squeeze", {"axes": (-1,)}, [floats(2, 5, 1)], [{0: "B", 1: "T"}]),
    ("Tile", {"repeats": (T, 2)}, [floats(2, 5)], [{0: "B", 1: "T"}]),
    ("Transpose", {"perm": (1, 0, 2)}, [floats(2, 5, 3)], [{0: "B", 1: "T"}]),
    ("Trilu", {"k": 1 - T}, [floats(4, 4), floats(3)], [{}, {0: "T"}]),
    ("Unsqueeze", {"axes": (1, -1)}, [floats(2, 5)], [{0: "B", 1: "T"}]),
]

_WORDS = floats(4, 2)

REFUSED: list[tuple[str, dict[str, Any], list[Any], str]] = [
    ("RequireLongest", {}, [floats(2, 3), np.array([2, 1])], "cut the sequences to the longest length"),
    ("Cast", {"to": "int64"}, [np.array([1.0, np.nan])], "nan is no int64"),
    ("Cast", {"to": "int32"}, [np.array([2.0**31])], "2147483648.0 is no int32"),
    ("Cast", {"to": "int64"}, [np.array([2.0**63])], "is no int64"),
    ("Cast", {"to": "float16"}, [floats(2)], "to must be 'float' or .* not 'float16'"),
    ("Cast", {"to": 10}, [floats(2)], "data type 10 of ONNX"),
    ("Cast", {}, [floats(2)], "'to' is missing"),
    ("Concat", {"axis": 0}, [floats(2, 3), floats(2, 4)], r"\(2, 3\) and \(2, 4\) differ"),
    ("Concat", {"axis": 0}, [floats(2), floats(2, 1)], "differ"),
    ("Concat", {"axis": 0}, [floats(2), ints(0, 9, 2)], "float and int64"),
    ("Concat", {"axis": 1}, [floats(2)], "axis 1"),
    ("ConstantOfShape", {"input": (2, -1)}, [], "no size -1"),
    ("ConstantOfShape", {"input": (2,), "value": np.zeros(1, np.float16).astype(np.uint8)}, [], "dtype uint8"),
    ("Expand", {"shape": (2, 4)}, [floats(2, 3)], "do not fit"),
    ("Flatten", {"axis": 3}, [floats(2, 3)], "axis 3"),
    ("Gather", {}, [_WORDS, np.array([0, 4, 1])], "index 4 is out of range for an axis of size 4"),
    ("Gather", {}, [_WORDS, np.array([[-5]])], "index -5 is out of range"),
    ("Gather", {}, [_WORDS, floats(2)], "must be integers, not float"),
    ("Gather", {"axis": 2}, [_WORDS, np.array(0)], "axis 2"),
    ("GatherElements", {}, [_WORDS, np.array([[4, 0]])], "index 4 is out of range"),
    ("GatherElements", {}, [_WORDS, np.zeros((1, 3), dtype=np.int64)], "axis 1 has 2 rows of data and 3"),
    ("GatherElements", {}, [_WORDS, np.array([0])], "2 axes of data and 1 of indices"),
    ("GatherND", {}, [_WORDS, np.array([[3, 2]])], "index 2 is out of range for an axis of size 2"),
    ("GatherND", {}, [_WORDS, np.array([[3, 0, 0]])], "an index of 3 numbers"),
    ("GatherND", {"batch_dims": 1}, [_WORDS, np.array([[0], [1]])], "differ in the first 1 axes"),
    ("GatherND", {"batch_dims": 2}, [_WORDS, np.array([[0], [1]])], "batch_dims 2"),
    ("OneHot", {"depth": 0}, [ints(0, 3, 2)], "depth 0 must be at least 1"),
    ("OneHot", {"depth": 3, "values": (1,)}, [ints(0, 3, 2)], "two numbers, not 1"),
    ("OneHot", {"depth": 3, "axis": 2}, [ints(0, 3, 2)], "axis 2"),
    ("Pad", {"pads": (1, 1, 1)}, [_WORDS], "3 pads for 2 axes"),
    ("Pad", {"pads": (4, 0), "axes": (0,), "mode": "reflect"}, [_WORDS], "pad 4 must be less than the size 4"),
    ("Pad", {"pads": (-1, 0), "axes": (0,), "mode": "edge"}, [_WORDS], "pad -1 is negative"),
    ("Pad", {"pads": (-3, -2), "axes": (0,)}, [_WORDS], "cut off more than 4 numbers"),
    ("Pad", {"pads": (1, 1), "axes": (0,), "mode": "wrap"}, [floats(0, 2)], "empty axis"),
    ("Pad", {"pads": (1, 1, 1, 1), "axes": (0, -2)}, [_WORDS], "an axis twice"),
    ("Pad", {"pads": (1, 1), "constant_value": 0.5}, [ints(0, 9, 3)], "constant_value 0.5 is no int64"),
    ("Pad", {"pads": (1, 1), "mode": "mirror"}, [floats(3)], "mode mirror"),
    ("Range", {"limit": 3, "delta": 0}, [], "delta may not be 0"),
    ("Range", {"limit": np.array(3.5)}, [], "whole numbers"),
    ("Reshape", {"shape": (4, -1)}, [floats(2, 3)], "has no shape"),
    ("ReverseSequence", {}, [floats(3, 2), np.array([1, 4])], "3 steps has no length 4"),
    ("ReverseSequence", {}, [floats(3, 2), np.array([1, 2, 3])], "lengths"),
    ("ReverseSequence", {"batch_axis": 0}, [floats(3, 2), np.array([1, 2, 2])], "must be 0 and 1"),
    ("ScatterElements", {}, [_WORDS, np.array([[1, 0], [-3, 1]]), floats(2, 2)], "an index stands twice"),
    ("ScatterElements", {"reduction": "mul"}, [_WORDS, np.array([[1, 0]]), floats(1, 2)], "reduction mul"),
    ("ScatterElements", {}, [_WORDS, np.array([[1, 0]]), floats(2, 2)], "must have one shape"),
    ("ScatterElements", {}, [_WORDS, np.array([[1, 4]]), floats(1, 2)], "index 4 is out of range"),
    ("Slice", {"starts": (1,), "ends": (2,), "axes": (2,)}, [floats(2, 3)], "axis 2"),
    ("Split", {"split": (2, 3)}, [_WORDS], r"size 4 has no chunks of \(2, 3\)"),
    ("Split", {"split": (5, -1)}, [_WORDS], "no chunks"),
    ("Split", {"num_outputs": 4}, [floats(5)], "size 5 has no chunks of \\(2, 2, 2, -1\\)"),
    ("Split", {}, [_WORDS], "is needed"),
    ("Split", {"split": (4,), "num_outputs": 1}, [_WORDS], "exclude each other"),
    ("Squeeze", {"axes": (0,)}, [_WORDS], r"axis 0 of \(4, 2\) is not of size 1"),
    ("Squeeze", {"axes": (0, -2)}, [floats(1, 2)], "an axis twice"),
    ("Tile", {"repeats": (2,)}, [_WORDS], "1 repeats for 2 axes"),
    ("Tile", {"repeats": (2, -1)}, [_WORDS], "repeated -1 times"),
    ("Transpose", {"perm": (0, 0)}, [_WORDS], "no order of the 2 axes"),
    ("Trilu", {}, [floats(3)], "two axes"),
    ("Unsqueeze", {"axes": (0, -4)}, [_WORDS], "an axis twice"),
    ("Unsqueeze", {"axes": (3,)}, [_WORDS], "axis 3"),
]
