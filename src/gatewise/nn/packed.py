"""Between torch's PackedSequence, step by step, and ragged rows, sequence by sequence."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["packed_rows"]


def packed_rows(batch_sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """lengths (B,), index (N,) int32, back (N,) from the `batch_sizes (T,)` of a PackedSequence.

    A PackedSequence holds step 0 of all B sequences, then step 1 of those that have one, and so on; the longest come
    first. `index` says which of its rows each ragged step is, and `back` which ragged row each of its rows is.

    >>> lengths, index, back = packed_rows(torch.tensor([2, 1, 1]))  # a0 b0 a1 a2
    >>> lengths.tolist(), index.tolist(), back.tolist()
    ([3, 1], [0, 2, 3, 1], [0, 3, 1, 2])
    """
    steps, rows, batch = len(batch_sizes), int(batch_sizes.sum()), int(batch_sizes[0])
    step = torch.repeat_interleave(torch.arange(steps), batch_sizes, output_size=rows)  # (N,) of each packed row
    sequence = torch.arange(rows) - (batch_sizes.cumsum(0) - batch_sizes)[step]  # (N,)
    lengths = torch.bincount(sequence, minlength=batch)  # (B,)
    back = (lengths.cumsum(0) - lengths)[sequence] + step
    index = torch.empty(rows, dtype=torch.int32)
    index[back] = torch.arange(rows, dtype=torch.int32)
    return lengths, index, back
