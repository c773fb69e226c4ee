"""Sum (ONNX 13)."""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Sum(Elementwise):
    """The sum of the inputs."""

    formal = ("data_0",)
    variadic = True

    def value(self, *inputs: Array) -> Array:
        return reduce(np.add, inputs)

    def gradients(self, grad: Array, y: Array, *inputs: Array) -> tuple[Array, ...]:
        return (grad,) * len(inputs)
