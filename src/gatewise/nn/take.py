"""Rows by number, whose gradient knows when no row is taken twice.

torch's gradient of `index_select` adds row by row, on all its threads with a lock or in one; the rows of an embedding
that a batch touches are distinct and ascending (`Batch.distinct`), so their gradient can be written down at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["take"]


def take(rows: Tensor, which: Tensor) -> Tensor:
    """rows (V, D), which (K,) int64 -> (K, D)."""
    if len(which) > 1 and not bool((which[1:] > which[:-1]).all()):
        return rows.index_select(0, which)
    taken: Tensor = _Ascending.apply(rows, which)  # type: ignore[no-untyped-call]
    return taken


class _Ascending(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, which: Tensor) -> Tensor:
        ctx.save_for_backward(which)
        ctx.count = len(rows)
        return rows.index_select(0, which)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor, None]:
        (which,) = ctx.saved_tensors
        whole = given.new_zeros((ctx.count, given.shape[1]))
        whole[which] = given
        return whole, None
