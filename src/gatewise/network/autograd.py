"""Gradients of the network without torch: `Ops` that record, so that `network.forward` itself is differentiated.

Reverse-mode automatic differentiation on whole arrays (as in karpathy's micrograd): each operation records a function
that passes the gradient of its result on to its arguments; the recurrence uses the kernel's own backward pass. Pad
states, layers and pooling are therefore defined once, in `network.forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import Interpolation, Kernel, LSTMCall
from gatewise.kernels.ragged import max_backward, starts_of
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.network.ops import NumpyOps, States
from gatewise.types import Array, Lengths

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
    ops = _RecordingOps(kernel, VALUES in inputs, interpolation, memo)
    named: dict[str, Any] = {name: Variable(ops, a) if name in inputs else a for name, a in parameters.items()}
    out = forward(ops, named, arch, batch)
    logits = _array(out)
    if isinstance(out, Variable):
        out.accumulate(dlogits(logits).astype(logits.dtype))
        ops.backward()
    leaves = {name: ops.values if name == VALUES else named[name] for name in inputs}
    return logits, {name: leaf.grad_or_zeros() for name, leaf in leaves.items() if leaf is not None}


class Variable:
    """An array, `value`, and its gradient, `grad`, which accumulates; None while there is none."""

    def __init__(self, ops: _RecordingOps, value: Array) -> None:
        self.ops, self.value = ops, value
        self.grad: Array | None = None
        self._owns_grad = False  # whether nothing else holds `grad`, so that it may change in place

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, rows: slice) -> Any:
        def backward(grad: Array) -> None:
            whole = np.zeros_like(self.value)
            whole[rows] = grad
            self.accumulate(whole)

        return self.ops.record(self.value[rows], backward)

    def accumulate(self, grad: Array) -> None:
        if self.grad is None:
            self.grad = grad
        elif self._owns_grad:
            self.grad += grad
        else:
            self.grad, self._owns_grad = self.grad + grad, True

    def accumulate_repeated(self, grad: Array, lengths: Lengths) -> None:
        """Row b of `grad` (B, H) for every row of sequence b."""
        if self.grad is None:
            self.grad, self._owns_grad = np.repeat(grad, lengths, axis=0), True
            return
        if not self._owns_grad:
            self.grad, self._owns_grad = self.grad.copy(), True
        for row, start, length in zip(grad, starts_of(lengths).tolist(), lengths.tolist(), strict=True):
            self.grad[start : start + length] += row

    def grad_or_zeros(self) -> Array:
        return np.zeros_like(self.value) if self.grad is None else self.grad


class _RecordingOps:
    """`network.ops.Ops` on arrays and `Variable`s. A result that needs no gradient is an array and is not recorded."""

    def __init__(
        self,
        kernel: Kernel | None,
        values_need_grad: bool,
        interpolation: Interpolation | None,
        memo: dict[str, tuple[Array, Array]] | None,
    ) -> None:
        self.numpy = NumpyOps(kernel, memo=memo)
        self.interpolation = interpolation
        self.values: Variable | None = None
        self._values_need_grad = values_need_grad
        self._recorded: list[Callable[[], None]] = []

    def record(self, value: Array, backward: Callable[[Array], None]) -> Variable:
        """A variable for `value`; `backward` is called with its gradient, if there is one."""
        variable = Variable(self, value)
        self._recorded.append(lambda: None if variable.grad is None else backward(variable.grad))
        return variable

    def backward(self) -> None:
        """Pass every gradient on, last operation first."""
        for step in reversed(self._recorded):
            step()
        self._recorded.clear()

    def constant(self, values: Array, like: Any) -> Any:
        array = self.numpy.constant(values, _array(like))
        if not self._values_need_grad:
            return array
        self.values = Variable(self, array)
        return self.values

    def take(self, rows: Any, which: NDArray[np.int64]) -> Any:
        value = self.numpy.take(_array(rows), which)
        if not isinstance(rows, Variable):
            return value
        distinct = bool((np.diff(which) > 0).all())

        def backward(grad: Array) -> None:
            whole = np.zeros_like(rows.value)
            if distinct:
                whole[which] = grad
            else:
                np.add.at(whole, which, grad)
            rows.accumulate(whole)

        return self.record(value, backward)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        value = self.numpy.linear(_array(x), _array(weight), _array(bias))
        if not any(isinstance(part, Variable) for part in (x, weight, bias)):
            return value

        def backward(grad: Array) -> None:
            if isinstance(x, Variable):
                x.accumulate(grad @ _array(weight))  # (U, K) @ (K, D)
            if isinstance(weight, Variable):
                weight.accumulate(grad.T @ _array(x))  # (K, U) @ (U, D)
            if isinstance(bias, Variable):
                bias.accumulate(grad.sum(axis=0))

        return self.record(value, backward)

    def project(self, x: Any, weight_ih: Any, bias: Any) -> Any:
        value = self.numpy.project(_array(x), _array(weight_ih), _array(bias))
        if not any(isinstance(part, Variable) for part in (x, weight_ih, bias)):
            return value
        kernel, (x_array, w_array) = self.numpy.kernel, (np.ascontiguousarray(_array(part)) for part in (x, weight_ih))

        def backward(grad: Array) -> None:
            with_dx = isinstance(x, Variable)
            grads = kernel.project_backward(x_array, w_array, np.ascontiguousarray(grad), with_dx=with_dx)
            _accumulate((x, weight_ih, bias), grads)

        return self.record(value, backward)

    def lstm(self, name: str, call: LSTMCall[Any]) -> States:
        inputs = (call.pre, call.weight_hh, call.h0, call.c0)
        if not any(isinstance(part, Variable) for part in inputs):
            return self.numpy.lstm(name, call)
        kernel, interpolated = self.numpy.kernel, name.startswith("lstm.0.") and not name.endswith(".pads")
        pre, weight_hh, h0, c0 = (np.ascontiguousarray(_array(part)) for part in inputs)
        interpolation = self.interpolation if interpolated else None
        call = replace(call, pre=pre, weight_hh=weight_hh, h0=h0, c0=c0, interpolation=interpolation)
        run = kernel.forward(call)
        saved = run.saved
        assert saved is not None
        states = States(*(Variable(self, a) for a in (run.h, saved.c, run.h_T, run.c_T)))

        def backward() -> None:
            dh, dc, dh_T, dc_T = (None if s.grad is None else np.ascontiguousarray(s.grad) for s in states)
            if dh is None and dc is None and dh_T is None and dc_T is None:
                return
            dh_T, dc_T = (np.zeros_like(run.h_T) if d is None else d for d in (dh_T, dc_T))
            grads = kernel.backward(saved, dh, dh_T, dc_T, dc, with_dweight=isinstance(inputs[1], Variable))
            _accumulate(inputs, grads)

        self._recorded.append(backward)
        return states

    def pad_states(self, name: str, longest: int, most: int, run: Callable[[int], tuple[Any, Any]]) -> tuple[Any, Any]:
        if self.interpolation is None:
            return run(longest)

        def constant(count: int) -> tuple[Array, Array]:
            h, c = run(count)
            return _array(h), _array(c)

        return self.numpy.pad_states(name, longest, most, constant)

    def zeros(self, like: Any, rows: int, width: int) -> Array:
        return self.numpy.zeros(_array(like), rows, width)

    def concat(self, parts: Sequence[Any], axis: int) -> Any:
        if len(parts) == 1:
            return parts[0]
        value = np.concatenate([_array(part) for part in parts], axis=axis)
        if not any(isinstance(part, Variable) for part in parts):
            return value
        ends = np.cumsum([_array(part).shape[axis] for part in parts])[:-1]
        return self.record(value, lambda grad: _accumulate(parts, np.split(grad, ends, axis=axis)))

    def converged(self, states: States) -> bool:
        return self.numpy.converged(States(*(_array(part) for part in states)))

    def segment_mean(self, x: Any, lengths: Lengths) -> Any:
        value = self.numpy.segment_mean(_array(x), lengths)
        if not isinstance(x, Variable):
            return value
        count = np.maximum(lengths, 1)[:, None].astype(value.dtype)
        return self.record(value, lambda grad: x.accumulate_repeated(grad / count, lengths))

    def segment_max(self, x: Any, lengths: Lengths) -> Any:
        value = self.numpy.segment_max(_array(x), lengths)
        if not isinstance(x, Variable):
            return value
        return self.record(value, lambda grad: x.accumulate(max_backward(x.value, value, lengths, grad)))

    def dropout(self, x: Any, part: str) -> Any:
        return x


def _array(x: Any) -> Array:
    value: Array = x.value if isinstance(x, Variable) else x
    return value


def _accumulate(arguments: Sequence[Any], grads: Sequence[Array | None]) -> None:
    for argument, grad in zip(arguments, grads, strict=True):
        if isinstance(argument, Variable) and grad is not None:
            argument.accumulate(grad)
