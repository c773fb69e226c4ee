"""Virtual adversarial training (Miyato et al. 2017, section 3): the prediction for an unlabelled text must not change
under a small perturbation of its inputs.

    d random,  g = ∂/∂d KL(p(x) ‖ p(x + d)),  r = epsilon ‖x‖ g / ‖g‖,    loss = KL(p(x) ‖ p(x + r))

p(x): the predicted probabilities; p(x) and r are held constant. The embeddings x (T, D) of a text are perturbed
relative to their own norm, as in `gatewise.training.adversarial`. There is no dropout: the two predictions differ by r
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatewise.network.autograd import RecordingOps, Variable, array_of
from gatewise.network.batch import Batch
from gatewise.network.forward import forward, inputs
from gatewise.network.trainable import Network
from gatewise.target import log_probabilities
from gatewise.training.adversarial import perturb
from gatewise.types import Array

WINDOW = 200  # tokens of a text in a step
FIRST = 0.25  # size of d relative to that of r


def virtual_adversarial_backward(network: Network, batch: Batch, epsilon: float, rng: np.random.Generator) -> float:
    """Add the gradient of the loss, the mean over a batch of tokens, to the network's; return the loss."""
    ops = RecordingOps(network.kernel)
    batch = network.with_rows(batch)
    assert batch.index is not None
    x = ops.take(inputs(ops, network.variables, batch), batch.index.astype(np.int64))  # (N, D)
    here = array_of(x)
    log_p = log_probabilities(forward(ops, network.parameters, network.arch, batch, here))
    d = rng.standard_normal(here.shape, dtype=here.dtype)
    near = Variable(perturb(here, d, batch.lengths, FIRST * epsilon))
    _backward(network, network.parameters, batch, near, log_p)
    perturbed = Variable(perturb(here, near.grad_or_zeros(), batch.lengths, epsilon))
    loss = _backward(network, network.variables, batch, perturbed, log_p)
    x.accumulate(perturbed.grad_or_zeros())
    ops.backward()
    return loss


def divergence(log_p: Array, logits: Array) -> tuple[float, Array]:
    """The mean of KL(p ‖ q) over the rows, log_p (B, K), and its gradient in the logits (B, outputs) of q."""
    log_q, p = log_probabilities(logits), np.exp(log_p)
    gradient = (np.exp(log_q) - p) / len(logits)
    return float((p * (log_p - log_q)).sum(axis=1).mean()), gradient[:, -logits.shape[1] :]


def windows(sequences: Sequence[Array], count: int, rng: np.random.Generator) -> list[Array]:
    """`count` sequences, drawn with replacement; of longer ones `WINDOW` steps from a random place."""
    found = []
    for n in rng.integers(0, len(sequences), count).tolist():
        start = int(rng.integers(0, max(1, len(sequences[n]) - WINDOW + 1)))
        found.append(sequences[n][start : start + WINDOW])
    return found


def _backward(network: Network, parameters: Mapping[str, Any], batch: Batch, x: Variable, log_p: Array) -> float:
    """The divergence at the inputs x (N, D). Adds its gradient to x and to the parameters that are variables."""
    ops = RecordingOps(network.kernel)
    logits = forward(ops, parameters, network.arch, batch, x)
    loss, gradient = divergence(log_p, logits.value)
    logits.accumulate(gradient.astype(logits.value.dtype))
    ops.backward()
    return loss
