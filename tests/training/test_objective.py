"""The losses of training: their values and gradients are those of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from gatewise.training.objective import binary_cross_entropy, cross_entropy, mean_squared_error
from gatewise.types import Array

ROWS, OUTPUTS = 7, 3


def _logits(outputs: int) -> Array:
    z = np.random.default_rng(outputs).standard_normal((ROWS, outputs)) * 3
    z[0], z[1] = 800, -800  # whose exponentials are infinite and 0
    return z


def _same(ours: tuple[float, Array], logits: torch.Tensor, loss: torch.Tensor) -> None:
    loss.backward()
    assert logits.grad is not None
    np.testing.assert_allclose(ours[0], loss.item(), rtol=1e-12)
    np.testing.assert_allclose(ours[1], logits.grad.numpy(), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("shape", [(ROWS, 1), (ROWS, OUTPUTS)], ids=["row", "label"])
@pytest.mark.parametrize("outputs", [1, OUTPUTS])
def test_binary_cross_entropy(outputs: int, shape: tuple[int, int]) -> None:
    """Of soft targets; weights of the rows, or of each label."""
    rng, z = np.random.default_rng(1), _logits(outputs)
    targets, weight = rng.uniform(0, 1, z.shape), rng.uniform(0, 2, (ROWS, min(shape[1], outputs)))
    logits = torch.from_numpy(z.copy()).requires_grad_()
    theirs = functional.binary_cross_entropy_with_logits(
        logits, torch.from_numpy(targets), weight=torch.from_numpy(weight)
    )
    _same(binary_cross_entropy(z, targets, weight), logits, theirs)


def test_cross_entropy() -> None:
    rng, z = np.random.default_rng(2), _logits(OUTPUTS)
    targets, weight = rng.dirichlet(np.ones(OUTPUTS), ROWS), rng.uniform(0, 2, (ROWS, 1))
    logits = torch.from_numpy(z.copy()).requires_grad_()
    losses = functional.cross_entropy(logits, torch.from_numpy(targets), reduction="none")
    theirs = (losses * torch.from_numpy(weight[:, 0])).mean()
    _same(cross_entropy(z, targets, weight), logits, theirs)


def test_mean_squared_error() -> None:
    rng, z = np.random.default_rng(3), np.random.default_rng(4).standard_normal((ROWS, OUTPUTS))
    targets, weight = rng.standard_normal(z.shape), rng.uniform(0, 2, (ROWS, 1))
    logits = torch.from_numpy(z.copy()).requires_grad_()
    theirs = (torch.from_numpy(weight) * (logits - torch.from_numpy(targets)).square()).mean()
    _same(mean_squared_error(z, targets, weight), logits, theirs)
