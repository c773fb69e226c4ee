"""Reverse-mode automatic differentiation: `Ops` that record, so that `network.forward` itself is differentiated.

It works on whole arrays (as karpathy's micrograd on numbers): each operation records a function that passes the
gradient of its result on to its arguments; the recurrence uses the kernel's own backward pass. Pad states, layers and
pooling are therefore defined once, in `network.forward`. Training and explanations both use it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import Interpolation, Kernel, LSTMCall, SavedActivations
from gatewise.kernels.pooling import max_backward, repeat_rows
from gatewise.kernels.threads import at_once, concurrently, in_turn
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.dropout import Dropout
from gatewise.network.forward import forward
from gatewise.network.ops import NumpyOps, States
from gatewise.types import Array, Lengths

_MOST_UNITS = 384  # with more, directions at the same time are no faster: docs/log/kernels.md
VALUES = "values"  # stands for the channels of a series among the names of parameters


def gradients(
    parameters: Mapping[str, Array],
    arch: Architecture,
    batch: Batch,
    dlogits: Callable[[Array], Array],
    inputs: Collection[str],
    kernel: Kernel | None = None,
    *,
    interpolation: Interpolation | None = None,
    memo: dict[str, tuple[Array, Array]] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Logits (B, outputs) of a batch, and the gradient of Σ logits · dlogits(logits) with the second factor constant.

    inputs: names of parameters, or VALUES for the batch's channels; each gradient has the shape and dtype of its array.
    With gate="binary" it is the straight-through gradient (see `gatewise.cell`).

    interpolation: applies to the input rows of the first layer (see `kernels.Interpolation`), but not to the pads
    before them, whose states may be in `memo`. The gradient of a row is then summed over its interpolated rows.
    """
    ops = RecordingOps(kernel, values_need_grad=VALUES in inputs, interpolation=interpolation, memo=memo)
    named: dict[str, Any] = {name: Variable(a) if name in inputs else a for name, a in parameters.items()}
    out = forward(ops, named, arch, batch)
    logits = array_of(out)
    if isinstance(out, Variable):
        out.accumulate(dlogits(logits).astype(logits.dtype))
        ops.backward()
    leaves = {name: ops.values if name == VALUES else named[name] for name in inputs}
    return logits, {name: leaf.grad_or_zeros() for name, leaf in leaves.items() if leaf is not None}


class Variable:
    """An array, `value`, and its gradient, `grad`, which accumulates; None while there is none."""

    def __init__(self, value: Array, ops: RecordingOps | None = None) -> None:
        self.value, self.ops = value, ops
        self.grad: Array | None = None
        self._owns_grad = False  # whether nothing else holds `grad`, so that it may change in place

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, rows: slice) -> Any:
        def backward(grad: Array) -> None:
            whole = np.zeros_like(self.value)
            whole[rows] = grad
            self.accumulate(whole, owned=True)

        assert self.ops is not None  # a parameter is never cut
        return self.ops.record(self.value[rows], backward)

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
        """`grad` (R, D) for `rows` (R,), distinct."""
        whole = np.zeros_like(self.value)
        whole[rows] = grad
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


class Table(Variable):
    """A table (V, D) of which a batch reads few rows: its gradient is kept by row, not as an array of mostly zeros."""

    def __init__(self, value: Array) -> None:
        super().__init__(value)
        self._parts: list[RowGradient] = []

    def accumulate_rows(self, rows: NDArray[np.int64], grad: Array) -> None:
        self._parts.append(RowGradient(rows, grad))

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
    if not len(rows):
        return RowGradient(rows, values)
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    return RowGradient(rows[starts], np.add.reduceat(values[order], starts, axis=0))


class RecordingOps(NumpyOps):
    """The operations on arrays and `Variable`s. A result that needs no gradient is an array and is not recorded.

    dropout: the masks of a training step; None for prediction. Other arguments: see `gradients`.
    """

    def __init__(
        self,
        kernel: Kernel | None = None,
        *,
        dropout: Dropout | None = None,
        values_need_grad: bool = False,
        interpolation: Interpolation | None = None,
        memo: dict[str, tuple[Array, Array]] | None = None,
    ) -> None:
        super().__init__(kernel, memo=memo)
        self.masks = dropout
        self.interpolation = interpolation
        self.values: Variable | None = None
        self._values_need_grad = values_need_grad
        self._recorded: list[Callable[[], None]] = []

    def record(self, value: Array, backward: Callable[[Array], None]) -> Variable:
        """A variable for `value`; `backward` is called with its gradient, if there is one."""
        variable = Variable(value, self)
        self._recorded.append(lambda: None if variable.grad is None else backward(variable.grad))
        return variable

    def backward(self) -> None:
        """Pass every gradient on, last operation first."""
        for step in reversed(self._recorded):
            step()
        self._recorded.clear()

    def constant(self, values: Array, like: Any) -> Any:
        array = super().constant(values, array_of(like))
        if not self._values_need_grad:
            return array
        self.values = Variable(array, self)
        return self.values

    def take(self, rows: Any, which: NDArray[np.int64]) -> Any:
        value = super().take(array_of(rows), which)
        if not isinstance(rows, Variable):
            return value
        distinct = len(which) < 2 or bool((which[1:] > which[:-1]).all())

        def backward(grad: Array) -> None:
            rows.accumulate_rows(*((which, grad) if distinct else sum_rows(which, grad)))

        return self.record(value, backward)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        value = super().linear(array_of(x), array_of(weight), array_of(bias))
        if not any(isinstance(part, Variable) for part in (x, weight, bias)):
            return value

        def backward(grad: Array) -> None:
            if isinstance(x, Variable):
                x.accumulate(grad @ array_of(weight))  # (U, K) @ (K, D)
            if isinstance(weight, Variable):
                weight.accumulate(grad.T @ array_of(x))  # (K, U) @ (U, D)
            if isinstance(bias, Variable):
                bias.accumulate(grad.sum(axis=0))

        return self.record(value, backward)

    def project(self, x: Any, weight_ih: Any, bias: Any) -> Any:
        value = super().project(array_of(x), array_of(weight_ih), array_of(bias))
        if not any(isinstance(part, Variable) for part in (x, weight_ih, bias)):
            return value
        kernel, x_array, w_array = self.kernel, *(np.ascontiguousarray(array_of(part)) for part in (x, weight_ih))

        def backward(grad: Array) -> None:
            with_dx = isinstance(x, Variable)
            grads = kernel.project_backward(x_array, w_array, np.ascontiguousarray(grad), with_dx=with_dx)
            _accumulate((x, weight_ih, bias), grads)

        return self.record(value, backward)

    def lstm(self, name: str, call: LSTMCall[Any]) -> States:
        return self.lstms([(name, call)])[0]

    def lstms(self, calls: Sequence[tuple[str, LSTMCall[Any]]]) -> list[States]:
        """The directions of a layer, forward and backward, up to `_MOST_UNITS` units at the same time."""
        if not any(isinstance(part, Variable) for _, call in calls for part in _states_of(call)):
            return [NumpyOps.lstm(self, name, self._arrays(name, call)) for name, call in calls]
        kernels = [self.kernel_of(name) for name, _ in calls]
        arrays = [self._arrays(name, call) for name, call in calls]
        run_all: Callable[[Sequence[Callable[[], Any]]], list[Any]] = in_turn
        if at_once(len(calls)) and arrays[0].h0.shape[1] <= _MOST_UNITS:
            kernels, run_all = [kernel.with_threads(1) for kernel in kernels], concurrently
        runs = run_all([partial(kernel.forward, one) for kernel, one in zip(kernels, arrays, strict=True)])
        saved = [cast(SavedActivations, run.saved) for run in runs]
        states = [
            States(*(Variable(a, self) for a in (run.h, one.c, run.h_T, run.c_T)))
            for run, one in zip(runs, saved, strict=True)
        ]

        def backward() -> None:
            tasks, whose = [], []
            for (_, call), kernel, run, activations, state in zip(calls, kernels, runs, saved, states, strict=True):
                dh, dc, dh_T, dc_T = (None if s.grad is None else np.ascontiguousarray(s.grad) for s in state)
                if dh is None and dc is None and dh_T is None and dc_T is None:
                    continue
                dh_T, dc_T = (np.zeros_like(run.h_T) if d is None else d for d in (dh_T, dc_T))
                inputs = _states_of(call)
                with_dweight = isinstance(inputs[1], Variable)
                tasks.append(partial(kernel.backward, activations, dh, dh_T, dc_T, dc, with_dweight=with_dweight))
                whose.append(inputs)
            for inputs, grads in zip(whose, run_all(tasks), strict=True):
                _accumulate(inputs, grads)

        self._recorded.append(backward)
        return states

    def _arrays(self, name: str, call: LSTMCall[Any]) -> LSTMCall[Array]:
        """The call with arrays in place of variables, and what only a training step or a path of inputs has."""
        pre, weight_hh, h0, c0 = (np.ascontiguousarray(array_of(part)) for part in _states_of(call))
        interpolated = name.startswith("lstm.0.") and not name.endswith(".pads")
        interpolation = self.interpolation if interpolated else None
        mask = None if self.masks is None else self.masks.mask("recurrent", h0.shape, h0.dtype)
        return replace(call, pre=pre, weight_hh=weight_hh, h0=h0, c0=c0, mask=mask, interpolation=interpolation)

    def pad_states(self, name: str, longest: int, most: int, run: Callable[[int], tuple[Any, Any]]) -> tuple[Any, Any]:
        if self.interpolation is None:
            return run(longest)

        def constant(count: int) -> tuple[Array, Array]:
            h, c = run(count)
            return array_of(h), array_of(c)

        return super().pad_states(name, longest, most, constant)

    def zeros(self, like: Any, rows: int, width: int) -> Array:
        return super().zeros(array_of(like), rows, width)

    def concat(self, parts: Sequence[Any], axis: int) -> Any:
        if len(parts) == 1:
            return parts[0]
        value = super().concat([array_of(part) for part in parts], axis)
        if not any(isinstance(part, Variable) for part in parts):
            return value
        ends = np.cumsum([array_of(part).shape[axis] for part in parts])[:-1]

        def backward(grad: Array) -> None:
            for part, cut in zip(parts, np.split(grad, ends, axis=axis), strict=True):
                if isinstance(part, Variable):
                    part.accumulate(cut.copy(), owned=True)

        return self.record(value, backward)

    def converged(self, states: States) -> bool:
        return super().converged(States(*(array_of(part) for part in states)))

    def segment_mean(self, x: Any, lengths: Lengths) -> Any:
        value = super().segment_mean(array_of(x), lengths)
        if not isinstance(x, Variable):
            return value
        count = np.maximum(lengths, 1)[:, None].astype(value.dtype)

        def backward(grad: Array) -> None:
            x.grad = repeat_rows(grad / count, lengths, x.owned_grad())

        return self.record(value, backward)

    def segment_max(self, x: Any, lengths: Lengths) -> Any:
        value = super().segment_max(array_of(x), lengths)
        if not isinstance(x, Variable):
            return value

        def backward(grad: Array) -> None:
            x.grad = max_backward(x.value, value, lengths, grad, x.owned_grad())

        return self.record(value, backward)

    def dropout(self, x: Any, part: str) -> Any:
        value = array_of(x)
        mask = None if self.masks is None else self.masks.of_rows(part, value.shape, value.dtype)
        return x if mask is None else self.multiply(x, mask)

    def multiply(self, x: Any, factor: Array) -> Any:
        """x times a constant array that broadcasts to its shape."""
        value = array_of(x)
        product = value * factor
        if not isinstance(x, Variable):
            return product

        def backward(grad: Array) -> None:
            x.accumulate(grad * factor, owned=True)

        return self.record(product, backward)


def _states_of(call: LSTMCall[Any]) -> tuple[Any, Any, Any, Any]:
    """The arrays of a call that can have a gradient, in the order of `kernels.Backward`."""
    return call.pre, call.weight_hh, call.h0, call.c0


def array_of(x: Any) -> Array:
    """The array of a variable, or the array itself."""
    value: Array = x.value if isinstance(x, Variable) else x
    return value


def _accumulate(arguments: Sequence[Any], grads: Sequence[Array | None]) -> None:
    """Add the results of a kernel, which nothing else holds."""
    for argument, grad in zip(arguments, grads, strict=True):
        if isinstance(argument, Variable) and grad is not None:
            argument.accumulate(grad, owned=True)
