"""Adversarial training (Miyato et al. 2017, eq. 2): the network must also be right on perturbed inputs.

The inputs x (T, D) of a sequence, embeddings or channels, move along the gradient of the loss L by `epsilon` times
their own norm, and both losses count half:

    r = epsilon ‖x‖ g / ‖g‖,  g = ∂L/∂x        (L(x) + L(x + r)) / 2,  r held constant

Every step is perturbed by itself: a word can move one way here and another way there. So the input product runs over
all steps instead of the distinct words, and a training step takes some 2.5 times as long. The paper fixes ‖r‖ and
normalises the embeddings to variance 1; a perturbation relative to the norm needs no normalisation, and larger
embeddings do not evade it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatewise.kernels.pooling import segment_sum
from gatewise.network.autograd import Variable, array_of
from gatewise.network.batch import Batch
from gatewise.network.forward import inputs
from gatewise.network.trainable import LossOf, Network
from gatewise.types import Array


def adversarial_backward(network: Network, batch: Batch, loss_of: LossOf, epsilon: float) -> tuple[Array, float]:
    """Add the gradient of the mean of both losses to the network's; return logits (B, outputs) and loss of the
    unperturbed inputs. loss_of: the loss of logits (B, outputs) and its gradient.
    """

    def half(logits: Array) -> tuple[float, Array]:
        loss, gradient = loss_of(logits)
        return loss, gradient / 2

    ops = network.ops()
    x = inputs(ops, network.variables, network.with_rows(batch))
    if batch.index is not None:
        x = ops.take(x, batch.index.astype(np.int64))  # (N, D); recorded once, for both losses
    plain = Variable(array_of(x))
    logits, loss = network.backward_from(batch, plain, half)
    perturbed = Variable(perturb(plain.value, plain.grad_or_zeros(), batch.lengths, epsilon))
    network.backward_from(batch, perturbed, half)
    if isinstance(x, Variable):  # channels are data
        for part in (plain, perturbed):
            x.accumulate(part.grad_or_zeros())
        ops.backward()
    return logits, loss


def perturb(x: Array, gradient: Array, lengths: NDArray[np.int64], epsilon: float) -> Array:
    """x + r (N, D) of the module's docstring, per sequence; r is 0 where the gradient (N, D) is."""
    norm, gradient_norm = (_norms(values, lengths) for values in (x, gradient))  # (B, 1)
    scale = np.divide(epsilon * norm, gradient_norm, out=np.zeros_like(norm), where=gradient_norm > 0)
    perturbed: Array = gradient * np.repeat(scale, lengths, axis=0)
    perturbed += x
    return perturbed


def _norms(values: Array, lengths: NDArray[np.int64]) -> Array:
    """Norm (B, 1) of each sequence's rows of (N, D), as one vector."""
    squares = np.einsum("nd,nd->n", values, values)[:, None]
    return np.asarray(np.sqrt(segment_sum(squares, lengths)))
