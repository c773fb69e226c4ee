"""Gelu (ONNX 20)."""

import math
from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.network.operation import ValueType
from gatewise.network.operations.erf import erf
from gatewise.types import Array

_SCALE = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


@dataclass(frozen=True)
class Gelu(Elementwise):
    """x times the probability that a normal number is below x (Hendrycks & Gimpel 2016).

    approximate: "none", or "tanh" for the approximation with tanh.
    """

    approximate: str = "none"

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        self.require(self.approximate in ("none", "tanh"), 'approximate must be "none" or "tanh"')
        return super().infer(*inputs)

    def value(self, x: Array) -> Array:
        return x * self._probability(x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        probability = self._probability(x)
        if self.approximate == "tanh":
            density = 2 * probability * (1 - probability) * _SCALE * (1 + 3 * _CUBIC * x * x)
        else:
            density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return (grad * (probability + x * density),)

    def _probability(self, x: Array) -> Array:
        if self.approximate == "tanh":
            return (1 + np.tanh(_SCALE * (x + _CUBIC * x**3))) / 2
        return (1 + erf(x / math.sqrt(2))) / 2
