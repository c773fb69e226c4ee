"""MaxPool (ONNX 12), without the output Indices."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution
from gatewise.network.pool_operation import PoolOperation
from gatewise.network.windows import padded, places, unpadded
from gatewise.types import Array


@dataclass(frozen=True)
class MaxPool(PoolOperation):
    """The maximum of each window. The gradient goes to the first maximum, as in PyTorch. storage_order: of Indices,
    which is no output here.
    """

    storage_order: int = 0

    def forward(self, execution: Execution, x: Array) -> Computed:
        windows = self.pool_windows(x.shape[2:])
        source = padded(x, windows, -np.inf)
        inside = padded(np.ones((1, 1, *x.shape[2:]), dtype=bool), windows, False)
        shape = (*x.shape[:2], *execution.shape([along.count for along in windows]))
        y = np.full(shape, -np.inf, dtype=x.dtype)
        first = np.full(shape, -1)  # the number of the place of the maximum
        for number, (_, place) in enumerate(places(windows)):
            candidate = source[place]
            # Pads are never the maximum, also where each number is -inf; NaN always is.
            better = (candidate > y) | np.isnan(candidate) | ((first < 0) & inside[place])
            y = np.where(better, candidate, y)
            first = np.where(better, number, first)
        self.require_numbers(first + 1)

        def backward(grad: Array) -> tuple[Array]:
            dsource = np.zeros_like(source)
            for number, (_, place) in enumerate(places(windows)):
                dsource[place] += np.where(first == number, grad, 0)
            return (unpadded(dsource, windows, x.shape[2:]),)

        return (y,), backward
