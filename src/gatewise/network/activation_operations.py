"""Activations of dense layers as operations of a graph, both ways.

>>> operation_for(Hidden(3, "silu"))
Swish(alpha=1.0)
>>> activation_of(Swish())
('silu', 0.01)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple

import numpy as np

from gatewise.network.activations import SELU_ALPHA, SELU_SCALE
from gatewise.network.architecture import Hidden
from gatewise.network.operation import Operation
from gatewise.network.operations.elu import Elu
from gatewise.network.operations.gelu import Gelu
from gatewise.network.operations.hard_sigmoid import HardSigmoid
from gatewise.network.operations.leaky_relu import LeakyRelu
from gatewise.network.operations.relu import Relu
from gatewise.network.operations.selu import Selu
from gatewise.network.operations.sigmoid import Sigmoid
from gatewise.network.operations.softplus import Softplus
from gatewise.network.operations.softsign import Softsign
from gatewise.network.operations.swish import Swish
from gatewise.network.operations.tanh import Tanh
from gatewise.types import Activation

_OPERATIONS: Mapping[Activation, Operation] = {
    "relu": Relu(),
    "tanh": Tanh(),
    "sigmoid": Sigmoid(),
    "hard_sigmoid": HardSigmoid(1 / 6, 0.5),
    "gelu": Gelu(),
    "elu": Elu(),
    "selu": Selu(SELU_ALPHA, SELU_SCALE),
    "silu": Swish(),
    "softplus": Softplus(),
    "softsign": Softsign(),
}
"""Those without a number of the layer, and of more than the identity."""

ACTIVATION_NAMES = (LeakyRelu.name(), *(operation.name() for operation in _OPERATIONS.values()))
"""The names of the operations."""

_ROUNDING = 1e-7  # relative: files have the numbers of an operation in float32


def operation_for(layer: Hidden) -> Operation | None:
    """The activation of a dense layer; None for "linear"."""
    if layer.activation == "linear":
        return None
    if layer.activation == "leaky_relu":
        return LeakyRelu(layer.negative_slope)
    return _OPERATIONS[layer.activation]


def activation_of(operation: Operation) -> tuple[Activation, float] | None:
    """The activation and its slope below 0, of an operation; None for one with other numbers, and for no activation."""
    if isinstance(operation, LeakyRelu):
        return "leaky_relu", operation.alpha
    for name, usual in _OPERATIONS.items():
        if type(operation) is type(usual) and _same_numbers(operation, usual):
            return name, Hidden.negative_slope
    return None


def _same_numbers(operation: Operation, usual: Operation) -> bool:
    pairs = zip(astuple(operation), astuple(usual), strict=True)  # type: ignore[call-overload]  # each is a dataclass
    for number, expected in pairs:
        if isinstance(expected, float):
            if not np.isclose(number, expected, rtol=_ROUNDING, atol=0):
                return False
        elif number != expected:
            return False
    return True
