"""The network's operations on torch tensors, with the gathering and pooling that torch's own operators do slower."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatewise.kernels import LSTMCall, get
from gatewise.kernels.ragged import max_backward, reduced
from gatewise.network.ops import States
from gatewise.nn.kernel_ops import lstm, project
from gatewise.types import Array, Lengths


class TorchOps:
    """`network.ops.Ops` on torch tensors.

    dropout: probability by part; 0 where absent. "word" drops whole rows of the batch's distinct tokens, "embedding"
    single values of them (Gal & Ghahramani 2016: one mask per word type); "recurrent" drops units of h_{t-1} in the
    product with W_hh, the same ones at every step of a sequence (same paper); "layer" and "output" drop units between
    layers and before the dense layer. kernel: see `gatewise.nn.lstm`.
    """

    def __init__(self, dropout: Mapping[str, float] | None = None, kernel: str | None = None) -> None:
        self.probability = dict(dropout or {})
        self.kernel = kernel
        self.accumulates_in_place = False  # the gradient of `take`: see `Network.zero_grad`

    def constant(self, values: Array, like: Tensor) -> Tensor:
        return torch.from_numpy(values).to(like.dtype)

    def take(self, rows: Tensor, which: NDArray[np.int64]) -> Tensor:
        in_place = self.accumulates_in_place and rows.is_leaf and rows.grad is not None
        return take(rows, torch.from_numpy(which), in_place=in_place)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, weight, bias)

    def project(self, x: Tensor, weight_ih: Tensor, bias: Tensor) -> Tensor:
        return project(x, weight_ih, bias, kernel=self.kernel)

    def lstm(self, name: str, call: LSTMCall[Tensor]) -> States:
        p, kernel = self.probability.get("recurrent", 0), self.kernel
        mask = torch.nn.functional.dropout(call.h0.new_ones(call.h0.shape), p) if p > 0 else None
        if name.endswith(".pads") and call.h0.dtype == torch.float32 and (kernel or get().name) == "bf16":
            kernel = "native"
        index = None if call.index is None else torch.from_numpy(call.index)
        lengths, states = torch.from_numpy(call.lengths), (call.weight_hh, call.h0, call.c0)
        how: dict[str, Any] = {"reverse": call.reverse, "gate": call.gate, "mask": mask, "kernel": kernel}
        return States(*lstm(call.pre, index, lengths, *states, **how))

    def lstms(self, calls: Sequence[tuple[str, LSTMCall[Tensor]]]) -> list[States]:
        return [self.lstm(name, call) for name, call in calls]

    def pad_states(
        self, name: str, longest: int, most: int, run: Callable[[int], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        return run(longest)

    def zeros(self, like: Tensor, rows: int, width: int) -> Tensor:
        return like.new_zeros((rows, width))

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=axis)

    def converged(self, states: States) -> bool:
        h, c = states.h.detach(), states.c.detach()
        return len(h) > 1 and torch.equal(h[-1], h[-2]) and torch.equal(c[-1], c[-2])

    def segment_mean(self, x: Tensor, lengths: Lengths) -> Tensor:
        return segment_mean(x, lengths)

    def segment_max(self, x: Tensor, lengths: Lengths) -> Tensor:
        return segment_max(x, lengths)

    def dropout(self, x: Tensor, part: str) -> Tensor:
        if part == "embedding" and self.probability.get("word", 0) > 0:
            x = torch.nn.functional.dropout(x.new_ones((len(x), 1)), self.probability["word"]) * x
        p = self.probability.get(part, 0)
        return torch.nn.functional.dropout(x, p) if p > 0 else x


def take(rows: Tensor, which: Tensor, *, in_place: bool = False) -> Tensor:
    """rows (V, D), which (K,) int64 -> (K, D). in_place: `rows` is a leaf that has a `grad`, to which backward adds.

    The gradient of torch's `index_select` adds row by row. The embedding rows of a batch are distinct and ascending
    (`Batch.distinct`), so their gradient is assigned at once. It is mostly zeros; where several parts of a training
    step read one large table, `in_place` adds the few rows that differ to `grad` instead of summing whole tables.
    """
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
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None]:
        (which,) = ctx.saved_tensors
        if ctx.leaf is not None:
            ctx.leaf.grad.index_add_(0, which, grad)
            return None, None, None
        whole = grad.new_zeros((ctx.count, grad.shape[1]))
        whole[which] = grad
        return whole, None, None


def segment_mean(x: Tensor, lengths: Lengths) -> Tensor:
    """x (N, H), lengths (B,) with sum N -> mean (B, H), zero for an empty sequence. First-order gradients only.

    The gradient of `torch.segment_reduce` (2.13) is written value by value; here it repeats one row per sequence.
    """
    mean: Tensor = _SegmentMean.apply(x, lengths)  # type: ignore[no-untyped-call]
    return mean


def segment_max(x: Tensor, lengths: Lengths) -> Tensor:
    """x (N, H), lengths (B,) with sum N -> maximum (B, H), zero for an empty sequence. First-order gradients only.

    Equal maxima share the gradient, as in `network.autograd`; gates of exactly 0 or 1 make such ties frequent, since
    many h are 0. `torch.segment_reduce` (2.13) shares a positive gradient only.
    """
    largest: Tensor = _SegmentMax.apply(x, lengths)  # type: ignore[no-untyped-call]
    return largest


class _SegmentMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: Lengths) -> Tensor:
        values = x.detach().numpy()
        ctx.lengths, ctx.count = lengths, np.maximum(lengths, 1)[:, None].astype(values.dtype)
        return torch.from_numpy(reduced(np.add, values, lengths) / ctx.count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return torch.from_numpy(np.repeat(grad.numpy() / ctx.count, ctx.lengths, axis=0)), None


class _SegmentMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: Lengths) -> Tensor:
        values = x.detach().numpy()
        largest = torch.from_numpy(reduced(np.maximum, values, lengths))
        ctx.save_for_backward(x, largest)
        ctx.lengths = lengths
        return largest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        x, largest = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        return torch.from_numpy(max_backward(x, largest, ctx.lengths, grad.numpy())), None
