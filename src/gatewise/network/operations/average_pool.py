"""AveragePool (ONNX 19)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.network.operation import Computed, Execution
from gatewise.network.pool_operation import PoolOperation
from gatewise.network.size import value_of
from gatewise.network.windows import Windows, padded, places, unpadded
from gatewise.types import Array


@dataclass(frozen=True)
class AveragePool(PoolOperation):
    """The mean of each window. count_include_pad: whether the pads count as numbers; what a window of ceil_mode reads
    beyond the pads never does.
    """

    count_include_pad: int = 0

    def forward(self, execution: Execution, x: Array) -> Computed:
        windows = self.pool_windows(x.shape[2:])
        source = padded(x, windows, 0)
        counted = self._counted_places(x.shape[2:], windows)
        shape = execution.shape([along.count for along in windows])
        y = np.zeros((*x.shape[:2], *shape), dtype=x.dtype)
        counts = np.zeros((1, 1, *shape), dtype=x.dtype)
        for _, place in places(windows):
            y += source[place]
            counts += counted[place]
        self.require_numbers(counts)

        def backward(grad: Array) -> tuple[Array]:
            share = grad / counts
            dsource = np.zeros_like(source)
            for _, place in places(windows):
                dsource[place] += share
            return (unpadded(dsource, windows, x.shape[2:]),)

        return (y / counts,), backward

    def _counted_places(self, spatial: tuple[int, ...], windows: list[Windows]) -> Array:
        """1 where the padded array has a number that counts, else 0: (1, 1, *spatial with pads)."""
        if not self.count_include_pad:
            return padded(np.ones((1, 1, *spatial)), windows, 0)
        counted = np.zeros_like(padded(np.ones((1, 1, *spatial)), windows, 0))
        ends = [
            value_of(along.before, {}) + size + value_of(along.after, {})
            for along, size in zip(windows, spatial, strict=True)
        ]
        within: tuple[Any, ...] = (..., *map(slice, ends))
        counted[within] = 1
        return counted
