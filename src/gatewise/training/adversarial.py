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

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.kernels.ragged import reduced
from gatewise.network.batch import Batch
from gatewise.nn import Network


def adversarial_backward(
    network: Network, batch: Batch, loss_of: Callable[[Tensor], Tensor], epsilon: float
) -> tuple[Tensor, Tensor]:
    """Add the gradient of the mean of both losses to the network's; return logits (B, outputs) and loss of the
    unperturbed inputs. loss_of: the loss of logits (B, outputs).
    """
    x = network.inputs(batch)  # (N, D); its graph leads to the embedding and is walked once, for both losses
    plain = x.detach().requires_grad_()
    logits = network(batch, plain)
    loss = loss_of(logits)
    (loss / 2).backward()  # type: ignore[no-untyped-call]
    assert plain.grad is not None
    perturbed = perturb(plain.detach(), plain.grad, batch.lengths, epsilon).requires_grad_()
    (loss_of(network(batch, perturbed)) / 2).backward()  # type: ignore[no-untyped-call]
    assert perturbed.grad is not None
    if x.requires_grad:  # channels are data
        x.backward(plain.grad + perturbed.grad)  # type: ignore[no-untyped-call]
    return logits.detach(), loss.detach()


def perturb(x: Tensor, gradient: Tensor, lengths: NDArray[np.int64], epsilon: float) -> Tensor:
    """x + r (N, D) of the module's docstring, per sequence; r is 0 where the gradient (N, D) is."""
    norm, gradient_norm = (_norms(values.numpy(), lengths) for values in (x, gradient))  # (B, 1)
    scale = np.divide(epsilon * norm, gradient_norm, out=np.zeros_like(norm), where=gradient_norm > 0)
    return x + gradient * torch.from_numpy(np.repeat(scale, lengths, axis=0))


def _norms(values: NDArray[np.floating], lengths: NDArray[np.int64]) -> NDArray[np.floating]:
    """Norm (B, 1) of each sequence's rows of (N, D), as one vector."""
    squares = np.einsum("nd,nd->n", values, values)[:, None]
    norms: NDArray[np.floating] = np.sqrt(reduced(np.add, squares, lengths))
    return norms
