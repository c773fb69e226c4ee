"""The linear probe: equal to scikit-learn's logistic regression on standardised states."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from gatewise.errors import InputError
from gatewise.training import recipe
from gatewise.training.linear_probe import fit_linear_probe
from gatewise.training.ngrams import targets_of
from gatewise.types import Task


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_penalised_logistic_regression_on_standardised_states(classes: int) -> None:
    rng = np.random.default_rng(classes)
    pooled = (rng.standard_normal((60, 9)) * rng.uniform(0.1, 5, 9) + rng.uniform(-3, 3, 9)).astype(np.float32)
    labels = (pooled[:, 0] > np.median(pooled[:, 0])).astype(np.int64) + (rng.random(60) < 0.3) * (classes - 2)
    weight, bias = fit_linear_probe(pooled, targets_of(labels, classes), 4.0)
    x = (pooled.astype(np.float64) - pooled.mean(axis=0, dtype=np.float64)) / pooled.std(axis=0, dtype=np.float64)
    theirs = LogisticRegression(C=1 / 4.0, tol=1e-8, max_iter=10_000).fit(x, labels)
    expected = theirs.decision_function(x).reshape(60, -1)
    actual = pooled.astype(np.float64) @ weight.T.astype(np.float64) + bias
    if classes == 3:  # softmax logits are defined up to a common shift
        expected, actual = (z - z.mean(axis=1, keepdims=True) for z in (expected, actual))
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    again = fit_linear_probe(pooled, targets_of(labels, classes), 4.0)
    assert (weight.tobytes(), bias.tobytes()) == (again[0].tobytes(), again[1].tobytes())


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_each_label_and_each_number_is_a_model_of_its_own(task: Task) -> None:
    rng = np.random.default_rng(6)
    pooled = rng.standard_normal((50, 4)) * [0.2, 1.0, 3.0, 5.0] + [1.0, 0.0, -2.0, 4.0]
    numbers = pooled @ rng.standard_normal((4, 3)) + rng.standard_normal((50, 3)) + [2.0, -3.0, 1.0]
    targets = numbers if task == "regression" else (numbers > 0).astype(np.float64)
    weight, bias = fit_linear_probe(pooled, targets, 4.0, task=task)
    x = (pooled - pooled.mean(axis=0)) / pooled.std(axis=0)
    for k in range(3):
        if task == "regression":
            expected = Ridge(alpha=4.0).fit(x, targets[:, k]).predict(x)
        else:
            theirs = LogisticRegression(C=1 / 4.0, tol=1e-8, max_iter=10_000).fit(x, targets[:, k])
            expected = theirs.decision_function(x)
        np.testing.assert_allclose(pooled @ weight[k] + bias[k], expected, atol=1e-5)


def test_shared_scale_is_the_fit_on_centred_states() -> None:
    """A feature of little variance is penalised more than with a scale of its own."""
    rng = np.random.default_rng(4)
    pooled = (rng.standard_normal((80, 5)) * [3.0, 1.0, 0.3, 0.1, 0.03] + 2).astype(np.float32)
    labels = (pooled[:, 1] + rng.standard_normal(80) > 2).astype(np.int64)
    weight, bias = fit_linear_probe(pooled, targets_of(labels, 2), 4.0, shared_scale=True)
    x = pooled.astype(np.float64) - pooled.mean(axis=0, dtype=np.float64)
    x /= np.sqrt(x.var(axis=0).mean())
    expected = LogisticRegression(C=1 / 4.0, tol=1e-8, max_iter=10_000).fit(x, labels).decision_function(x)
    actual = pooled.astype(np.float64) @ weight.T.astype(np.float64) + bias
    np.testing.assert_allclose(actual[:, 0], expected, atol=1e-5)
    each, _ = fit_linear_probe(pooled, targets_of(labels, 2), 4.0)
    assert np.abs(each[0, 4]) > 2 * np.abs(weight[0, 4])


def test_constant_states_are_harmless() -> None:
    pooled = np.zeros((8, 3), dtype=np.float32)
    pooled[4:, 1] = 1
    weight, bias = fit_linear_probe(pooled, np.repeat([[0.0], [1.0]], 4, axis=0), 0.1)
    assert np.isfinite(weight).all()
    assert ((pooled @ weight.T + bias)[:, 0] > 0).tolist() == [False] * 4 + [True] * 4


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="recipe: probe_l2 must be at least 0, not -1"):
        recipe("finetune", probe_l2=-1)
    with pytest.raises(InputError, match="recipe: lsa_components must be at least 0, not -1"):
        recipe("few-shot", lsa_components=-1)
    with pytest.raises(InputError, match="recipe: teacher must be 'network' or 'stacking', not 'reader'"):
        recipe("few-shot", teacher="reader")
