"""Cases of recurrent layers; see `tests.network.operations.cases.elementwise`."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.network.operations import operation_of

RNG = np.random.default_rng(5)
MASK = np.array([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def layer(cell: str, units: int = 3, channels: int = 2, **others: Any) -> list[Any]:
    """The inputs of a node with 4 sequences of 5 steps, all of them but those that are None in `others`."""
    rows = GATES[cell] * units
    inputs = {
        "x": floats(4, 5, channels),
        "weight_ih": floats(rows, channels),
        "weight_hh": floats(rows, units),
        "bias": floats(rows),
        "recurrent_bias": floats(rows),
        "mask": MASK,
        "h0": floats(4, units),
        "c0": floats(4, units) if cell == "LSTM" else None,
        "peepholes": None,
        "projection": None,
    }
    return list({**inputs, **others}.values())


def projected() -> list[Any]:
    """An LSTM of 3 units with 2 outputs, and peepholes."""
    return layer(
        "LSTM", weight_hh=floats(12, 2), h0=floats(4, 2), peepholes=floats(9), projection=floats(2, 3), bias=None
    )


CASES: dict[str, list[tuple[dict[str, Any], list[Any]]]] = {
    "Recurrent": [
        ({}, layer("LSTM")),
        ({}, layer("LSTM")[:3]),
        ({"reverse": True, "masked": "zero"}, layer("LSTM", h0=None)),
        ({"reverse": True}, layer("LSTM", mask=None)),
        ({}, projected()),
        ({"reverse": True, "masked": "zero", "clip": 0.7}, projected()),
        ({"clip": 0.5}, layer("LSTM")),
        ({"cell": "GRU"}, layer("GRU")),
        ({"cell": "GRU", "reverse": True, "linear_before_reset": False}, layer("GRU", recurrent_bias=None)),
        ({"cell": "GRU", "linear_before_reset": False, "masked": "zero"}, layer("GRU")),
        ({"cell": "RNN"}, layer("RNN")),
        ({"cell": "RNN", "reverse": True, "activations": (operation_of("Sigmoid", {}),)}, layer("RNN")),
    ],
}

SYMBOLIC: list[tuple[str, dict[str, Any], list[Any], list[dict[int, str]]]] = [
    (
        "Recurrent",
        {},
        layer("LSTM")[:8],
        [{0: "B", 1: "T"}, {}, {}, {}, {}, {0: "B", 1: "T"}, {0: "B"}, {0: "B"}],
    ),
]

REFUSED: list[tuple[str, dict[str, Any], list[Any], str]] = [
    ("Recurrent", {"cell": "GRU"}, layer("LSTM"), "weight_hh must be float"),
    ("Recurrent", {"cell": "GRU"}, layer("GRU", c0=floats(4, 3)), "a GRU has no c0"),
    ("Recurrent", {}, layer("LSTM", mask=floats(4, 5)), "mask must be bool"),
    ("Recurrent", {}, layer("LSTM", x=floats(4, 5)), r"x must be \(B, T, D\)"),
    ("Recurrent", {"activations": (operation_of("Tanh", {}),)}, layer("LSTM"), "an? LSTM has 3 activations"),
]
