"""The maximum over each sequence's steps, whose gradient is shared among equal maxima whatever its sign.

`torch.segment_reduce(x, "max")` (2.13) divides a positive gradient among ties and gives a negative one to each of them
whole. Gates of exactly 0 or 1 make such ties: many h are 0. `gatewise.gradient` shares in the same way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatewise.ragged import starts_of

__all__ = ["segment_max"]


def segment_max(x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
    """x (N, H), lengths (B,) with sum N -> (B, H), zero for an empty sequence. Gradients of first order only."""
    largest: Tensor = _SegmentMax.apply(x, lengths)  # type: ignore[no-untyped-call]
    return largest


class _SegmentMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
        values = x.detach().numpy()
        found = np.zeros((len(lengths), x.shape[1]), dtype=values.dtype)
        # One after the other in NumPy: quicker than its reduceat, and nothing that wakes torch's threads.
        for row, start, length in zip(found, starts_of(lengths).tolist(), lengths.tolist(), strict=True):
            if length:
                values[start : start + length].max(axis=0, out=row)  # (length, H) -> (H,)
        largest = torch.from_numpy(found)
        ctx.save_for_backward(x, largest)
        ctx.lengths = lengths
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None]:
        x, largest = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        lengths, units = ctx.lengths, x.shape[1]
        at = np.flatnonzero(x == np.repeat(largest, lengths, axis=0))  # few of the N H numbers
        where = np.repeat(np.arange(len(lengths)), lengths)[at // units] * units + at % units  # of the (B, H) results
        ties = np.bincount(where, minlength=largest.size)
        whole = np.zeros(x.shape, dtype=x.dtype)
        whole.reshape(-1)[at] = (given.numpy().reshape(-1) / np.maximum(ties, 1).astype(x.dtype))[where]
        return torch.from_numpy(whole), None
