"""`ArrayInput`: one input of a network with several: what an array of it must be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gatewise.errors import InputError
from gatewise.network.operation import DType, ValueType
from gatewise.network.size import symbol
from gatewise.types import Array

_KINDS: dict[DType, str] = {"float": "fiu", "int64": "iu", "int32": "iu", "bool": "b"}


@dataclass(frozen=True)
class ArrayInput:
    """One input. sizes: of its axes, None for one that differs from input to input. batch, steps: the axes of the rows
    and of the steps; None where it has none.
    """

    dtype: DType
    sizes: tuple[int | None, ...]
    batch: int | None = None
    steps: int | None = None

    def row_type(self) -> ValueType:
        """The type of one row, for messages: T is the number of steps, and N another size."""
        shape = []
        for axis, size in enumerate(self.sizes):
            if axis != self.batch:
                free = symbol("T" if axis == self.steps else "N")
                shape.append(free if size is None else size)
        return ValueType(self.dtype, tuple(shape))

    def check_row(self, array: Array, where: str) -> None:
        """Raise InputError unless it is an array of one row."""
        sizes = [size for axis, size in enumerate(self.sizes) if axis != self.batch]
        fits = len(sizes) == array.ndim and array.dtype.kind in _KINDS[self.dtype]
        if not fits or any(
            size not in (None, found) or found == 0 for size, found in zip(sizes, array.shape, strict=False)
        ):
            raise InputError(f"{where} must be {self.row_type()}, not {array.dtype} {array.shape}")
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise InputError(f"{where} has a missing value (NaN); give a number in its place")

    @property
    def row_axis(self) -> int | None:
        """The axis of the steps in the array of a row, None without one."""
        if self.steps is None or self.batch is None:
            return self.steps
        return self.steps - (self.batch < self.steps)

    def row_steps(self, array: Array) -> Array:
        """The array of a row with the steps first, without an axis of them (1, ...)."""
        if self.row_axis is None:
            return array[None]
        return np.moveaxis(array, self.row_axis, 0)
