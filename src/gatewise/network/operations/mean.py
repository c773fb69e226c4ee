"""Mean (ONNX 13)."""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from gatewise.network.elementwise import Elementwise
from gatewise.types import Array


@dataclass(frozen=True)
class Mean(Elementwise):
    """The mean of the inputs. For the mean along axes of one value, see ReduceMean."""

    formal = ("data_0",)
    variadic = True

    def value(self, *inputs: Array) -> Array:
        return reduce(np.add, inputs) / len(inputs)

    def gradients(self, grad: Array, y: Array, *inputs: Array) -> tuple[Array, ...]:
        return (grad / len(inputs),) * len(inputs)
