"""Conv (ONNX 11): 1-D, 2-D and more."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, ValueType, shown
from gatewise.network.size import Shape
from gatewise.network.windows import WindowOperation, Windows, padded, places, unpadded
from gatewise.types import Array


@dataclass(frozen=True)
class Conv(WindowOperation):
    """The cross-correlation of X (N, C, *spatial) with W (M, C / group, *kernel), and B (M,) added: (N, M, *windows).
    The channels are divided into groups, which do not read each other.
    """

    formal = ("X", "W", "B")
    needed = 2
    weights = ("W", "B")
    group: int = 1

    def infer(self, x: ValueType, w: ValueType, b: ValueType | None = None) -> tuple[ValueType, ...]:
        self.require_float(x, w, b)
        self.require(len(x.shape) >= 3, f"{x} has no spatial axis after the batch and the channels")
        fits = len(w.shape) == len(x.shape)
        self.require(fits, f"X {shown(x.shape)} and W {shown(w.shape)} must have equally many axes")
        filters, channels = w.shape[:2]
        self.require(self.group >= 1, f"group {self.group} must be at least 1")
        fits = channels * self.group == x.shape[1]
        self.require(fits, f"W {shown(w.shape)} in {self.group} groups does not fit X {shown(x.shape)}")
        whole = isinstance(filters, int) and filters % self.group == 0
        self.require(whole, f"{filters} filters are no {self.group} groups")
        self.require(b is None or b.shape == (filters,), f"B must be ({filters},), not {b}")
        counts = [along.count for along in self._windows(x.shape, w.shape)]
        return (ValueType("float", (x.shape[0], filters, *counts)),)

    def forward(self, execution: Execution, x: Array, w: Array, b: Array | None = None) -> Computed:
        windows = self._windows(x.shape, w.shape)
        counts = execution.shape([along.count for along in windows])
        group = self.group
        batch, channels, filters = x.shape[0], w.shape[1], w.shape[0] // group
        kernel = w.reshape(group, filters, channels, *w.shape[2:])
        source = padded(x, windows, 0)
        flat = int(np.prod(counts))
        kernel_places = places(windows)

        def patch(place: tuple[slice, ...]) -> Array:
            return source[place].reshape(batch, group, channels, flat)

        y = np.zeros((batch, group, filters, flat), dtype=x.dtype)
        for index, place in kernel_places:
            y += kernel[index] @ patch(place)
        y = y.reshape(batch, group * filters, *counts)
        if b is not None:
            y += b.reshape(-1, *[1] * len(counts))

        def backward(grad: Array) -> tuple[Array, Array, Array | None]:
            rows = grad.reshape(batch, group, filters, flat)
            dkernel = np.zeros_like(kernel)
            dsource = np.zeros_like(source)
            for index, place in kernel_places:
                dkernel[index] = (rows @ patch(place).swapaxes(-1, -2)).sum(axis=0)
                dpatch = kernel[index].swapaxes(-1, -2) @ rows
                dsource[place] += dpatch.reshape(batch, group * channels, *counts)
            db = None if b is None else grad.sum(axis=(0, *range(2, grad.ndim)))
            return unpadded(dsource, windows, x.shape[2:]), dkernel.reshape(w.shape), db

        return (y,), backward

    def _windows(self, x: Shape, w: Shape) -> list[Windows]:
        kernel = tuple(size for size in w[2:] if isinstance(size, int))
        self.require(len(kernel) == len(w) - 2, f"W {shown(w)} must have a kernel of constant size")
        same = self.kernel_shape is None or self.kernel_shape == kernel
        self.require(same, f"kernel_shape {self.kernel_shape} is not that of W {shown(w)}")
        return self.windows(x[2:], kernel)
