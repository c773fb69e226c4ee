"""Rows by number, whose gradient knows when no row is taken twice.

torch's gradient of `index_select` adds row by row, on all its threads with a lock or in one; the rows of an embedding
that a batch touches are distinct and ascending (`Batch.distinct`), so their gradient can be written down at once.

As (V, D) that gradient is mostly zeros. Where several parts of a step read one table of tens of megabytes, each would
write its own, on pages that the system hands out anew, and autograd adds them up. `in_place` adds the few rows that
differ to `grad` instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["take"]


def take(rows: Tensor, which: Tensor, *, in_place: bool = False) -> Tensor:
    """rows (V, D), which (K,) int64 -> (K, D). in_place: rows is a leaf that has a `grad`, to which backward adds."""
    if len(which) > 1 and not bool((which[1:] > which[:-1]).all()):
        return rows.index_select(0, which)
    taken: Tensor = _Ascending.apply(rows, which, in_place)  # type: ignore[no-untyped-call]
    return taken


class _Ascending(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, which: Tensor, in_place: bool) -> Tensor:
        ctx.save_for_backward(which)
        ctx.count, ctx.leaf = len(rows), rows if in_place else None
        return rows.index_select(0, which)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, None, None]:
        (which,) = ctx.saved_tensors
        if ctx.leaf is not None:
            ctx.leaf.grad.index_add_(0, which, given)
            return None, None, None
        whole = given.new_zeros((ctx.count, given.shape[1]))
        whole[which] = given
        return whole, None, None
