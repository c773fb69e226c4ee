"""Reverse-mode automatic differentiation: `Ops` that record, so that `network.forward` itself is differentiated.

It works on whole arrays (as karpathy's micrograd on numbers): each operation records a function that passes the
gradient of its result on to its arguments; the recurrence uses the kernel's own backward pass. Pad states, layers and
pooling are therefore defined once, in `network.forward`. Training and explanations both use it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import Forward, Interpolation, LSTMCall
from gatewise.kernels.interface import Kernel
from gatewise.kernels.pooling import segment_reduce
from gatewise.kernels.threads import at_once, concurrently
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.dropout import Dropout
from gatewise.network.forward import forward
from gatewise.network.ops import Ops, accumulate, array_of
from gatewise.types import Array

_MOST_UNITS = 384  # with more, directions at the same time are no faster: docs/log/kernels.md
VALUES = "values"  # stands for the channels of a series among the names of parameters


def gradients(
    parameters: Mapping[str, Array],
    arch: Architecture,
    batch: Batch,
    dlogits: Callable[[Array], Array],
    inputs: Sequence[str],
    kernel: Kernel | None = None,
    *,
    interpolation: Interpolation | None = None,
    memo: dict[str, tuple[Array, Array]] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Logits (B, outputs) of a batch, and the gradient of Σ logits · dlogits(logits) with the second factor constant.

    inputs: names of parameters, or VALUES for the batch's channels; each gradient has the shape of its array and the
    dtype of the parameters. With gate="binary" it is the straight-through gradient (see `gatewise.cell`).

    interpolation, memo: see `Ops`. The gradient of a row is then summed over its interpolated rows.
    """
    ops = RecordingOps(kernel, interpolation=interpolation, memo=memo)
    named: dict[str, Any] = {name: Variable(a) if name in inputs else a for name, a in parameters.items()}
    if VALUES in inputs and batch.values is not None:
        named[VALUES] = Variable(batch.values.astype(parameters["dense.bias"].dtype, copy=False))
    out = forward(ops, named, arch, batch, named.get(VALUES))
    logits = array_of(out)
    if isinstance(out, Variable):
        out.accumulate(dlogits(logits).astype(logits.dtype))
        ops.backward()
    return logits, {name: named[name].grad_or_zeros() for name in inputs if name in named}


class Variable:
    """An array, `value`, and its gradient, `grad`, which accumulates; None while there is none."""

    def __init__(self, value: Array) -> None:
        self.value = value
        self.grad: Array | None = None
        self._owns_grad = False  # whether nothing else holds `grad`, so that it may change in place

    def accumulate(self, grad: Array, *, owned: bool = False) -> None:
        """Add `grad`; owned: nothing else holds it, so that later gradients may be added to it in place."""
        if self.grad is None:
            self.grad, self._owns_grad = grad, owned
        elif self._owns_grad:
            self.grad += grad
        else:
            self.grad, self._owns_grad = self.grad + grad, True

    def owned_grad(self) -> Array | None:
        """The gradient so far, if there is one, as an array that may change in place."""
        if self.grad is not None and not self._owns_grad:
            self.grad = self.grad.copy()
        self._owns_grad = True
        return self.grad

    def accumulate_rows(self, rows: NDArray[np.int64], grad: Array) -> None:
        """Add `grad` (R, D) to `rows` (R,), which may repeat."""
        whole, part = np.zeros_like(self.value), sum_rows(rows, grad)
        whole[part.rows] = part.values
        self.accumulate(whole, owned=True)

    def grad_or_zeros(self) -> Array:
        return np.zeros_like(self.value) if self.grad is None else self.grad

    def clear(self) -> None:
        """Forget the gradient."""
        self.grad, self._owns_grad = None, False


class RowGradient(NamedTuple):
    """Gradient of a table (V, D): `values` (R, D) of the `rows` (R,), ascending; zero elsewhere."""

    rows: NDArray[np.int64]
    values: Array


class EmbeddingTable(Variable):
    """A table (V, D) of which a batch reads few rows: its gradient is kept by row, not as an array of mostly zeros."""

    def __init__(self, value: Array) -> None:
        super().__init__(value)
        self._parts: list[RowGradient] = []

    def accumulate_rows(self, rows: NDArray[np.int64], grad: Array) -> None:
        self._parts.append(sum_rows(rows, grad))

    def row_gradient(self) -> RowGradient:
        """The sum of what has accumulated."""
        if not self._parts:
            return RowGradient(np.zeros(0, dtype=np.int64), np.zeros((0, self.value.shape[1]), self.value.dtype))
        self._parts = [sum_of(self._parts)]
        return self._parts[0]

    def clear(self) -> None:
        self._parts.clear()


def sum_of(parts: Sequence[RowGradient]) -> RowGradient:
    """The sum of gradients of one table; at least one."""
    if len(parts) == 1:
        return parts[0]
    return sum_rows(np.concatenate([part.rows for part in parts]), np.concatenate([part.values for part in parts]))


def sum_rows(rows: NDArray[np.int64], values: Array) -> RowGradient:
    """The values (N, D) summed over equal `rows` (N,)."""
    if len(rows) < 2 or bool((rows[1:] > rows[:-1]).all()):
        return RowGradient(rows, values)
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    counts = np.diff(starts, append=len(rows))
    return RowGradient(rows[starts], segment_reduce(values[order], counts, "sum"))


class RecordingOps(Ops):
    """The operations on arrays and `Variable`s. A result that needs no gradient is an array and is not recorded.

    dropout: the masks of a training step; None for prediction. Other arguments: see `Ops`.
    """

    reads_inputs_once: ClassVar[bool] = False

    def __init__(
        self,
        kernel: Kernel | None = None,
        *,
        dropout: Dropout | None = None,
        interpolation: Interpolation | None = None,
        memo: dict[str, tuple[Array, Array]] | None = None,
    ) -> None:
        super().__init__(kernel, memo=memo, interpolation=interpolation)
        self.masks = dropout
        self._recorded: list[Callable[[], None]] = []

    def record(self, value: Array, arguments: Sequence[Any], backward: Callable[[Array], None]) -> Any:
        if not any(isinstance(argument, Variable) for argument in arguments):
            return value
        variable = Variable(value)
        self._recorded.append(lambda: None if variable.grad is None else backward(variable.grad))
        return variable

    def backward(self) -> None:
        """Pass every gradient on, last operation first."""
        for step in reversed(self._recorded):
            step()
        self._recorded.clear()

    def lstms(self, calls: Sequence[tuple[str, LSTMCall[Any]]], positions: Array | None = None) -> list[Forward]:
        """As in `Ops`. The directions of a layer, forward and backward, run at the same time up to `_MOST_UNITS`."""
        arguments = [(call.pre, call.weight_hh, call.h0, call.c0) for _, call in calls]
        arrays = []
        for (_, call), parts in zip(calls, arguments, strict=True):
            pre, weight_hh, h0, c0 = (np.ascontiguousarray(array_of(part)) for part in parts)
            arrays.append(replace(call, pre=pre, weight_hh=weight_hh, h0=h0, c0=c0))
        if not any(isinstance(part, Variable) for parts in arguments for part in parts):
            return super().lstms([(name, call) for (name, _), call in zip(calls, arrays, strict=True)])
        kernels = [self.pad_kernel if name.endswith(".pads") else self.kernel for name, _ in calls]
        both = at_once(len(calls)) and arrays[0].h0.shape[1] <= _MOST_UNITS
        if both:
            kernels = [kernel.with_threads(1) for kernel in kernels]

        def run_all(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
            return concurrently(tasks) if both else [task() for task in tasks]

        runs = run_all([partial(kernel.forward, one) for kernel, one in zip(kernels, arrays, strict=True)])
        states = [
            Forward(Variable(run.h), Variable(run.h_T), Variable(run.c_T), run.saved, Variable(run.c)) for run in runs
        ]

        def backward() -> None:
            tasks, whose = [], []
            for parts, kernel, run, state in zip(arguments, kernels, runs, states, strict=True):
                given = state.h, state.h_T, state.c_T, state.c
                dh, dh_T, dc_T, dc = (None if s.grad is None else np.ascontiguousarray(s.grad) for s in given)
                if dh is None and dc is None and dh_T is None and dc_T is None:
                    continue
                dh_T, dc_T = (np.zeros_like(run.h_T) if d is None else d for d in (dh_T, dc_T))
                with_dweight = isinstance(parts[1], Variable)
                tasks.append(partial(kernel.backward, run.saved, dh, dh_T, dc_T, dc, with_dweight=with_dweight))
                whose.append(parts)
            for parts, grads in zip(whose, run_all(tasks), strict=True):
                accumulate(parts, grads)

        self._recorded.append(backward)
        return states

    def dropout(self, x: Any, part: str) -> Any:
        """x (K, D) with what the mask of its part drops, see `Dropout`."""
        value = array_of(x)
        mask = None if self.masks is None else self.masks.of_rows(part, value.shape, value.dtype)
        return x if mask is None else self.multiply(x, mask)

    def multiply(self, x: Any, factor: Array) -> Any:
        """x times a constant array that broadcasts to its shape."""
        return self.record(array_of(x) * factor, [x], lambda grad: x.accumulate(grad * factor, owned=True))
