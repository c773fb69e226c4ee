"""Sampled softmax: the loss of a language model without the product with its whole vocabulary.

Of the vocabulary only the target and S candidates take part, the same ones for every step of a batch; a candidate's
logit is lessened by the log of how often the draw expects it, so that the estimate is of the full softmax (Bengio &
Senécal 2008; Jean et al. 2015, eq. 7). Loss and gradients come from one pass over blocks of rows that stay in the
cache: the logits (N, S) are never written down as a whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import InputError
from gatewise.kernels import Kernel, get
from gatewise.nn.kernel_ops import as_array

BLOCK = 256  # rows at a time: 256 x 1,024 logits are 1 MB


class Sampler:
    """Draws candidates from the words' counts to the power of 3/4 (Mikolov et al. 2013), many at once.

    counts (V,): how often each word is a target. samples: S, draws a batch; a word drawn twice counts once.
    """

    def __init__(self, counts: NDArray[np.int64], samples: int) -> None:
        if samples < 1 or counts.ndim != 1 or not len(counts):
            raise InputError(f"a sampler needs counts (V,) and at least 1 sample, got {counts.shape} and {samples}")
        weight = np.maximum(counts, 1).astype(np.float64) ** 0.75
        share = weight / weight.sum()
        self._up_to = np.cumsum(share)
        self.samples = samples
        # The probability that S draws hold a word, which is what its logit is corrected by.
        self.log_expected: NDArray[np.float32] = np.log(-np.expm1(samples * np.log1p(-share))).astype(np.float32)

    def sample(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Distinct word ids, ascending: at most S."""
        places = np.searchsorted(self._up_to, rng.random(self.samples) * self._up_to[-1], side="right")
        drawn: NDArray[np.int64] = np.unique(np.minimum(places, len(self._up_to) - 1)).astype(np.int64)
        return drawn


def sampled_softmax(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: NDArray[np.int64],
    candidates: NDArray[np.int64],
    log_expected: NDArray[np.float32],
    kernel: str | None = None,
    *,
    in_place: bool = False,
) -> Tensor:
    """Mean of -log p(target) over N rows, estimated.

    x (N, D); weight (V, D), bias (V,): of the whole vocabulary; targets (N,); candidates (S,) distinct; log_expected
    (V,) as `Sampler` has it. A candidate that is a row's target counts once, as the target. With all words as
    candidates and log_expected 0 it is the full softmax. Gradients of first order for x, weight and bias; in_place: as
    `take` has it, for weight.
    """
    loss: Tensor = _Sampled.apply(  # type: ignore[no-untyped-call]
        x, weight, bias, targets, candidates, log_expected, get(kernel), in_place
    )
    return loss


class _Sampled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: NDArray[np.int64],
        candidates: NDArray[np.int64],
        log_expected: NDArray[np.float32],
        kernel: Kernel,
        in_place: bool,
    ) -> Tensor:
        rows, vectors, offsets = as_array(x), as_array(weight), as_array(bias)
        n = len(rows)
        drawn = np.ascontiguousarray(vectors[candidates])  # (S, D)
        offset = offsets[candidates] - log_expected[candidates]  # (S,)
        place = np.full(len(vectors), -1, dtype=np.int64)
        place[candidates] = np.arange(len(candidates))
        of_target = vectors[targets]  # (N, D)
        own = np.einsum("nd,nd->n", rows, of_target) + (offsets - log_expected)[targets]  # (N,)
        d_x, d_own = np.empty_like(rows), np.empty_like(own)
        d_drawn, d_offset = np.zeros_like(drawn), np.zeros_like(offset)
        total = 0.0
        for first in range(0, n, BLOCK):
            at = slice(first, min(first + BLOCK, n))
            block = np.ascontiguousarray(rows[at])
            logits = kernel.project(block, drawn, offset)  # (n, S)
            hit = place[targets[at]]
            there = np.flatnonzero(hit >= 0)
            logits[there, hit[there]] = -np.inf
            most = np.maximum(logits.max(axis=1), own[at])
            np.exp(np.subtract(logits, most[:, None], out=logits), out=logits)
            mine = np.exp(own[at] - most)
            sums = logits.sum(axis=1) + mine
            total += float((np.log(sums) + most - own[at]).sum(dtype=np.float64))
            logits *= (1 / (n * sums))[:, None]
            d_own[at] = (mine / sums - 1) / n
            back = kernel.project_backward(block, drawn, logits, with_dx=True)
            assert back.dx is not None
            d_x[at] = back.dx
            d_drawn += back.dweight_ih
            d_offset += back.dbias
        d_x += d_own[:, None] * of_target
        ctx.save_for_backward(*(torch.from_numpy(array) for array in (d_x, d_own, d_drawn, d_offset)), x)
        ctx.places = targets, candidates, weight.shape
        ctx.leaf = weight if in_place else None
        return x.new_tensor(total / n)

    @staticmethod
    def backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
        d_x, d_own, d_drawn, d_offset, x = ctx.saved_tensors
        targets, candidates, shape = ctx.places
        which, drawn = torch.from_numpy(targets), torch.from_numpy(candidates)
        d_own, d_drawn, d_offset = given * d_own, given * d_drawn, given * d_offset
        d_weight = d_x.new_zeros(shape) if ctx.leaf is None else ctx.leaf.grad
        d_weight.index_add_(0, drawn, d_drawn)
        d_weight.index_add_(0, which, d_own[:, None] * x)
        d_bias = d_x.new_zeros(shape[0])
        d_bias[drawn] = d_offset
        d_bias.index_add_(0, which, d_own)
        return given * d_x, None if ctx.leaf is not None else d_weight, d_bias, None, None, None, None, None
