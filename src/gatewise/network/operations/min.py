"""Min (ONNX 13)."""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from gatewise.network.elementwise import NUMBERS, Elementwise, divided_among_ties
from gatewise.types import Array


@dataclass(frozen=True)
class Min(Elementwise):
    """The smallest of the inputs, NaN if one of them is. Equal ones have equal parts of the gradient."""

    formal = ("data_0",)
    variadic = True
    dtypes = NUMBERS

    def value(self, *inputs: Array) -> Array:
        return reduce(np.minimum, inputs)

    def gradients(self, grad: Array, y: Array, *inputs: Array) -> tuple[Array, ...]:
        return divided_among_ties(grad, y, inputs)
