"""Adam (Kingma & Ba 2015) on plain arrays, with a sparse form.

    g = scale gradient
    m = β₁ m + (1 - β₁) g
    v = β₂ v + (1 - β₂) g²
    weight = weight - rate m / (√v + epsilon)

`corrected` gives rate and epsilon with the bias corrections of m and v in them.

A table (V, D) of which a batch reads few rows has no gradient in the others, but a step of Adam moves them too, as long
as their m is not 0. The sparse form does their steps later, when a row is read next: before a batch, `catch_up` does
the steps that its rows have missed, after it `step` does the step of the batch on its rows. Together they do the
operations of `step` on all rows in its order, so the table has the same bits.

Float32 runs in the C++ extension, on all permitted threads, where `kernels.get` chooses the native kernel. Otherwise,
and for float64, NumPy runs the same operations in the same order. The extension rounds every operation, so the bits
depend neither on the instruction set nor on the number of threads; its only difference from NumPy is that denormals
count as 0. Results are written in place. Arrays are C-contiguous, of one dtype, and do not overlap; an epsilon is at
least the smallest normal number. The extension refuses shapes and rows that would read or write outside of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels import extension_for, native
from gatewise.kernels.threads import threads
from gatewise.types import Array

Rows = NDArray[np.int64]
_PIECE = 1 << 14  # elements that are squared at a time
_CACHE_LINE = 64  # bytes


def corrected(lr: float, eps: float, beta_1: float, beta_2: float, step: int, keras: bool) -> tuple[float, float]:
    """rate and epsilon of step number `step`, counted from 1, with the bias corrections of m and v.

    rate = lr √(1 - β₂ᵗ) / (1 - β₁ᵗ). epsilon = eps √(1 - β₂ᵗ) as in algorithm 1 of Kingma & Ba (2015) and in PyTorch,
    which add eps to the corrected √v; with `keras`, epsilon = eps ("epsilon hat" of its section 2).
    """
    root = math.sqrt(1 - beta_2**step)
    return lr * root / (1 - beta_1**step), eps if keras else eps * root


def moments(weight: Array) -> tuple[Array, Array]:
    """m and v before the first step: zeros of weight's shape and dtype, at its position in a cache line.

    Then no vector of the three crosses a line in `step`, which is slow in a table that is larger than the caches. Any
    other zeros give the same results.
    """
    found, more = [], _CACHE_LINE // weight.itemsize
    for _ in range(2):
        zeros = np.zeros(weight.size + more, weight.dtype)
        first = (weight.ctypes.data - zeros.ctypes.data) % _CACHE_LINE // weight.itemsize
        found.append(zeros[first : first + weight.size].reshape(weight.shape))
    return found[0], found[1]


def step(
    weight: Array,
    grad: Array,
    m: Array,
    v: Array,
    rows: Rows | None = None,
    *,
    rate: float,
    epsilon: float,
    beta_1: float,
    beta_2: float,
    scale: float = 1.0,
) -> None:
    """One step on arrays of one shape; with `rows` on these distinct rows (R,) int64 of a table (V, D), grad (R, D).

    For the bits of a step on all rows, call `catch_up` for the steps before, and set `last[rows]` to the number of this
    one.
    """
    size = _Size.of(weight.dtype, rate, epsilon, beta_1, beta_2, scale)
    extension = extension_for(weight)
    if extension is not None:
        extension.adam_step(native.isa(), threads(), weight, rows, grad, m, v, *size.floats())
        return
    at = ... if rows is None else rows
    weight[at], m[at], v[at] = size.stepped(weight[at], grad, m[at], v[at])


def catch_up(
    weight: Array,
    rows: Rows | None,
    m: Array,
    v: Array,
    last: NDArray[np.int32] | NDArray[np.int64],
    now: int,
    rates: Array,
    epsilons: Array,
    beta_1: float,
    beta_2: float,
) -> None:
    """The steps last[row] + 1 to `now`, without a gradient, of the distinct `rows` (R,) int64, or of all with None.

    weight, m, v (V, D). last (V,) int32 or int64: each row's last step, at most `now`, set to `now`. rates, epsilons
    (S,) of weight's dtype with S > now: [s] is what `step` takes at step s, counted from 1.
    """
    first = (last if rows is None else last[rows]).astype(np.int64)
    least = int(first.min(initial=now))
    if least == now:
        return
    if rows is not None:
        behind = first < now
        rows, first = rows[behind], first[behind]
    extension = extension_for(weight)
    if extension is not None:
        betas = _Size.of(weight.dtype, 0.0, 1.0, beta_1, beta_2, 1.0).floats()[:4]
        extension.adam_catch_up(native.isa(), threads(), weight, rows, m, v, first, now, rates, epsilons, *betas)
    else:
        every = np.arange(len(weight)) if rows is None else rows
        for s in range(least + 1, now + 1):
            at = every[first < s]
            size = _Size.of(weight.dtype, rates[s], epsilons[s], beta_1, beta_2, 1.0)
            weight[at], m[at], v[at] = size.stepped(weight[at], np.zeros_like(weight[at]), m[at], v[at])
    last[... if rows is None else rows] = now


def squared_norm(arrays: Iterable[Array]) -> float:
    """The sum of the squares of all elements, in float64: the square of the global norm that clipping compares.

    It is summed in pieces of fixed size in a fixed order, so the bits do not depend on the number of threads. Infinite
    and NaN elements give an infinite or NaN sum.
    """
    total = 0.0
    for array in arrays:
        extension = extension_for(array)
        if extension is not None:
            total += extension.sum_of_squares(native.isa(), threads(), array)
            continue
        flat = array.reshape(-1)
        with np.errstate(over="ignore"):
            for at in range(0, len(flat), _PIECE):
                total += float(np.square(flat[at : at + _PIECE], dtype=np.float64).sum())
    return total


class _Size(NamedTuple):
    """The numbers of a step, as scalars of the weight's dtype."""

    beta_1: Any
    rest_1: Any  # 1 - beta, which is rounded once
    beta_2: Any
    rest_2: Any
    rate: Any
    epsilon: Any
    scale: Any

    @classmethod
    def of(cls, dtype: Any, rate: float, epsilon: float, beta_1: float, beta_2: float, scale: float) -> _Size:
        """Of these numbers."""
        return cls(*map(dtype.type, (beta_1, 1 - beta_1, beta_2, 1 - beta_2, rate, epsilon, scale)))

    def floats(self) -> list[float]:
        """The fields as the extension takes them."""
        return [float(number) for number in self]

    def stepped(self, weight: Array, grad: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
        """weight, m and v after the step. src/native/adam.cpp does the same operations in the same order."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            g = self.scale * grad
            m = self.beta_1 * m + self.rest_1 * g
            v = self.beta_2 * v + self.rest_2 * (g * g)
            return weight - self.rate * m / (np.sqrt(v) + self.epsilon), m, v
