"""Array operations of the network, against which `network.forward` is written.

`NumpyOps` serves prediction; its subclass `network.autograd.RecordingOps` serves training and the explanations that
need gradients. There, an array may be a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import Kernel, LSTMCall, SavedActivations, get
from gatewise.kernels.pooling import segment_reduce
from gatewise.types import Array, Lengths


class States(NamedTuple):
    """Result of one LSTM: h and c of every step (N, H), and the state after the last step (B, H)."""

    h: Any
    c: Any
    h_T: Any
    c_T: Any


class NumpyOps:
    """Operations on NumPy arrays and a kernel.

    With `keep`, `saved_activations[name]` collects the activations of each LSTM, in the order of the runs. `memo` holds
    the pad states by name and is for parameters that do not change: they are then computed once, and later runs save no
    activations of the pads.
    """

    def __init__(
        self, kernel: Kernel | None = None, keep: bool = False, memo: dict[str, tuple[Array, Array]] | None = None
    ) -> None:
        self.kernel = kernel or get()
        self.keep = keep
        self.memo = memo
        self.saved_activations: dict[str, list[SavedActivations]] = {}

    def constant(self, values: Array, like: Array) -> Array:
        """A NumPy array as an array with the type and dtype of `like`."""
        return values.astype(like.dtype, copy=False)

    def take(self, rows: Array, which: NDArray[np.int64]) -> Array:
        """rows (U, D), which (K,) -> (K, D)."""
        return rows[which]

    def linear(self, x: Array, weight: Array, bias: Array) -> Array:
        """x (U, D), weight (K, D), bias (K,) -> x weightᵀ + bias (U, K)."""
        with np.errstate(over="ignore", invalid="ignore"):  # the logits are checked (`gatewise.target.check_logits`)
            return x @ weight.T + bias

    def project(self, x: Array, weight_ih: Array, bias: Array) -> Array:
        """The input product of an LSTM by the kernel, in its precision: x (U, D) -> pre (U, 4H)."""
        return self.kernel.project(np.ascontiguousarray(x), np.ascontiguousarray(weight_ih), bias)

    def lstm(self, name: str, call: LSTMCall[Array]) -> States:
        """The recurrence by the kernel; `name` is the prefix of the parameters (`.pads` added for the pad steps)."""
        pads = name.endswith(".pads")  # pad states need c of every step, which only the saved activations hold
        run = self.kernel_of(name).forward(call, keep=self.keep or pads)
        if self.keep and run.saved is not None:
            self.saved_activations.setdefault(name, []).append(run.saved)
        return States(run.h, run.saved.c if run.saved is not None else None, run.h_T, run.c_T)

    def lstms(self, calls: Sequence[tuple[str, LSTMCall[Array]]]) -> list[States]:
        """`lstm` of each call: the directions of a layer, which do not depend on each other."""
        return [self.lstm(name, call) for name, call in calls]

    def kernel_of(self, name: str) -> Kernel:
        """The kernel for the LSTM of this name. With bfloat16 products pad states cycle within one rounding and never
        converge, so that every pad step would run: the native kernel computes them.
        """
        return get("native") if name.endswith(".pads") and self.kernel.name == "bf16" else self.kernel

    def pad_states(
        self, name: str, longest: int, most: int, run: Callable[[int], tuple[Array, Array]]
    ) -> tuple[Array, Array]:
        """`run(longest)`, the states after up to `longest` pads; with a memo `run(most)`, once."""
        if self.memo is None:
            return run(longest)
        if name not in self.memo:
            self.memo[name] = run(most)
        return self.memo[name]

    def zeros(self, like: Array, rows: int, width: int) -> Array:
        """Zeros (rows, width) with the dtype of `like`."""
        return np.zeros((rows, width), dtype=like.dtype)

    def concat(self, parts: Sequence[Array], axis: int) -> Array:
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)

    def converged(self, states: States) -> bool:
        """Whether the last step changed neither h nor c, bit for bit."""
        h, c = states.h, states.c
        return len(h) > 1 and bool(np.array_equal(h[-1], h[-2]) and np.array_equal(c[-1], c[-2]))

    def segment_mean(self, x: Array, lengths: Lengths) -> Array:
        """(N, H) -> (B, H), zero for an empty sequence."""
        return np.asarray(segment_reduce(x, lengths, "sum") / np.maximum(lengths, 1)[:, None].astype(x.dtype))

    def segment_max(self, x: Array, lengths: Lengths) -> Array:
        """(N, H) -> (B, H), zero for an empty sequence."""
        return segment_reduce(x, lengths, "max")

    def dropout(self, x: Array, part: str) -> Array:
        """Dropout on x (K, D) in training; `part` is embedding or output. In prediction, x itself."""
        return x
