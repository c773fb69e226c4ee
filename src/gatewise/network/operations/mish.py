"""Mish (ONNX 18)."""

from dataclasses import dataclass

import numpy as np

from gatewise.cell import sigmoid
from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Mish(Elementwise):
    """x tanh(log(1 + exp(x))) (Misra 2019)."""

    def value(self, x: Array) -> Array:
        return x * np.tanh(np.logaddexp(x, 0))

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        factor = np.tanh(np.logaddexp(x, 0))
        return (grad * (factor + x * sigmoid(x) * (1 - factor * factor)),)
