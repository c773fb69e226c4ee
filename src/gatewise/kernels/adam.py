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
count as 0. Results are written in place. Arrays are C-contiguous, of one dtype, and do not overlap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import InputError
from gatewise.kernels import extension_for, native
from gatewise.kernels.threads import threads
from gatewise.types import Array

Rows = NDArray[np.int64]
_PIECE = 1 << 14  # elements that are squared at a time
_CACHE_LINE = 64  # bytes


def corrected(lr: float, eps: float, beta_1: float, beta_2: float, step: int, keras: bool) -> tuple[float, float]:
    """rate and epsilon of step number `step`, counted from 1, with the bias corrections of m and v.

    rate = lr √(1 - β₂ᵗ) / (1 - β₁ᵗ). epsilon = eps √(1 - β₂ᵗ) as in algorithm 1 of Kingma & Ba (2015) and in PyTorch,
    which add eps to the corrected √v; with `keras`, epsilon = eps ("epsilon hat" of its section 2). Raises InputError
    for a step below 1.
    """
    if step < 1:
        raise InputError(f"step: the first step of Adam is 1, not {step}")
    _check_betas(beta_1, beta_2)
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
    one. Raises InputError for arrays or numbers that do not fit.
    """
    if rows is not None:
        _check_table(weight, rows)
    _check_arrays(weight, m, v, grad, rows)
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

    weight, m, v (V, D). last (V,) int32 or int64: each row's last step, set to `now`. rates, epsilons (S,) of
    weight's dtype with S > now: [s] is what `step` takes at step s, counted from 1. Raises InputError for arrays that
    do not fit, for a row that is ahead of `now`, and for an epsilon that is not above 0.
    """
    _check_table(weight, rows)
    _check_arrays(weight, m, v, None, rows)
    if last.shape != weight.shape[:1] or last.dtype not in (np.int32, np.int64) or not last.flags.writeable:
        raise InputError(f"last: expected ({len(weight)},) int32 or int64, got {last.shape} {last.dtype}")
    for name, array in (("rates", rates), ("epsilons", epsilons)):
        if array.ndim != 1 or array.dtype != weight.dtype or not (array.flags.c_contiguous and array.flags.aligned):
            raise InputError(f"{name}: expected (S,) {weight.dtype}, contiguous; got {array.shape} {array.dtype}")
        if len(array) <= now:
            raise InputError(f"{name}: {len(array)} numbers do not reach step {now}")
    _check_betas(beta_1, beta_2)
    first = (last if rows is None else last[rows]).astype(np.int64)
    if not len(first):
        return
    least, most = int(first.min()), int(first.max())
    if least < 0 or most > now:
        raise InputError(f"last: steps must be from 0 to {now}, found {least} to {most}")
    if least == now:
        return
    smallest = np.finfo(weight.dtype).tiny
    if not (epsilons[least + 1 : now + 1] >= smallest).all():
        raise InputError(f"epsilons must be at least {smallest:.3g} from step {least + 1} to {now}")
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
    and NaN elements give an infinite or NaN sum. Raises InputError for an array that is not C-contiguous float32 or
    float64.
    """
    total = 0.0
    for n, array in enumerate(arrays):
        _check_array(f"array {n}", array)
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
        """Raises InputError for numbers with which no step is possible."""
        _check_betas(beta_1, beta_2)
        # An epsilon below the smallest normal number counts as 0, and 0 / 0 is NaN where nothing had a gradient yet.
        least, most = float(np.finfo(dtype).tiny), float(np.finfo(dtype).max)
        for name, number in (("rate", rate), ("scale", scale)):
            if not abs(number) <= most:
                raise InputError(f"{name} must be a finite {dtype}, not {number}")
        if not least <= epsilon <= most:
            raise InputError(f"epsilon must be at least {least:.3g}, not {epsilon}")
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


def _check_betas(beta_1: float, beta_2: float) -> None:
    for name, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
        if not 0 <= beta < 1:
            raise InputError(f"{name} must be at least 0 and below 1, not {beta}")


def _check_array(name: str, array: Array) -> None:
    if array.dtype not in (np.float32, np.float64):
        raise InputError(f"{name}: Adam computes in float32 or float64, not {array.dtype}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise InputError(f"{name} must be C-contiguous and aligned")


def _check_arrays(weight: Array, m: Array, v: Array, grad: Array | None, rows: Rows | None) -> None:
    """Raise InputError, naming the array, unless weight, m and v have one shape, grad that of the rows, all have one
    dtype, and none overlap.
    """
    named = {"weight": weight, "m": m, "v": v} | ({} if grad is None else {"grad": grad})
    for name, array in named.items():
        _check_array(name, array)
        if array.dtype != weight.dtype:
            raise InputError(f"{name} is {array.dtype}, weight is {weight.dtype}: their dtypes must be equal")
        expected = weight.shape if name != "grad" or rows is None else (len(rows), *weight.shape[1:])
        if array.shape != expected:
            raise InputError(f"{name}: expected {expected}, got {array.shape}")
        if name != "grad" and not array.flags.writeable:
            raise InputError(f"{name} is read-only")
    for (name, array), (other, another) in combinations(named.items(), 2):
        if np.may_share_memory(array, another):  # exact, since both are contiguous
            raise InputError(f"{name} and {other} share memory")


def _check_table(weight: Array, rows: Rows | None) -> None:
    """Raise InputError unless weight is a table (V, D) and `rows` are distinct rows of it."""
    if weight.ndim != 2:
        raise InputError(f"weight: expected (V, D), got {weight.shape}")
    if rows is None:
        return
    if rows.ndim != 1 or rows.dtype != np.int64 or not (rows.flags.c_contiguous and rows.flags.aligned):
        raise InputError(f"rows: expected (R,) int64, contiguous; got {rows.shape} {rows.dtype}")
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(weight):
        raise InputError(f"rows must be from 0 to {len(weight) - 1}, found {int(rows.min())} to {int(rows.max())}")
    if not (rows[1:] > rows[:-1]).all() and len(np.unique(rows)) != len(rows):
        raise InputError("rows must be distinct")
