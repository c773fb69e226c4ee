"""Pooling over the steps of each sequence of a ragged batch, and its gradients.

x (N, H) has the steps of B sequences of `lengths` (B,) one after the other, see `gatewise.ragged`. Float32
runs in the C++ extension on all permitted threads where `kernels.get` chooses the native kernel and the arrays are
contiguous; otherwise NumPy computes the same, up to the order of a sum. All arrays have one dtype. `Batch` makes
the lengths; the extension checks whatever selects memory.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from gatewise.kernels import extension_for
from gatewise.kernels.threads import threads
from gatewise.ragged import starts_of
from gatewise.types import Array, Lengths

_LARGE = 2048  # numbers per sequence above which NumPy's reduceat is slower than one reduce per sequence


def segment_reduce(x: Array, lengths: Lengths, how: Literal["sum", "max"]) -> Array:
    """The sum or the maximum over each sequence (B, H), 0 for an empty one."""
    extension = extension_for(x)
    if extension is not None:
        reduced: Array = extension.segment_reduce(threads(), how == "max", x, lengths)
        return reduced
    operation: np.ufunc = np.add
    if how == "max":
        operation = np.maximum
    starts = starts_of(lengths)
    not_empty = np.flatnonzero(lengths)
    out = np.zeros((len(lengths), x.shape[1]), dtype=x.dtype)
    if len(not_empty) == 0:
        return out
    if x.size > _LARGE * len(not_empty):
        for b in not_empty.tolist():
            operation.reduce(x[starts[b] : starts[b] + lengths[b]], axis=0, out=out[b])
    else:
        out[not_empty] = operation.reduceat(x, starts[not_empty])
    return out


def repeat_rows(grad: Array, lengths: Lengths, add_to: Array | None = None) -> Array:
    """The gradient (N, H) of x from the gradient `grad` (B, H) of its sum: row b for every step of sequence b. add_to
    (N, H): an array to which the gradient is added, and which is returned.
    """
    arrays = [grad] if add_to is None else [grad, add_to]
    extension = extension_for(*arrays)
    if extension is not None:
        out: Array = extension.repeat_rows(threads(), grad, lengths, int(lengths.sum()), add_to)
        return out
    repeated = np.repeat(grad, lengths, axis=0)
    if add_to is None:
        return repeated
    add_to += repeated
    return add_to


def max_backward(x: Array, largest: Array, lengths: Lengths, grad: Array, add_to: Array | None = None) -> Array:
    """The gradient (N, H) of x from the gradient `grad` (B, H) of its maximum `largest` (B, H) over each sequence.
    Equal maxima share it. add_to: as in `repeat_rows`.
    """
    arrays = [x, largest, grad] if add_to is None else [x, largest, grad, add_to]
    extension = extension_for(*arrays)
    if extension is not None:
        out: Array = extension.max_backward(threads(), x, largest, grad, lengths, add_to)
        return out
    sequence = np.repeat(np.arange(len(lengths)), lengths)  # (N,)
    step, unit = np.nonzero(x == largest[sequence])  # the places of the maxima
    maximum = sequence[step] * x.shape[1] + unit  # the number of the maximum among B x H
    ties = np.bincount(maximum, minlength=largest.size)
    share = grad.reshape(-1) / np.maximum(ties, 1).astype(x.dtype)
    if add_to is None:
        add_to = np.zeros_like(x)
    add_to[step, unit] += share[maximum]
    return add_to
