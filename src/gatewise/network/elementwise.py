"""`Elementwise`: an operation on each number of its inputs, which NumPy broadcasts to one shape.

Where a function has no derivative, its gradient is the one that PyTorch gives; the docstring of the operation says it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from gatewise.network.operation import Computed, DType, Execution, Operation, ValueType, broadcast_type, summed_to
from gatewise.types import Array

NUMBERS: tuple[DType, ...] = ("float", "int64", "int32")


class Elementwise(Operation):
    """An operation on each number of its inputs. dtypes: those that it takes.

    Its inputs and its result have one dtype, unless a subclass has another shape rule.
    """

    dtypes: ClassVar[tuple[DType, ...]] = ("float",)

    value: Callable[..., Array]
    """A method: the result, of the arrays of the inputs."""

    gradients: Callable[..., tuple[Array | None, ...]]
    """A method: of the gradient of the result, the result, and the arrays of the inputs: the gradients of the inputs in
    the shape of the result, None for one that has none. Called for floating-point results only.
    """

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        self.require_dtypes(self.dtypes, *inputs)
        return (broadcast_type(self, *inputs),)

    def forward(self, execution: Execution, *inputs: Array) -> Computed:
        y = np.asarray(self.value(*inputs))

        def backward(grad: Array | None) -> tuple[Array | None, ...]:
            if y.dtype.kind != "f":
                return (None,) * len(inputs)
            grads = self.gradients(grad, y, *inputs)
            return tuple(None if dx is None else summed_to(dx, x.shape) for dx, x in zip(grads, inputs, strict=True))

        return (y,), backward


class Predicate(Elementwise):
    """An operation on each number of its inputs that says what is true. It has no gradient."""

    dtypes = NUMBERS

    def infer(self, *inputs: ValueType) -> tuple[ValueType, ...]:
        self.require_dtypes(self.dtypes, *inputs)
        return (ValueType("bool", broadcast_type(self, *inputs).shape),)


def divided_among_ties(grad: Array, y: Array, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
    """The gradients of the inputs of a maximum or minimum y: that of y, in equal parts to the inputs that equal it.

    Where y is NaN, the parts go to all inputs.
    """
    chosen = [(x == y) | np.isnan(y) for x in inputs]
    ties = np.sum(chosen, axis=0, dtype=y.dtype)
    return tuple(np.where(equal, grad / ties, 0) for equal in chosen)
