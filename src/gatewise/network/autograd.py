"""The network backwards without torch: `Ops` that remember, so that `network.forward` itself can be differentiated.

Each operation leaves on a list what sends its result's gradient on to what went in (reverse mode, as in karpathy's
micrograd, on whole arrays); the recurrence goes through the kernel's own backward. So there is no second definition of
the network: the pads' trajectory, every layer and every pooling are the lines that predict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import Interpolation, Kernel
from gatewise.kernels.ragged import max_backward
from gatewise.network.architecture import Architecture
from gatewise.network.batch import Batch
from gatewise.network.forward import forward
from gatewise.network.node import Variable
from gatewise.network.ops import NumpyOps, States
from gatewise.types import Array, Gate

__all__ = ["VALUES", "gradients"]

VALUES = "values"  # the name of a series' own numbers, beside those of the parameters


def gradients(
    parameters: Mapping[str, Array],
    arch: Architecture,
    batch: Batch,
    dlogits: Callable[[Array], Array],
    wanted: Collection[str],
    kernel: Kernel | None = None,
    *,
    drawn: Interpolation | None = None,
    memo: dict[str, tuple[Array, Array]] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Logits (B, outputs) of a batch, and the gradient of Σ logits · dlogits(logits) with the second factor held fixed.

    wanted: names of parameters, or VALUES for the batch's channels; the gradient of each has its shape and dtype. One
    tape a run, in the kernel's dtype; with gate="binary" the straight-through gradient (see `gatewise.cell`).

    drawn: the first layer's input rows are drawn from others (see `kernels.contract`), while the pads before them,
    whose states may be in `memo`, stay what they are. A row's gradient is then the sum of those of its places on the
    way.
    """
    ops = _Recorder(kernel, VALUES in wanted, drawn, memo)
    held: dict[str, Any] = {name: Variable(ops, a) if name in wanted else a for name, a in parameters.items()}
    out = forward(ops, held, arch, batch)
    logits = _array(out)
    if isinstance(out, Variable):
        out.add(dlogits(logits).astype(logits.dtype))
        ops.send_back()
    leaves = {name: ops.values if name == VALUES else held[name] for name in wanted}
    return logits, {name: leaf.gradient() for name, leaf in leaves.items() if leaf is not None}


class _Recorder:
    """`network.ops.Ops` on arrays and `Variable`s. What needs no gradient stays an array and leaves no trace."""

    def __init__(
        self,
        kernel: Kernel | None,
        values: bool,
        drawn: Interpolation | None = None,
        memo: dict[str, tuple[Array, Array]] | None = None,
    ) -> None:
        self.plain = NumpyOps(kernel, memo=memo)
        self.drawn = drawn
        self.values: Variable | None = None
        self._wants_values = values
        self._list: list[Callable[[], None]] = []

    def record(self, value: Array, back: Callable[[Array], None]) -> Variable:
        """A node for `value`; `back` is called with its gradient, if there is any."""
        node = Variable(self, value)
        self._list.append(lambda: None if node.received is None else back(node.received))
        return node

    def send_back(self) -> None:
        """Every gradient to where it came from, last operation first."""
        for step in reversed(self._list):
            step()
        self._list.clear()

    def constant(self, values: Array, like: Any) -> Any:
        plain = self.plain.constant(values, _array(like))
        if not self._wants_values:
            return plain
        self.values = Variable(self, plain)
        return self.values

    def take(self, rows: Any, which: NDArray[np.int64]) -> Any:
        value = self.plain.take(_array(rows), which)
        if not isinstance(rows, Variable):
            return value
        ascending = bool((np.diff(which) > 0).all())

        def back(given: Array) -> None:
            whole = np.zeros_like(rows.value)
            if ascending:  # no row twice
                whole[which] = given
            else:
                np.add.at(whole, which, given)
            rows.add(whole)

        return self.record(value, back)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        value = self.plain.linear(_array(x), _array(weight), _array(bias))
        if not any(isinstance(part, Variable) for part in (x, weight, bias)):
            return value

        def back(given: Array) -> None:
            if isinstance(x, Variable):
                x.add(given @ _array(weight))  # (U, K) @ (K, D)
            if isinstance(weight, Variable):
                weight.add(given.T @ _array(x))  # (K, U) @ (U, D)
            if isinstance(bias, Variable):
                bias.add(given.sum(axis=0))

        return self.record(value, back)

    def project(self, x: Any, weight_ih: Any, bias: Any) -> Any:
        value = self.plain.project(_array(x), _array(weight_ih), _array(bias))
        if not any(isinstance(part, Variable) for part in (x, weight_ih, bias)):
            return value
        kernel, plain_x, plain_w = self.plain.kernel, *(np.ascontiguousarray(_array(part)) for part in (x, weight_ih))

        def back(given: Array) -> None:
            with_dx = isinstance(x, Variable)
            found = kernel.project_backward(plain_x, plain_w, np.ascontiguousarray(given), with_dx=with_dx)
            for part, gradient in zip((x, weight_ih, bias), found, strict=True):
                if isinstance(part, Variable) and gradient is not None:
                    part.add(gradient)

        return self.record(value, back)

    def lstm(
        self,
        name: str,
        pre: Any,
        index: NDArray[np.int32] | None,
        lengths: NDArray[np.int64],
        weight_hh: Any,
        h0: Any,
        c0: Any,
        reverse: bool,
        gate: Gate,
    ) -> States:
        inputs = (pre, weight_hh, h0, c0)
        if not any(isinstance(part, Variable) for part in inputs):
            return self.plain.lstm(name, pre, index, lengths, weight_hh, h0, c0, reverse, gate)
        kernel, arrays = self.plain.kernel, [np.ascontiguousarray(_array(part)) for part in inputs]
        drawn = self.drawn if name.startswith("lstm.0.") and not name.endswith(".pads") else None
        run = kernel.forward(arrays[0], index, lengths, *arrays[1:], reverse=reverse, gate=gate, drawn=drawn)
        saved = run.saved
        assert saved is not None
        states = States(*(Variable(self, a) for a in (run.h, saved.c, run.h_T, run.c_T)))

        def back() -> None:
            dh, dc, dh_T, dc_T = (None if s.received is None else np.ascontiguousarray(s.received) for s in states)
            if dh is None and dc is None and dh_T is None and dc_T is None:
                return
            dh_T, dc_T = (np.zeros_like(run.h_T) if d is None else d for d in (dh_T, dc_T))
            found = kernel.backward(saved, dh, dh_T, dc_T, dc, with_dweight=isinstance(weight_hh, Variable))
            for part, gradient in zip(inputs, found, strict=True):
                if isinstance(part, Variable) and gradient is not None:
                    part.add(gradient)

        self._list.append(back)
        return states

    def pad_states(self, name: str, longest: int, most: int, run: Callable[[int], tuple[Any, Any]]) -> tuple[Any, Any]:
        if self.drawn is None:
            return run(longest)

        def constant(count: int) -> tuple[Array, Array]:
            h, c = run(count)
            return _array(h), _array(c)

        return self.plain.pad_states(name, longest, most, constant)

    def zeros(self, like: Any, rows: int, width: int) -> Array:
        return self.plain.zeros(_array(like), rows, width)

    def concat(self, parts: Sequence[Any], axis: int) -> Any:
        if len(parts) == 1:
            return parts[0]
        value = np.concatenate([_array(part) for part in parts], axis=axis)
        if not any(isinstance(part, Variable) for part in parts):
            return value
        ends = np.cumsum([_array(part).shape[axis] for part in parts])[:-1]

        def back(given: Array) -> None:
            for part, share in zip(parts, np.split(given, ends, axis=axis), strict=True):
                if isinstance(part, Variable):
                    part.add(share)

        return self.record(value, back)

    def converged(self, states: States) -> bool:
        return self.plain.converged(States(*(_array(part) for part in states)))

    def segment_mean(self, x: Any, lengths: NDArray[np.int64]) -> Any:
        value = self.plain.segment_mean(_array(x), lengths)
        if not isinstance(x, Variable):
            return value
        count = np.maximum(lengths, 1)[:, None].astype(value.dtype)
        return self.record(value, lambda given: x.accumulate_repeated(given / count, lengths))

    def segment_max(self, x: Any, lengths: NDArray[np.int64]) -> Any:
        value = self.plain.segment_max(_array(x), lengths)
        if not isinstance(x, Variable):
            return value

        def back(given: Array) -> None:
            x.add(max_backward(x.value, value, lengths, given))

        return self.record(value, back)

    def dropout(self, x: Any, part: str) -> Any:
        return x


def _array(x: Any) -> Array:
    value: Array = x.value if isinstance(x, Variable) else x
    return value
