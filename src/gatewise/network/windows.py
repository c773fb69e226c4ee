"""Windows of a kernel that moves along the axes after the batch and the channels: of convolutions and pooling.

A pass runs over the places of the kernel, not over the windows: at each place it reads one slice of the padded array,
which has a number per window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.network.operation import Operation
from gatewise.network.size import Dim, Shape, at_least, divided, maximum, minimum, value_of
from gatewise.types import Array

_AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


@dataclass(frozen=True)
class Windows:
    """The windows along one axis. before, after: pads. count: of the windows."""

    kernel: int
    stride: int
    dilation: int
    before: Dim
    after: Dim
    count: Dim

    @property
    def reach(self) -> int:
        """The size of a window, with the gaps between the places of the kernel."""
        return (self.kernel - 1) * self.dilation + 1

    def pads(self, size: int) -> tuple[int, int]:
        """The pads of an axis of this size, with what the last window of ceil_mode reads beyond them."""
        before = value_of(self.before, {})
        end = (value_of(self.count, {}) - 1) * self.stride + self.reach
        return before, max(value_of(self.after, {}), end - before - size)

    def at(self, place: int) -> slice:
        """What the windows read at a place of the kernel, of the padded axis."""
        start = place * self.dilation
        return slice(start, start + (value_of(self.count, {}) - 1) * self.stride + 1, self.stride)


@dataclass(frozen=True)
class WindowOperation(Operation):
    """An operation on windows of X (N, C, *spatial). The attributes have a number per spatial axis; pads those before
    the axes, then those after them. strides, dilations: 1 where they are left out. pads: 0 where they are left out.

    auto_pad: "NOTSET" for pads; "VALID" for none; "SAME_UPPER" and "SAME_LOWER" for so many that there is a window per
    stride, an odd one after the axis or before it.
    """

    kernel_shape: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None
    dilations: tuple[int, ...] | None = None
    pads: tuple[int, ...] | None = None
    auto_pad: str = "NOTSET"

    def windows(self, spatial: Shape, kernel: tuple[int, ...], ceil_mode: bool = False) -> list[Windows]:
        """The windows along each spatial axis. Refuses attributes that do not fit, and an axis that is known to be
        shorter than the kernel.
        """
        rank = len(spatial)
        self.require(self.auto_pad in _AUTO_PADS, f"auto_pad {self.auto_pad} is none of {', '.join(_AUTO_PADS)}")
        strides = (1,) * rank if self.strides is None else self.strides
        dilations = (1,) * rank if self.dilations is None else self.dilations
        pads = (0,) * (2 * rank) if self.pads is None else self.pads
        for name, numbers, count in (
            ("kernel_shape", kernel, rank),
            ("strides", strides, rank),
            ("dilations", dilations, rank),
            ("pads", pads, 2 * rank),
        ):
            self.require(len(numbers) == count, f"{name} has {len(numbers)} numbers for {rank} spatial axes")
            least = 0 if name == "pads" else 1
            self.require(min(numbers) >= least, f"{name} {numbers} must be at least {least}")
        both = self.auto_pad != "NOTSET" and any(pads)
        self.require(not both, f"pads and auto_pad {self.auto_pad} exclude each other")
        along = []
        for axis, size in enumerate(spatial):
            windows = Windows(kernel[axis], strides[axis], dilations[axis], pads[axis], pads[rank + axis], 1)
            along.append(self._counted(windows, size, ceil_mode))
        return along

    def _counted(self, windows: Windows, size: Dim, ceil_mode: bool) -> Windows:
        """The windows along an axis of this size, with their number and the pads of auto_pad."""
        kernel, stride, dilation = windows.kernel, windows.stride, windows.dilation
        before, after = windows.before, windows.after
        if self.auto_pad.startswith("SAME"):
            count = divided(size + stride - 1, stride)
            pads = maximum((count - 1) * stride + windows.reach - size, 0)
            smaller = divided(pads, 2)
            larger = pads - smaller
            if self.auto_pad == "SAME_UPPER":
                return Windows(kernel, stride, dilation, smaller, larger, count)
            return Windows(kernel, stride, dilation, larger, smaller, count)
        room = size + before + after - windows.reach
        reason = f"a kernel that reaches over {windows.reach} does not fit into an axis of size {size} with its pads"
        # The only window of ceil_mode may end beyond the pads too.
        needed = room + stride - 1 if ceil_mode else room
        self.require(not at_least(-1, needed), reason)
        count = divided(room, stride) + 1
        if ceil_mode:
            # The last window may end beyond the pads, but it may not start behind the axis.
            count = minimum(divided(room + stride - 1, stride), divided(size + before - 1, stride)) + 1
        return Windows(kernel, stride, dilation, before, after, count)


def padded(x: Array, windows: Sequence[Windows], fill: float) -> Array:
    """x (N, C, *spatial) with the pads of the windows."""
    pads = [along.pads(size) for along, size in zip(windows, x.shape[2:], strict=True)]
    return np.pad(x, [(0, 0), (0, 0), *pads], constant_values=fill)


def unpadded(x: Array, windows: Sequence[Windows], spatial: tuple[int, ...]) -> Array:
    """x without the pads of the windows, of an array with these spatial axes."""
    starts = [along.pads(size)[0] for along, size in zip(windows, spatial, strict=True)]
    kept: tuple[Any, ...] = (...,)
    for start, size in zip(starts, spatial, strict=True):
        kept += (slice(start, start + size),)
    without: Array = x[kept]
    return without


def places(windows: Sequence[Windows]) -> list[tuple[tuple[Any, ...], tuple[slice, ...]]]:
    """The places of the kernel in row-major order: the index of the last axes of the kernel, and that of the padded
    array, whose slices have a number per window.
    """
    indices = np.ndindex(*(along.kernel for along in windows))
    whole = slice(None)
    return [
        ((..., *index), (whole, whole, *(along.at(place) for along, place in zip(windows, index, strict=True))))
        for index in indices
    ]
