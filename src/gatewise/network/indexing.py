"""Rows that are read by number: `take` and its gradient, and the checks of the numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatewise.network.operation import Computed, Operation, ValueType
from gatewise.network.size import at_least
from gatewise.types import Array


def require_indices(operation: Operation, indices: ValueType) -> None:
    """Refuse indices that are no integers."""
    operation.require(indices.dtype in ("int64", "int32"), f"the indices must be integers, not {indices}")


def from_front(operation: Operation, indices: Array, size: int) -> Array:
    """Indices of an axis of this size, those that count from the end counted from the front. Refuses others."""
    outside = (indices < -size) | (indices >= size)
    if outside.any():
        index = indices[outside].flat[0]
        operation.refuse(f"the index {index} is out of range for an axis of size {size}")
    return np.where(indices < 0, indices + size, indices)


def take(data: Array, index: tuple[Any, ...]) -> Computed:
    """data[index]. The gradient is summed where an element is read more than once."""

    def backward(grad: Array) -> tuple[Array, None]:
        whole = np.zeros_like(data)
        np.add.at(whole, index, grad)
        return whole, None

    return (data[index],), backward


def along_axis(indices: Array, axis: int) -> tuple[Array, ...]:
    """The index of the elements `indices` of an axis: each stands in the row that it has along the other axes."""
    grid: list[Array] = list(np.ix_(*map(np.arange, indices.shape)))
    grid[axis] = indices
    return tuple(grid)


def require_elements(operation: Operation, data: ValueType, indices: ValueType, axis: int) -> None:
    """Refuse indices of elements along an axis that do not fit the data: they need as many axes, and no more rows along
    the other ones.
    """
    require_indices(operation, indices)
    rank = len(data.shape)
    operation.require(rank == len(indices.shape), f"{rank} axes of data and {len(indices.shape)} of indices")
    axis = operation.axis_of(axis, rank)
    for other, (size, rows) in enumerate(zip(data.shape, indices.shape, strict=True)):
        # What depends on the symbols is refused: an index beyond the data has no element.
        fits = other == axis or at_least(size, rows)
        operation.require(fits, f"axis {other} has {size} rows of data and {rows} of indices, which may be more")
