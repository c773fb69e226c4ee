"""RequireLongest: sequences of which the longest one takes all steps; no operator of ONNX."""

from __future__ import annotations

from dataclasses import dataclass

from gatewise.network.indexing import require_indices
from gatewise.network.operation import Computed, Execution, Operation, ValueType, shown
from gatewise.types import Array


@dataclass(frozen=True)
class RequireLongest(Operation):
    """X (B, T, ...) itself, with the lengths (B,) of its sequences. PyTorch cuts off the steps after the longest
    sequence when it unpacks a batch, so that the result would have fewer than T steps.

    Raises InputError in a run for lengths of which none is T.
    """

    formal = ("X", "lengths")
    needed = 2

    def infer(self, x: ValueType, lengths: ValueType) -> tuple[ValueType, ...]:
        require_indices(self, lengths)
        self.require(len(x.shape) >= 2, f"sequences have two axes at least, not {len(x.shape)}")
        self.require(lengths.shape == x.shape[:1], f"lengths {shown(lengths.shape)} for {x.shape[0]} sequences")
        return (x,)

    def forward(self, execution: Execution, x: Array, lengths: Array) -> Computed:
        steps = x.shape[1]
        if lengths.max() != steps:
            self.refuse(
                f"the sequences have {steps} steps, and the longest of their lengths is {lengths.max()}:"
                " cut the sequences to the longest length"
            )

        def backward(grad: Array) -> tuple[Array, None]:
            return grad, None

        return (x,), backward
