"""Identity (ONNX 19)."""

from dataclasses import dataclass

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.types import Array


@dataclass(frozen=True)
class Identity(Operation):
    """The value itself."""

    formal = ("input",)

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        return (x,)

    def forward(self, execution: Execution, x: Array) -> Computed:
        def backward(grad: Array) -> tuple[Array]:
            return (grad,)

        return (x,), backward
