"""Adversarial training: a network must be right where its inputs move against it as well (Miyato et al. 2017, eq. 2).

Every sequence's inputs x (T, D), word vectors or channels, move to where the loss L grows fastest, by a part `share` of
their own length, and both losses count half:

    r = share ‖x‖ g / ‖g‖,  g = ∂L/∂x        (L(x) + L(x + r)) / 2,  r held fixed

A place moves, not a word: the same word may move one way here and another there. So the input product runs over all
steps instead of the distinct words, and a step of training takes some 2.5 times as long. The paper measures r against
embeddings of variance 1; a part of the length does without normalising them, and larger ones cannot evade it either.
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

__all__ = ["adversarial_backward", "moved"]


def adversarial_backward(
    network: Network, batch: Batch, loss_of: Callable[[Tensor], Tensor], share: float
) -> tuple[Tensor, Tensor]:
    """Add the gradient of the mean of both losses to `network`'s; the logits (B, outputs) and the loss, not moved.

    loss_of: the loss of logits (B, outputs).
    """
    x = network.inputs(batch)  # (N, D); its graph leads to the embedding and is walked once, for both
    here = x.detach().requires_grad_()
    logits = network(batch, here)
    loss = loss_of(logits)
    (loss / 2).backward()  # type: ignore[no-untyped-call]
    assert here.grad is not None
    there = moved(here.detach(), here.grad, batch.lengths, share).requires_grad_()
    (loss_of(network(batch, there)) / 2).backward()  # type: ignore[no-untyped-call]
    assert there.grad is not None
    if x.requires_grad:  # channels are data
        x.backward(here.grad + there.grad)  # type: ignore[no-untyped-call]
    return logits.detach(), loss.detach()


def moved(x: Tensor, gradient: Tensor, lengths: NDArray[np.int64], share: float) -> Tensor:
    """x (N, D) after each sequence moved along its gradient (N, D) by `share` of its own length; where that is 0, x."""
    whole, slope = (_norm(values.numpy(), lengths) for values in (x, gradient))  # (B, 1)
    by = np.divide(share * whole, slope, out=np.zeros_like(whole), where=slope > 0)
    return x + gradient * torch.from_numpy(np.repeat(by, lengths, axis=0))


def _norm(values: NDArray[np.floating], lengths: NDArray[np.int64]) -> NDArray[np.floating]:
    """Length (B, 1) of each sequence's rows of (N, D), as one vector."""
    squares = np.einsum("nd,nd->n", values, values)[:, None]
    norm: NDArray[np.floating] = np.sqrt(reduced(np.add, squares, lengths))
    return norm
