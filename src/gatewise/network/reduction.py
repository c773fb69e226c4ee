"""`Reduction`: an operation along axes of a value that leaves one number of each; `ArgReduction`: the index of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gatewise.network.elementwise import NUMBERS
from gatewise.network.operation import Computed, DType, Execution, Operation, ValueType, no_gradient
from gatewise.network.size import Dim, Shape
from gatewise.types import Array


@dataclass(frozen=True)
class Reduction(Operation, ABC):
    """An operation along axes that leaves one number. dtypes: those that it takes.

    axes: all where they are empty or left out, but none if noop_with_empty_axes. keepdims: whether they stay, with the
    size 1.
    """

    formal = ("data", "axes")
    dtypes: ClassVar[tuple[DType, ...]] = NUMBERS
    axes: tuple[int, ...] | None = None
    keepdims: int = 1
    noop_with_empty_axes: int = 0

    @abstractmethod
    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        """The result, whose axes stay with the size 1."""

    @abstractmethod
    def gradient(self, grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        """The gradient of x, of that of the result and the result, whose axes stay with the size 1."""

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require_dtypes(self.dtypes, x)
        axes = self._reduced_axes(len(x.shape))
        return (ValueType(x.dtype, reduced_shape(x.shape, axes, self.keepdims)),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        axes = self._reduced_axes(x.ndim)
        y = np.asarray(self.reduced(x, axes))

        def backward(grad: Array | None) -> tuple[Array | None]:
            if grad is None or y.dtype.kind != "f":
                return (None,)
            return (self.gradient(grad.reshape(y.shape), y, x, axes),)

        return (y if self.keepdims else y.squeeze(axes),), backward

    def _reduced_axes(self, rank: int) -> tuple[int, ...]:
        if not self.axes:
            return () if self.noop_with_empty_axes else tuple(range(rank))
        axes = tuple(self.axis_of(axis, rank) for axis in self.axes)
        self.require(len(set(axes)) == len(axes), f"an axis is named twice in {self.axes}")
        return axes


@dataclass(frozen=True)
class ArgReduction(Operation, ABC):
    """The index of a number along an axis. It has no gradient.

    select_last_index: whether of equal numbers the last one counts, not the first one.
    """

    formal = ("data",)
    axis: int = 0
    keepdims: int = 1
    select_last_index: int = 0

    @abstractmethod
    def index(self, x: Array, axis: int) -> Array:
        """The index of the first such number along the axis, which stays with the size 1."""

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require_dtypes(NUMBERS, x)
        axis = self.axis_of(self.axis, len(x.shape))
        self.require(x.shape[axis] != 0, "an axis of the size 0 has no index")
        return (ValueType("int64", reduced_shape(x.shape, (axis,), self.keepdims)),)

    def forward(self, execution: Execution, x: Array) -> Computed:
        axis = self.axis_of(self.axis, x.ndim)
        self.require(x.shape[axis] != 0, "an axis of the size 0 has no index")
        if self.select_last_index:
            index = x.shape[axis] - 1 - self.index(np.flip(x, axis), axis)
        else:
            index = self.index(x, axis)
        index = index.astype(np.int64)
        return (index if self.keepdims else index.squeeze(axis),), no_gradient


def reduced_shape(shape: Shape, axes: tuple[int, ...], keepdims: int) -> Shape:
    """The shape without these axes, or with the size 1 for them."""
    sizes: list[Dim] = []
    for axis, size in enumerate(shape):
        if axis not in axes:
            sizes.append(size)
        elif keepdims:
            sizes.append(1)
    return tuple(sizes)


def lowest(dtype: Any) -> Any:
    """What no number of a dtype is below: the maximum of none."""
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def highest(dtype: Any) -> Any:
    """What no number of a dtype is above: the minimum of none."""
    if dtype.kind == "f":
        return np.inf
    return True if dtype.kind == "b" else np.iinfo(dtype).max


def divided_along(grad: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
    """The gradient of the values x of a maximum or minimum y along axes: that of y, in equal parts to those that equal
    it. Where y is NaN, the parts go to all.
    """
    chosen = (x == y) | np.isnan(y)
    ties = np.sum(chosen, axis=axes, keepdims=True, dtype=y.dtype)
    return np.where(chosen, grad / ties, 0)
