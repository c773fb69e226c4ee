"""Sampled softmax: the loss of a language model without the product with the whole vocabulary.

Only the target and S candidates take part, the same candidates for every step of a batch. The log of a candidate's
expected count is subtracted from its logit, which makes the result an estimate of the full softmax (Bengio & Senécal
2008; Jean et al. 2015, eq. 7). One pass over blocks of rows that fit the cache computes loss and gradients; the logits
(N, S) are never stored as a whole.
"""

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels.interface import Kernel
from gatewise.network.autograd import EmbeddingTable, Variable

BLOCK = 256  # rows per block: 256 x 1,024 logits are 1 MB


class Sampler:
    """Samples candidates in proportion to the word counts to the power of 3/4 (Mikolov et al. 2013).

    counts (V,): how often each word is a target. samples: S per batch; duplicates are dropped.
    """

    def __init__(self, counts: NDArray[np.int64], samples: int) -> None:
        weight = np.maximum(counts, 1).astype(np.float64) ** 0.75
        probability = weight / weight.sum()
        self._cumulative = np.cumsum(probability)
        self.samples = samples
        # The log of the probability that S samples contain a word corrects its logit.
        self.log_expected: NDArray[np.float32] = np.log(-np.expm1(samples * np.log1p(-probability))).astype(np.float32)

    def sample(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Distinct word ids, ascending: at most S."""
        places = np.searchsorted(self._cumulative, rng.random(self.samples) * self._cumulative[-1], side="right")
        candidates: NDArray[np.int64] = np.unique(np.minimum(places, len(self._cumulative) - 1)).astype(np.int64)
        return candidates


def sampled_softmax(
    x: Variable,
    weight: EmbeddingTable,
    bias: Variable,
    targets: NDArray[np.int64],
    candidates: NDArray[np.int64],
    log_expected: NDArray[np.float32],
    kernel: Kernel,
) -> float:
    """Estimated mean of -log p(target) over N rows; its gradients are added to x, weight and bias.

    x (N, D); weight (V, D), bias (V,): of the whole vocabulary; targets (N,); candidates (S,) distinct, ascending;
    log_expected (V,) as in `Sampler`. A candidate that equals the target of a row is left out for that row. With all
    words as candidates and log_expected 0 the result is the full softmax.
    """
    rows, weights, biases = x.value, weight.value, bias.value
    n = len(rows)
    sampled = weights[candidates]  # (S, D)
    sampled_bias = biases[candidates] - log_expected[candidates].astype(biases.dtype)  # (S,)
    position_of = np.full(len(weights), -1, dtype=np.int64)
    position_of[candidates] = np.arange(len(candidates))
    target_bias = biases[targets] - log_expected[targets].astype(biases.dtype)  # (N,)
    d_x, d_target_logit = np.empty_like(rows), np.empty_like(target_bias)
    d_sampled, d_sampled_bias = np.zeros_like(sampled), np.zeros_like(sampled_bias)
    total = 0.0
    for start in range(0, n, BLOCK):
        block_rows = slice(start, min(start + BLOCK, n))
        block = np.ascontiguousarray(rows[block_rows])
        target_weight = weights[targets[block_rows]]  # (n, D)
        target_logit = np.einsum("nd,nd->n", block, target_weight) + target_bias[block_rows]  # (n,)
        logits = kernel.project(block, sampled, sampled_bias)  # (n, S)
        position = position_of[targets[block_rows]]
        accidental_hits = np.flatnonzero(position >= 0)
        logits[accidental_hits, position[accidental_hits]] = -np.inf
        largest = np.maximum(logits.max(axis=1), target_logit)
        np.exp(np.subtract(logits, largest[:, None], out=logits), out=logits)
        target_exp = np.exp(target_logit - largest)
        sums = logits.sum(axis=1) + target_exp
        total += float((np.log(sums) + largest - target_logit).sum(dtype=np.float64))
        logits *= (1 / (n * sums))[:, None]
        d_target_logit[block_rows] = (target_exp / sums - 1) / n
        dx, dweight, dbias = kernel.project_backward(block, sampled, logits)
        assert dx is not None
        target_weight *= d_target_logit[block_rows, None]
        np.add(dx, target_weight, out=d_x[block_rows])
        d_sampled += dweight
        d_sampled_bias += dbias
    x.accumulate(d_x, owned=True)
    weight.accumulate_rows(candidates, d_sampled)
    d_target = d_target_logit[:, None] * rows  # (N, D)
    weight.accumulate_rows(targets, d_target)
    whole = np.bincount(targets, d_target_logit, len(biases)).astype(biases.dtype)
    whole[candidates] += d_sampled_bias
    bias.accumulate(whole, owned=True)
    return total / n
