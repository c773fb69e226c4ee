"""The sampler, and the sampled softmax as an estimate; its values and gradients are in test_operations.py."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.kernels import get
from gatewise.network.autograd import Table, Variable
from gatewise.network.sampled import Sampler, sampled_softmax
from gatewise.target import log_probabilities


def test_the_estimate_approaches_the_full_softmax() -> None:
    rng = np.random.default_rng(9)
    x, weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in ((400, 6), (37, 6), (37,)))
    targets, counts = rng.integers(0, 37, 400), rng.integers(1, 500, 37)
    full = -log_probabilities(x @ weight.T + bias)[np.arange(400), targets].mean()

    def estimate(sampler: Sampler, seed: int) -> float:
        candidates = sampler.sample(np.random.default_rng(seed))
        arguments = Variable(x), Table(weight), Variable(bias)
        return sampled_softmax(*arguments, targets, candidates, sampler.log_expected, get())

    errors = []
    for samples in (4, 200):
        sampler = Sampler(counts, samples)
        errors.append(abs(np.mean([estimate(sampler, seed) for seed in range(40)]) - full))
    assert errors[1] < 0.1 < 1 < errors[0]


def test_the_sampler_follows_its_distribution() -> None:
    counts = np.array([1000, 10, 0, 200])
    sampler = Sampler(counts, 3)
    drawn = [sampler.sample(np.random.default_rng(k)) for k in range(4000)]
    assert all((np.diff(one) > 0).all() for one in drawn)
    share = np.array([np.mean([word in one for one in drawn]) for word in range(4)])
    np.testing.assert_allclose(share, np.exp(sampler.log_expected), atol=0.03)


@pytest.mark.parametrize(
    ("counts", "samples"), [(np.zeros((2, 2), int), 3), (np.zeros(0, int), 3), (np.ones(3, int), 0)]
)
def test_an_empty_sampler_is_refused(counts: np.ndarray, samples: int) -> None:
    with pytest.raises(InputError, match="sampler"):
        Sampler(counts, samples)
