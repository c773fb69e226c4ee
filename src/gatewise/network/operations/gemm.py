"""Gemm (ONNX 13)."""

from dataclasses import dataclass

from gatewise.network.operation import Computed, Execution, Operation, ValueType, broadcast_shape, shown, summed_to
from gatewise.types import Array


@dataclass(frozen=True)
class Gemm(Operation):
    """alpha · A B + beta · C: A (M, K), B (K, N) -> (M, N), C broadcast to it. transA, transB: whether A and B are
    transposed first.
    """

    formal = ("A", "B", "C")
    needed = 2
    weights = ("B", "C")
    alpha: float = 1.0
    beta: float = 1.0
    transA: int = 0
    transB: int = 0

    def infer(self, a: ValueType, b: ValueType, c: ValueType | None = None) -> tuple[ValueType, ...]:
        self.require_float(a, b, c)
        self.require(len(a.shape) == len(b.shape) == 2, f"{shown(a.shape)} and {shown(b.shape)} must be matrices")
        rows, inner = reversed(a.shape) if self.transA else a.shape
        other, columns = reversed(b.shape) if self.transB else b.shape
        self.require(inner == other, f"the shapes {shown(a.shape)} and {shown(b.shape)} do not fit")
        shape = (rows, columns)
        if c is not None:
            fits = len(c.shape) <= 2 and broadcast_shape(self, [shape, c.shape]) == shape
            self.require(fits, f"C {shown(c.shape)} cannot be broadcast to {shown(shape)}")
        return (ValueType("float", shape),)

    def forward(self, execution: Execution, a: Array, b: Array, c: Array | None = None) -> Computed:
        left = a.T if self.transA else a
        right = b.T if self.transB else b
        y = self.alpha * (left @ right)
        if c is not None:
            y = y + self.beta * c

        def backward(grad: Array) -> tuple[Array, Array, Array | None]:
            dleft = self.alpha * (grad @ right.T)
            dright = self.alpha * (left.T @ grad)
            dc = None if c is None else summed_to(self.beta * grad, c.shape)
            return dleft.T if self.transA else dleft, dright.T if self.transB else dright, dc

        return (y,), backward
