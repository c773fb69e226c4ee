"""MatMul (ONNX 13)."""

from dataclasses import dataclass

import numpy as np

from gatewise.network.operation import Computed, Execution, Operation, ValueType, broadcast_shape, shown, summed_to
from gatewise.types import Array


@dataclass(frozen=True)
class MatMul(Operation):
    """The matrix product of the last two axes, as `numpy.matmul`: a (..., M, K), b (..., K, N) -> (..., M, N). An array
    of one axis is a vector.
    """

    formal = ("A", "B")
    needed = 2
    weights = ("A", "B")

    def infer(self, a: ValueType, b: ValueType) -> tuple[ValueType, ...]:
        self.require(a.dtype == b.dtype == "float", "both values must be floating-point numbers")
        self.require(bool(a.shape) and bool(b.shape), "a number has no matrix product")
        left = a.shape if len(a.shape) > 1 else (1, *a.shape)
        right = b.shape if len(b.shape) > 1 else (*b.shape, 1)
        self.require(left[-1] == right[-2], f"the shapes {shown(a.shape)} and {shown(b.shape)} do not fit")
        shape = broadcast_shape(self, [left[:-2], right[:-2]]) if left[:-2] or right[:-2] else ()
        rows = left[-2:-1] if len(a.shape) > 1 else ()
        columns = right[-1:] if len(b.shape) > 1 else ()
        return (ValueType("float", (*shape, *rows, *columns)),)

    def forward(self, execution: Execution, a: Array, b: Array) -> Computed:
        left = a if a.ndim > 1 else a[None, :]
        right = b if b.ndim > 1 else b[:, None]
        product = np.matmul(left, right)  # (..., M, N)
        rows = left.shape[-2:-1] if a.ndim > 1 else ()
        columns = right.shape[-1:] if b.ndim > 1 else ()

        def backward(grad: Array) -> tuple[Array, Array]:
            grad = grad.reshape(product.shape)
            da = np.matmul(grad, right.swapaxes(-1, -2))  # (..., M, K)
            db = np.matmul(left.swapaxes(-1, -2), grad)  # (..., K, N)
            return summed_to(da, left.shape).reshape(a.shape), summed_to(db, right.shape).reshape(b.shape)

        return (product.reshape((*product.shape[:-2], *rows, *columns)),), backward
