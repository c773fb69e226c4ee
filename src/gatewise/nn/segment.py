"""The mean and the maximum over each sequence's steps, with gradients that are fast and fair.

`torch.segment_reduce` (2.13) writes the gradient of a mean number by number, which took a fifth of a step of
fine-tuning: it is one row a sequence, repeated. Its gradient of "max" divides a positive one among ties and gives a
negative one to each of them whole; here equal maxima share it whatever its sign. Gates of exactly 0 or 1 make such
ties: many h are 0. `network.autograd` shares in the same way. All of it in NumPy: it wakes none of torch's threads.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatewise.kernels.ragged import max_backward, reduced

__all__ = ["segment_max", "segment_mean"]


def segment_mean(x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
    """x (N, H), lengths (B,) with sum N -> (B, H), zero for an empty sequence. Gradients of first order only."""
    mean: Tensor = _SegmentMean.apply(x, lengths)  # type: ignore[no-untyped-call]
    return mean


def segment_max(x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
    """x (N, H), lengths (B,) with sum N -> (B, H), zero for an empty sequence. Gradients of first order only."""
    largest: Tensor = _SegmentMax.apply(x, lengths)  # type: ignore[no-untyped-call]
    return largest


class _SegmentMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
        values = x.detach().numpy()
        ctx.lengths, ctx.count = lengths, np.maximum(lengths, 1)[:, None].astype(values.dtype)
        return torch.from_numpy(reduced(np.add, values, lengths) / ctx.count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None]:
        return torch.from_numpy(np.repeat(given.numpy() / ctx.count, ctx.lengths, axis=0)), None


class _SegmentMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
        values = x.detach().numpy()
        largest = torch.from_numpy(reduced(np.maximum, values, lengths))
        ctx.save_for_backward(x, largest)
        ctx.lengths = lengths
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None]:
        x, largest = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        return torch.from_numpy(max_backward(x, largest, ctx.lengths, given.numpy())), None
