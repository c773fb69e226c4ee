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
    over = np.add if how == "sum" else np.maximum
    starts, full = starts_of(lengths), np.flatnonzero(lengths)
    out = np.zeros((len(lengths), x.shape[1]), dtype=x.dtype)
    if len(full) and x.size > _LARGE * len(full):
        for b in full.tolist():
            over.reduce(x[starts[b] : starts[b] + lengths[b]], axis=0, out=out[b])
    elif len(full):
        out[full] = over.reduceat(x, starts[full])
    return out


def repeat_rows(grad: Array, lengths: Lengths, add_to: Array | None = None) -> Array:
    """Row b of grad (B, H) for every step of sequence b: (N, H), the gradient of x from that of its sum. add_to (N, H):
    it is added to this array, which is returned.
    """
    extension = extension_for(grad, grad if add_to is None else add_to)
    if extension is not None:
        out: Array = extension.repeat_rows(threads(), grad, lengths, int(lengths.sum()), add_to)
        return out
    whole = np.repeat(grad, lengths, axis=0)
    return whole if add_to is None else np.add(add_to, whole, out=add_to)


def max_backward(x: Array, largest: Array, lengths: Lengths, grad: Array, add_to: Array | None = None) -> Array:
    """The gradient (N, H) of x from `grad` (B, H), that of its maximum `largest` (B, H) over each sequence; equal
    maxima share it. add_to: as in `repeat_rows`.
    """
    extension = extension_for(x, largest, grad, x if add_to is None else add_to)
    if extension is not None:
        out: Array = extension.max_backward(threads(), x, largest, grad, lengths, add_to)
        return out
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    where = np.flatnonzero(x == largest[sequence])
    step, unit = np.divmod(where, x.shape[1])
    maximum = sequence[step] * x.shape[1] + unit  # which of the B x H maxima it equals
    share = grad.reshape(-1) / np.maximum(np.bincount(maximum, minlength=largest.size), 1).astype(x.dtype)
    whole = np.zeros_like(x) if add_to is None else add_to
    whole[step, unit] += share[maximum]
    return whole
