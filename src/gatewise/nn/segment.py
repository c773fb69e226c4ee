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

from gatewise.ragged import max_backward, reduced

__all__ = ["segment_max"]


def segment_max(x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
    """x (N, H), lengths (B,) with sum N -> (B, H), zero for an empty sequence. Gradients of first order only."""
    largest: Tensor = _SegmentMax.apply(x, lengths)  # type: ignore[no-untyped-call]
    return largest


class _SegmentMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: NDArray[np.int64]) -> Tensor:
        values = x.detach().numpy()
        largest = torch.from_numpy(reduced(np.maximum, values, lengths))  # in NumPy: it wakes none of torch's threads
        ctx.save_for_backward(x, largest)
        ctx.lengths = lengths
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None]:
        x, largest = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        return torch.from_numpy(max_backward(x, largest, ctx.lengths, given.numpy())), None
