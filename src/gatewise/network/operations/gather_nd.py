"""GatherND (ONNX 13)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gatewise.network.indexing import from_front, require_indices, take
from gatewise.network.operation import Computed, Execution, Operation, ValueType, shown
from gatewise.types import Array


@dataclass(frozen=True)
class GatherND(Operation):
    """Slices of the data: the last axis of the indices has one number for each of the first axes of the data after
    batch_dims. data (*batch, *first, *rest), indices (*batch, *places, len(first)) -> (*batch, *places, *rest).

    Raises InputError in a run for an index that is out of range.
    """

    formal = ("data", "indices")
    needed = 2
    batch_dims: int = 0

    def infer(self, data: ValueType, indices: ValueType) -> tuple[ValueType, ...]:
        require_indices(self, indices)
        batch = self.batch_dims
        fits = 0 <= batch < min(len(data.shape), len(indices.shape))
        self.require(fits, f"batch_dims {batch} of {shown(data.shape)} and {shown(indices.shape)}")
        same = data.shape[:batch] == indices.shape[:batch]
        self.require(same, f"{shown(data.shape)} and {shown(indices.shape)} differ in the first {batch} axes")
        depth = indices.shape[-1]
        if not isinstance(depth, int):
            self.refuse(f"the last axis of the indices must have a constant size, not {depth}")
        reason = f"an index of {depth} numbers for the {len(data.shape) - batch} axes of {shown(data.shape[batch:])}"
        self.require(1 <= depth <= len(data.shape) - batch, reason)
        return (ValueType(data.dtype, (*indices.shape[:-1], *data.shape[batch + depth :])),)

    def forward(self, execution: Execution, data: Array, indices: Array) -> Computed:
        batch = self.batch_dims
        places = indices.shape[:-1]
        index: list[Any] = list(np.ix_(*map(np.arange, places)))[:batch] if batch else []
        for number in range(indices.shape[-1]):
            index.append(from_front(self, indices[..., number], data.shape[batch + number]))
        return take(data, tuple(index))
