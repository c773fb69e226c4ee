"""ReverseSequence (ONNX 10)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.indexing import require_indices, take
from gatewise.network.operation import Computed, Execution, Operation, ValueType, shown
from gatewise.types import Array


@dataclass(frozen=True)
class ReverseSequence(Operation):
    """Sequences with their first `sequence_lens` steps reversed, and what follows as it is. batch_axis and time_axis
    are 0 and 1, or 1 and 0. Raises InputError in a run for a length that is negative or more than the number of steps.
    """

    formal = ("input", "sequence_lens")
    needed = 2
    batch_axis: int = 1
    time_axis: int = 0

    def infer(self, x: ValueType, lengths: ValueType) -> tuple[ValueType, ...]:
        require_indices(self, lengths)
        axes = {self.batch_axis, self.time_axis}
        self.require(axes == {0, 1}, f"batch_axis {self.batch_axis} and time_axis {self.time_axis} must be 0 and 1")
        self.require(len(x.shape) >= 2, f"sequences have two axes at least, not {len(x.shape)}")
        fits = lengths.shape == (x.shape[self.batch_axis],)
        self.require(fits, f"lengths {shown(lengths.shape)} for {x.shape[self.batch_axis]} sequences")
        return (x,)

    def forward(self, execution: Execution, x: Array, lengths: Array) -> Computed:
        steps = x.shape[self.time_axis]
        outside = (lengths < 0) | (lengths > steps)
        if outside.any():
            self.refuse(f"a sequence of {steps} steps has no length {lengths[outside][0]}")
        step = np.arange(steps)  # (T,)
        read = np.where(step < lengths[:, None], lengths[:, None] - 1 - step, step)  # (B, T)
        rows = np.arange(len(lengths))[:, None]  # (B, 1)
        return take(x, (rows, read) if self.batch_axis == 0 else (read.T, rows.T))
