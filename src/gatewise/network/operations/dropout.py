"""Dropout (ONNX 13), as at inference, without the output mask."""

from dataclasses import dataclass

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class Dropout(Operation):
    """The value itself. ratio, seed: of the training, without effect here."""

    formal = ("data", "ratio", "training_mode")
    ratio: float = 0.5
    training_mode: bool = False
    seed: int = 0

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require_float(x)
        self.require(not self.training_mode, "training_mode is not known here: set the network to inference")
        return (x,)

    def forward(self, execution: Execution, x: Array) -> Computed:
        def backward(grad: Array) -> tuple[Array]:
            return (grad,)

        return (x,), backward
