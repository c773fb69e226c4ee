"""Trilu (ONNX 14), with a diagonal that is a size."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType
from gatewise.network.size import Dim
from gatewise.types import Array


@dataclass(frozen=True)
class Trilu(Operation):
    """The upper or lower triangle of matrices (..., N, M), and 0 elsewhere. k: the diagonal that bounds it: 0 the main
    one, 1 the one above it.
    """

    formal = ("input", "k")
    k: Dim = 0
    upper: int = 1

    def infer(self, x: ValueType) -> tuple[ValueType, ...]:
        self.require(len(x.shape) >= 2, f"a matrix has two axes, not {len(x.shape)}")
        return (x,)

    def forward(self, execution: Execution, x: Array) -> Computed:
        diagonal = execution.size(self.k)

        def triangle(matrix: Array) -> Array:
            return np.triu(matrix, diagonal) if self.upper else np.tril(matrix, diagonal)

        def backward(grad: Array) -> tuple[Array]:
            return (triangle(grad),)

        return (triangle(x),), backward
