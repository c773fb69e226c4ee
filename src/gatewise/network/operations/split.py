"""Split (ONNX 18), into sizes or a number of chunks."""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType, shown
from gatewise.network.size import Dim, Shape, at_least, divided
from gatewise.types import Array


@dataclass(frozen=True)
class Split(Operation):
    """The chunks of a value along an axis. split: their sizes. num_outputs: their number, where there is no split; they
    are equally large, except for the last one, which may be smaller.
    """

    formal = ("input", "split")
    split: Shape | None = None
    num_outputs: int | None = None
    axis: int = 0

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        axis = self.axis_of(self.axis, len(x.shape))
        sizes = self._sizes(x.shape[axis])
        return tuple(ValueType(x.dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in sizes)

    def forward(self, execution: Execution, x: Array) -> Computed:
        sizes = execution.shape(self._sizes(x.shape[self.axis], execution))
        bounds = list(accumulate(sizes))[:-1]
        chunks = tuple(np.split(x, bounds, axis=self.axis))

        def backward(*grads: Array | None) -> tuple[Array]:
            whole = [np.zeros_like(chunk) if grad is None else grad for chunk, grad in zip(chunks, grads, strict=True)]
            return (np.concatenate(whole, axis=self.axis),)

        return chunks, backward

    def _sizes(self, size: Dim, execution: Execution | None = None) -> Shape:
        """The sizes of the chunks of an axis of this size; as numbers in a run."""
        if self.split is not None:
            self.require(self.num_outputs is None, "split and num_outputs exclude each other")
            sizes = self.split if execution is None else execution.shape(self.split)
            self.require(sum(sizes) == size, f"an axis of size {size} has no chunks of {shown(sizes)}")
        else:
            number = self.num_outputs
            if number is None or number < 1:
                self.refuse("split or num_outputs, at least 1, is needed")
            chunk = divided(size + number - 1, number)
            sizes = (*[chunk] * (number - 1), size - chunk * (number - 1))
        for part in sizes:
            self.require(not at_least(-1, part), f"an axis of size {size} has no chunks of {shown(sizes)}")
        return sizes
