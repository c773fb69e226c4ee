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

from gatewise.architecture import Architecture
from gatewise.batch import Batch
from gatewise.cell import Array, Gate
from gatewise.kernels import Kernel
from gatewise.network import forward
from gatewise.ops import NumpyOps, States

__all__ = ["VALUES", "gradients"]

VALUES = "values"  # the name of a series' own numbers, beside those of the parameters


def gradients(
    parameters: Mapping[str, Array],
    arch: Architecture,
    batch: Batch,
    dlogits: Callable[[Array], Array],
    wanted: Collection[str],
    kernel: Kernel | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Logits (B, outputs) of a batch, and the gradient of Σ logits · dlogits(logits) with the second factor held fixed.

    wanted: names of parameters, or VALUES for the batch's channels; the gradient of each has its shape and dtype. One
    tape a run, in the kernel's dtype; with gate="binary" the straight-through gradient (see `gatewise.cell`).
    """
    ops = _Recorder(kernel, VALUES in wanted)
    held: dict[str, Any] = {name: _Node(ops, a) if name in wanted else a for name, a in parameters.items()}
    out = forward(ops, held, arch, batch)
    logits = _array(out)
    if isinstance(out, _Node):
        out.add(dlogits(logits).astype(logits.dtype))
        ops.send_back()
    leaves = {name: ops.values if name == VALUES else held[name] for name in wanted}
    return logits, {name: leaf.gradient() for name, leaf in leaves.items() if leaf is not None}


class _Node:
    """An array whose gradient is wanted."""

    def __init__(self, ops: _Recorder, value: Array) -> None:
        self.ops, self.value = ops, value
        self.received: Array | None = None

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, rows: slice) -> Any:
        def back(given: Array) -> None:
            whole = np.zeros_like(self.value)
            whole[rows] = given
            self.add(whole)

        return self.ops.record(self.value[rows], back)

    def add(self, given: Array) -> None:
        self.received = given if self.received is None else self.received + given

    def gradient(self) -> Array:
        return np.zeros_like(self.value) if self.received is None else self.received


class _Recorder:
    """`gatewise.ops.Ops` on arrays and `_Node`s. What needs no gradient stays an array and leaves no trace."""

    def __init__(self, kernel: Kernel | None, values: bool) -> None:
        self.plain = NumpyOps(kernel)
        self.values: _Node | None = None
        self._wants_values = values
        self._list: list[Callable[[], None]] = []

    def record(self, value: Array, back: Callable[[Array], None]) -> _Node:
        """A node for `value`; `back` is called with its gradient, if there is any."""
        node = _Node(self, value)
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
        self.values = _Node(self, plain)
        return self.values

    def take(self, rows: Any, which: NDArray[np.int64]) -> Any:
        value = self.plain.take(_array(rows), which)
        if not isinstance(rows, _Node):
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
        if not any(isinstance(part, _Node) for part in (x, weight, bias)):
            return value

        def back(given: Array) -> None:
            if isinstance(x, _Node):
                x.add(given @ _array(weight))  # (U, K) @ (K, D)
            if isinstance(weight, _Node):
                weight.add(given.T @ _array(x))  # (K, U) @ (U, D)
            if isinstance(bias, _Node):
                bias.add(given.sum(axis=0))

        return self.record(value, back)

    def project(self, x: Any, weight_ih: Any, bias: Any) -> Any:
        value = self.plain.project(_array(x), _array(weight_ih), _array(bias))
        if not any(isinstance(part, _Node) for part in (x, weight_ih, bias)):
            return value
        kernel, plain_x, plain_w = self.plain.kernel, *(np.ascontiguousarray(_array(part)) for part in (x, weight_ih))

        def back(given: Array) -> None:
            with_dx = isinstance(x, _Node)
            found = kernel.project_backward(plain_x, plain_w, np.ascontiguousarray(given), with_dx=with_dx)
            for part, gradient in zip((x, weight_ih, bias), found, strict=True):
                if isinstance(part, _Node) and gradient is not None:
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
        if not any(isinstance(part, _Node) for part in inputs):
            return self.plain.lstm(name, pre, index, lengths, weight_hh, h0, c0, reverse, gate)
        kernel, arrays = self.plain.kernel, [np.ascontiguousarray(_array(part)) for part in inputs]
        run = kernel.forward(arrays[0], index, lengths, *arrays[1:], reverse=reverse, gate=gate, keep=True)
        tape = run.tape
        assert tape is not None
        states = States(*(_Node(self, a) for a in (run.h, tape.c, run.h_T, run.c_T)))

        def back() -> None:
            dh, dc, dh_T, dc_T = (None if s.received is None else np.ascontiguousarray(s.received) for s in states)
            if dh is None and dc is None and dh_T is None and dc_T is None:
                return
            nothing = np.zeros_like(run.h_T)
            found = kernel.backward(tape, dh, nothing if dh_T is None else dh_T, nothing if dc_T is None else dc_T, dc)
            for part, gradient in zip(inputs, found, strict=True):
                if isinstance(part, _Node):
                    part.add(gradient)

        self._list.append(back)
        return states

    def trajectory(self, name: str, longest: int, most: int, run: Callable[[int], tuple[Any, Any]]) -> tuple[Any, Any]:
        return run(longest)

    def zeros(self, like: Any, rows: int, width: int) -> Array:
        return self.plain.zeros(_array(like), rows, width)

    def concat(self, parts: Sequence[Any], axis: int) -> Any:
        if len(parts) == 1:
            return parts[0]
        value = np.concatenate([_array(part) for part in parts], axis=axis)
        if not any(isinstance(part, _Node) for part in parts):
            return value
        ends = np.cumsum([_array(part).shape[axis] for part in parts])[:-1]

        def back(given: Array) -> None:
            for part, share in zip(parts, np.split(given, ends, axis=axis), strict=True):
                if isinstance(part, _Node):
                    part.add(share)

        return self.record(value, back)

    def settled(self, states: States) -> bool:
        return self.plain.settled(States(*(_array(part) for part in states)))

    def segment_mean(self, x: Any, lengths: NDArray[np.int64]) -> Any:
        value = self.plain.segment_mean(_array(x), lengths)
        if not isinstance(x, _Node):
            return value
        count = np.maximum(lengths, 1)[:, None].astype(value.dtype)
        return self.record(value, lambda given: x.add(np.repeat(given / count, lengths, axis=0)))

    def segment_max(self, x: Any, lengths: NDArray[np.int64]) -> Any:
        value = self.plain.segment_max(_array(x), lengths)
        if not isinstance(x, _Node):
            return value

        def back(given: Array) -> None:
            largest = (x.value == np.repeat(value, lengths, axis=0)).astype(value.dtype)  # (N, H)
            ties = self.plain.segment_mean(largest, lengths) * np.maximum(lengths, 1)[:, None].astype(value.dtype)
            x.add(largest * np.repeat(given / np.maximum(ties, 1), lengths, axis=0))  # those on a par share it

        return self.record(value, back)

    def dropout(self, x: Any, part: str) -> Any:
        return x


def _array(x: Any) -> Array:
    value: Array = x.value if isinstance(x, _Node) else x
    return value
