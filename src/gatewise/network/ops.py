"""The seam between the network's one definition and the arrays that it runs on.

`network.forward` is written once, against `Ops`. `NumpyOps` here is for prediction and the glass box; `gatewise.nn` has
the same for torch tensors, for training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import Kernel, SavedActivations, get
from gatewise.kernels.ragged import reduced
from gatewise.types import Array, Gate

__all__ = ["NumpyOps", "Ops", "States", "never_converges"]


class States(NamedTuple):
    """What an LSTM layer gives: h and c of every step (N, H), and the state after the last (B, H)."""

    h: Any
    c: Any
    h_T: Any
    c_T: Any


class Ops(Protocol):
    """Array operations; `Any` is the array type of the implementation."""

    def constant(self, values: Array, like: Any) -> Any:
        """A NumPy array as an array of the kind and dtype of `like`."""
        ...

    def take(self, rows: Any, which: NDArray[np.int64]) -> Any:
        """rows (U, D), which (K,) -> (K, D)."""
        ...

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        """x (U, D), weight (K, D), bias (K,) -> x weightᵀ + bias (U, K)."""
        ...

    def project(self, x: Any, weight_ih: Any, bias: Any) -> Any:
        """`linear` by the kernel, in its precision: the input product of an LSTM, x (U, D) -> pre (U, 4H)."""
        ...

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
        """The kernel's recurrence; `name` is the parameters' prefix, for whoever keeps the tapes."""
        ...

    def pad_states(self, name: str, longest: int, most: int, run: Callable[[int], tuple[Any, Any]]) -> tuple[Any, Any]:
        """`run(longest)`, the states of `longest` pads; where parameters cannot change, those of `most`, once."""
        ...

    def zeros(self, like: Any, rows: int, width: int) -> Any:
        """(rows, width) zeros of the kind of `like`."""
        ...

    def concat(self, parts: Sequence[Any], axis: int) -> Any: ...

    def converged(self, states: States) -> bool:
        """Whether the last step changed neither h nor c, bit for bit."""
        ...

    def segment_mean(self, x: Any, lengths: NDArray[np.int64]) -> Any:
        """(N, H) -> (B, H), zero for an empty sequence."""
        ...

    def segment_max(self, x: Any, lengths: NDArray[np.int64]) -> Any:
        """(N, H) -> (B, H), zero for an empty sequence."""
        ...

    def dropout(self, x: Any, part: str) -> Any:
        """`x` (K, D) with what training drops of it; `part` is embedding, layer or output. For prediction: `x`
        itself.
        """
        ...


def never_converges(kernel: str) -> bool:
    """Whether the states of the pads must be left to another kernel: in bfloat16 they go round in circles as large as
    a rounding, so that every pad would be run.
    """
    return kernel == "bf16"


class NumpyOps:
    """`Ops` on NumPy arrays and a kernel. With `keep`, each LSTM's tapes stay in `tapes[name]`, in the order of the
    runs. `memo` belongs to parameters that do not change: what depends on nothing else is kept in it, by name, and is
    run once; where it was kept, there are no tapes of the pads.
    """

    def __init__(
        self, kernel: Kernel | None = None, keep: bool = False, memo: dict[str, tuple[Array, Array]] | None = None
    ) -> None:
        self.kernel = kernel or get()
        self.keep = keep
        self.memo = memo
        self.saved_activations: dict[str, list[SavedActivations]] = {}

    def constant(self, values: Array, like: Array) -> Array:
        return values.astype(like.dtype, copy=False)

    def take(self, rows: Array, which: NDArray[np.int64]) -> Array:
        return rows[which]

    def linear(self, x: Array, weight: Array, bias: Array) -> Array:
        return x @ weight.T + bias

    def project(self, x: Array, weight_ih: Array, bias: Array) -> Array:
        return self.kernel.project(np.ascontiguousarray(x), np.ascontiguousarray(weight_ih), bias)

    def lstm(
        self,
        name: str,
        pre: Array,
        index: NDArray[np.int32] | None,
        lengths: NDArray[np.int64],
        weight_hh: Array,
        h0: Array,
        c0: Array,
        reverse: bool,
        gate: Gate,
    ) -> States:
        # The trajectory of the pads needs c of every step, and only the tape has it.
        pads = name.endswith(".pads")
        keep = self.keep or pads
        kernel = get("native") if pads and never_converges(self.kernel.name) else self.kernel
        run = kernel.forward(pre, index, lengths, weight_hh, h0, c0, reverse=reverse, gate=gate, keep=keep)
        if self.keep and run.saved is not None:
            self.saved_activations.setdefault(name, []).append(run.saved)
        return States(run.h, run.saved.c if run.saved is not None else None, run.h_T, run.c_T)

    def pad_states(
        self, name: str, longest: int, most: int, run: Callable[[int], tuple[Array, Array]]
    ) -> tuple[Array, Array]:
        if self.memo is None:
            return run(longest)
        if name not in self.memo:
            self.memo[name] = run(most)
        return self.memo[name]

    def zeros(self, like: Array, rows: int, width: int) -> Array:
        return np.zeros((rows, width), dtype=like.dtype)

    def concat(self, parts: Sequence[Array], axis: int) -> Array:
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis)

    def converged(self, states: States) -> bool:
        h, c = states.h, states.c
        return len(h) > 1 and bool(np.array_equal(h[-1], h[-2]) and np.array_equal(c[-1], c[-2]))

    def segment_mean(self, x: Array, lengths: NDArray[np.int64]) -> Array:
        return np.asarray(reduced(np.add, x, lengths) / np.maximum(lengths, 1)[:, None].astype(x.dtype))

    def segment_max(self, x: Array, lengths: NDArray[np.int64]) -> Array:
        return reduced(np.maximum, x, lengths)

    def dropout(self, x: Array, part: str) -> Array:
        return x
