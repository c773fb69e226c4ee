"""Erf (ONNX 13)."""

import math
from dataclasses import dataclass

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array

_erf = np.frompyfunc(math.erf, 1, 1)


def erf(x: Array) -> Array:
    """The error function, that of `math` for each number: NumPy has none."""
    y: Array = np.asarray(_erf(x)).astype(x.dtype)
    return y


@dataclass(frozen=True)
class Erf(Elementwise):
    """The error function."""

    formal = ("input",)

    def value(self, x: Array) -> Array:
        return erf(x)

    def gradients(self, grad: Array, y: Array, x: Array) -> tuple[Array]:
        return (grad * 2 / math.sqrt(math.pi) * np.exp(-x * x),)
