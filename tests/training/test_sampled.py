"""The sampled softmax: with all words as candidates it is the full one; with some it estimates it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatewise.errors import InputError
from gatewise.nn.sampled import BLOCK, Sampler, sampled_softmax


def _case(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, np.ndarray]:
    generator = torch.Generator().manual_seed(seed)
    x, weight, bias = (
        torch.randn(shape, generator=generator).requires_grad_() for shape in ((rows, 6), (37, 6), (37,))
    )
    return x, weight, bias, np.random.default_rng(seed).integers(0, 37, rows)


@pytest.mark.parametrize("rows", [1, 5, BLOCK, 2 * BLOCK + 3])
def test_all_candidates_are_the_full_softmax(rows: int) -> None:
    x, weight, bias, targets = _case(rows, rows)
    loss = sampled_softmax(x, weight, bias, targets, np.arange(37), np.zeros(37, dtype=np.float32))
    full = torch.nn.functional.cross_entropy(x @ weight.T + bias, torch.from_numpy(targets))
    torch.testing.assert_close(loss, full, rtol=1e-5, atol=1e-6)
    # The factor before the loss goes through to every gradient.
    ours, theirs = (torch.autograd.grad(3.5 * value, (x, weight, bias)) for value in (loss, full))
    for mine, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-6)


def test_sampled_candidates_against_the_formula() -> None:
    x, weight, bias, targets = _case(50, 3)
    candidates = np.array([0, 4, 5, 17, 30, 36])
    log_expected = np.random.default_rng(1).normal(-2, 1, 37).astype(np.float32)
    loss = sampled_softmax(x, weight, bias, targets, candidates, log_expected)
    logits = (x @ weight.T + bias) - torch.from_numpy(log_expected)
    rows = []
    for n, target in enumerate(targets.tolist()):
        others = [logits[n, k] for k in candidates.tolist() if k != target]
        rows.append(torch.logsumexp(torch.stack([logits[n, target], *others]), dim=0) - logits[n, target])
    right = torch.stack(rows).mean()
    torch.testing.assert_close(loss, right, rtol=1e-5, atol=1e-6)
    for mine, expected in zip(*(torch.autograd.grad(v, (x, weight, bias)) for v in (loss, right)), strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-6)


def test_gradients_accumulate_in_place() -> None:
    x, weight, bias, targets = _case(50, 3)
    candidates, log_expected = np.array([0, 4, 5, 17, 30, 36]), np.zeros(37, dtype=np.float32)
    loss = sampled_softmax(x, weight, bias, targets, candidates, log_expected)
    expected = torch.autograd.grad(2.5 * loss, (x, weight, bias))
    before = torch.randn(weight.shape)
    weight.grad = kept = before.clone()
    (2.5 * sampled_softmax(x, weight, bias, targets, candidates, log_expected, in_place=True)).backward()
    assert weight.grad is kept
    assert x.grad is not None
    assert bias.grad is not None
    for mine, right in zip((x.grad, kept - before, bias.grad), expected, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-5, atol=1e-6)


def test_the_estimate_approaches_the_full_softmax() -> None:
    x, weight, bias, targets = _case(400, 9)
    counts = np.random.default_rng(2).integers(1, 500, 37)
    full = float(torch.nn.functional.cross_entropy(x @ weight.T + bias, torch.from_numpy(targets)).detach())
    errors = []
    for samples in (4, 200):
        sampler = Sampler(counts, samples)
        found = [
            float(
                sampled_softmax(
                    x, weight, bias, targets, sampler.sample(np.random.default_rng(k)), sampler.log_expected
                ).detach()
            )
            for k in range(40)
        ]
        errors.append(abs(np.mean(found) - full))
    assert errors[1] < 0.1 < 1 < errors[0]


def test_the_sampler_follows_its_distribution() -> None:
    counts = np.array([1000, 10, 0, 200])
    sampler = Sampler(counts, 3)
    drawn = [set(sampler.sample(np.random.default_rng(k)).tolist()) for k in range(4000)]
    share = np.array([np.mean([word in one for one in drawn]) for word in range(4)])
    np.testing.assert_allclose(share, np.exp(sampler.log_expected), atol=0.03)


@pytest.mark.parametrize(
    ("counts", "samples"), [(np.zeros((2, 2), int), 3), (np.zeros(0, int), 3), (np.ones(3, int), 0)]
)
def test_an_empty_sampler_is_refused(counts: np.ndarray, samples: int) -> None:
    with pytest.raises(InputError, match="sampler"):
        Sampler(counts, samples)
