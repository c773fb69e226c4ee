"""Ensemble weights: the optimum of their loss, few rows, and the ensemble that stores them."""

from __future__ import annotations

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.members.ensemble import Ensemble
from gatewise.members.lstm import LSTM
from gatewise.members.ngrams import Ngrams
from gatewise.network.architecture import Architecture
from gatewise.target import Target
from gatewise.training.ensemble import EnsembleWeights, as_ensemble, assembled, fit_ensemble_weights
from gatewise.training.stack import fit_weights
from tests.explain.random_net import parameters_of


def rows(n: int, outputs: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of two overconfident models, and targets."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.3, 1.5, (n, outputs))
    one, two = 2.5 * truth + rng.normal(0.4, 2, truth.shape), 0.5 * truth + rng.normal(0, 1, truth.shape)
    if outputs == 1:
        return one, two, (rng.random((n, 1)) < 1 / (1 + np.exp(-truth))).astype(float)
    p = np.exp(truth) / np.exp(truth).sum(axis=1, keepdims=True)
    return one, two, np.eye(outputs)[[rng.choice(outputs, p=row) for row in p]]


def loss(found: EnsembleWeights, one: np.ndarray, two: np.ndarray, targets: np.ndarray, l2: float) -> float:
    z = found.network * one + found.ngrams * two + found.shift
    if z.shape[1] == 1:
        fit = np.logaddexp(0, z) - targets * z
    else:
        fit = np.log(np.exp(z).sum(axis=1)) - (targets * z).sum(axis=1)
    penalty = (found.network - 1) ** 2 + (found.ngrams - 1) ** 2 + (found.shift**2).sum()
    return float(fit.sum() + l2 / 2 * penalty)


@pytest.mark.parametrize(("n", "outputs"), [(900, 1), (700, 3), (12, 1)])
def test_the_fit_is_the_optimum(n: int, outputs: int) -> None:
    one, two, targets = rows(n, outputs, 1)
    found = fit_ensemble_weights(one, two, targets, l2=4.0)
    best = loss(found, one, two, targets, 4.0)
    rng = np.random.default_rng(2)
    for size in (1e-3, 1e-2, 0.3):
        for _ in range(50):
            a, b, *c = size * rng.standard_normal(2 + outputs)
            other = EnsembleWeights(found.network + a, found.ngrams + b, found.shift + np.array(c), n)
            assert loss(other, one, two, targets, 4.0) > best


def test_without_shift_the_fit_is_the_optimum_of_the_weights_alone() -> None:
    one, two, targets = rows(40, 3, 6)
    weights, shift = fit_weights(np.stack([one, two], axis=2), targets, np.ones(2), 4.0)
    np.testing.assert_array_equal(shift, np.zeros(3))
    best = loss(EnsembleWeights(*map(float, weights), shift, 40), one, two, targets, 4.0)
    rng = np.random.default_rng(7)
    for size in (1e-3, 1e-2, 0.3):
        for a, b in size * rng.standard_normal((50, 2)):
            other = EnsembleWeights(float(weights[0]) + a, float(weights[1]) + b, shift, 40)
            assert loss(other, one, two, targets, 4.0) > best
    free = fit_ensemble_weights(one, two, targets, l2=4.0)
    assert loss(free, one, two, targets, 4.0) < best


def test_many_rows_calibrate() -> None:
    one, two, targets = rows(20_000, 1, 3)
    found = fit_ensemble_weights(one, None, targets)
    assert found.ngrams == 0
    z = found.network * one + found.shift
    assert abs((1 / (1 + np.exp(-z)) - targets).mean()) < 1e-4
    assert found.network < 0.5  # the overconfident model is scaled down
    both = fit_ensemble_weights(one, two, targets)
    free = fit_ensemble_weights(one, two, targets, l2=1e-9)
    assert abs(both.network - free.network) < 0.01
    assert abs(both.ngrams - free.ngrams) < 0.02


def test_few_rows_do_no_harm() -> None:
    """Where the plain sum is the optimum, weights fitted to 100 or 5 rows are hardly worse on new rows."""
    rng = np.random.default_rng(5)

    def right(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        one, two = rng.normal(0.2, 2, (n, 1)), rng.normal(-0.1, 1.5, (n, 1))
        return one, two, (rng.random((n, 1)) < 1 / (1 + np.exp(-one - two))).astype(float)

    new = right(50_000)
    plain = loss(EnsembleWeights(1.0, 1.0, np.zeros(1), 0), *new, l2=0.0) / 50_000
    for n in (100, 5):
        worse = [loss(fit_ensemble_weights(*right(n)), *new, l2=0.0) / 50_000 - plain for _ in range(30)]
        assert np.mean(worse) < 0.015, "about the expected loss of three free parameters on a hundred rows"
        assert max(worse) < 0.06


def test_separable_rows() -> None:
    sides = np.array([[-20.0], [30.0]] * 40)
    found = fit_ensemble_weights(sides, sides, (sides > 0).astype(float))
    assert np.isfinite([found.network, found.ngrams, *found.shift]).all()
    assert 0 < found.network < 2


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_ensemble_stores_the_weights(outputs: int) -> None:
    rng = np.random.default_rng(4)
    arch = Architecture("tokens", 10, 3, 4, outputs=outputs)
    lstm, texts = LSTM(arch, parameters_of(arch, 5)), [np.array([0, 2]), np.array([4]), np.array([4, 1, 3])]
    ngrams = Ngrams(1, np.arange(1, 6), rng.standard_normal((5, outputs)).astype(np.float32))
    bias, weights = rng.standard_normal(outputs), EnsembleWeights(0.7, 1.3, rng.standard_normal(outputs), 50)
    plain = Ensemble.of(lstm, Target(("a", "b", "c")[: outputs + (outputs == 1)]))
    found = assembled(plain, [(ngrams, bias)], weights)
    expected = 0.7 * lstm.logits(texts) + 1.3 * (ngrams.logits(texts) + bias) + weights.shift
    np.testing.assert_allclose(found.logits(texts), expected, atol=1e-12)
    assert found.weight_rows() == [("LSTM", 0.7), ("n-grams", 1.3)]
    alone = assembled(plain, [], weights._replace(ngrams=0.0))
    np.testing.assert_allclose(alone.logits(texts), 0.7 * lstm.logits(texts) + weights.shift, atol=1e-12)


def test_refused() -> None:
    with pytest.raises(InputError, match="one shape"):
        fit_ensemble_weights(np.zeros((3, 1)), np.zeros((2, 1)), np.zeros((3, 1)))
    with pytest.raises(InputError, match="n at least 1"):
        fit_ensemble_weights(np.zeros((0, 1)), None, np.zeros((0, 1)))


def test_the_ensemble_logits_of_training_rows_follow_the_line_of_the_validation_rows() -> None:
    rng = np.random.default_rng(31)
    ngrams, query = rng.standard_normal((50, 2)) + 1, rng.standard_normal((9, 2))
    combined = ngrams * [1.3, 0.4] + [0.2, -3.0]
    np.testing.assert_allclose(as_ensemble(ngrams, combined, query), query * [1.3, 0.4] + [0.2, -3.0])
    noisy = combined + rng.standard_normal((50, 2))
    for k in range(2):
        slope, intercept = np.polyfit(ngrams[:, k], noisy[:, k], 1)
        np.testing.assert_allclose(as_ensemble(ngrams, noisy, query)[:, k], slope * query[:, k] + intercept)
