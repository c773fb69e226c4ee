"""The dense solver: equal to scikit-learn, the optimum of its documented loss, values out of fold equal to refits."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge

from gatewise.training.dense_solver import Ridge, fit_glm, fit_standardised_glm, loss_of, ridge_of_sums, ridge_sums
from gatewise.types import Array, Task


def rows(n: int, outputs: int, task: Task, seed: int, features: int = 9) -> tuple[Array, Array]:
    """Features of unequal scale and mean, and targets that follow from them with noise."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, features)) * rng.uniform(0.1, 5, features) + rng.uniform(-3, 3, features)
    z = (x - x.mean(axis=0)) @ rng.standard_normal((features, outputs)) + 2 * rng.standard_normal((n, outputs))
    if task == "regression":
        return x, z + 3
    return x, (z > 0) * 1.0 if task == "multilabel" or outputs == 1 else np.eye(outputs)[z.argmax(axis=1)]


@pytest.mark.parametrize("shared_scale", [False, True])
@pytest.mark.parametrize(
    ("task", "outputs"), [("classification", 1), ("classification", 3), ("multilabel", 2), ("regression", 2)]
)
def test_a_standardised_fit_equals_scikit_learn(task: Task, outputs: int, shared_scale: bool) -> None:
    x, y = rows(70, outputs, task, outputs)
    weight, bias = fit_standardised_glm(x, y, 4.0, task=task, shared_scale=shared_scale)
    deviation = np.sqrt(np.mean(x.var(axis=0))) if shared_scale else x.std(axis=0)
    z = (x - x.mean(axis=0)) / deviation
    logistic = LogisticRegression(C=1 / 4.0, tol=1e-8, max_iter=10_000)
    if task == "regression":
        expected = SklearnRidge(alpha=4.0).fit(z, y).predict(z)
    elif task == "multilabel":
        expected = np.stack([logistic.fit(z, column).decision_function(z) for column in y.T], axis=1)
    else:
        labels = y[:, 0] if outputs == 1 else y.argmax(axis=1)
        expected = logistic.fit(z, labels).decision_function(z).reshape(len(x), -1)
    actual = x @ weight.T + bias
    if outputs == 3:  # softmax logits are defined up to a common shift
        expected, actual = (logits - logits.mean(axis=1, keepdims=True) for logits in (expected, actual))
    np.testing.assert_allclose(actual, expected, atol=1e-4)
    again = fit_standardised_glm(x, y, 4.0, task=task, shared_scale=shared_scale)
    assert (weight.tobytes(), bias.tobytes()) == (again[0].tobytes(), again[1].tobytes())


def test_constant_features_are_harmless() -> None:
    x = np.zeros((8, 3), dtype=np.float32)
    x[4:, 1] = 1
    weight, bias = fit_standardised_glm(x, np.repeat([[0.0], [1.0]], 4, axis=0), 0.1)
    assert np.isfinite(weight).all()
    assert ((x @ weight.T + bias)[:, 0] > 0).tolist() == [False] * 4 + [True] * 4


@pytest.mark.parametrize("lowest", [None, 0.0])
@pytest.mark.parametrize("l2_shift", [None, 2.0])
@pytest.mark.parametrize(
    ("task", "outputs"), [("classification", 1), ("classification", 3), ("multilabel", 2), ("regression", 2)]
)
def test_shared_weights_are_the_optimum(task: Task, outputs: int, l2_shift: float | None, lowest: float | None) -> None:
    """Of weighted rows, with a prior and a penalty per weight; the last member is misleading."""
    rng = np.random.default_rng(6)
    good, y = rows(60, outputs, task, 7, outputs)
    x = np.stack([good, good + rng.standard_normal(good.shape), 3 - y + 0.1 * rng.standard_normal(y.shape)], axis=2)
    weight, prior, l2 = rng.uniform(0.2, 3, 60), np.array([1.0, 0.0, 0.5]), np.array([4.0, 1.0, 0.5])

    def loss(w: Array, c: Array) -> float:
        penalty = l2 @ np.square(w - prior) + (l2_shift or 0.0) * np.square(c).sum()
        return float(weight @ loss_of(x @ w + c, y, task)[0] + penalty / 2)

    w, c = fit_glm(x, y, l2, task=task, prior=prior, l2_shift=l2_shift, lowest=lowest, sample_weight=weight)
    assert (w[2] == 0) if lowest == 0 else (w[2] < 0)
    if l2_shift is None:
        assert not c.any()
    best = loss(w, c)
    for size in (1e-3, 1e-2, 0.3):
        for step in size * rng.standard_normal((50, 3 + outputs)):
            other = w + step[:3] if lowest is None else np.maximum(w + step[:3], lowest)
            assert loss(other, c + step[3:] if l2_shift else c) >= best


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("features", [30, 6])
def test_out_of_fold_values_are_those_of_refits(weighted: bool, features: int) -> None:
    rng = np.random.default_rng(5)
    n, l2 = 14, 0.7
    x, y = rng.standard_normal((n, features)), rng.standard_normal((n, 2))
    root = np.sqrt(rng.uniform(0.3, 3, n)) if weighted else np.ones(n)
    root /= np.sqrt(np.mean(root**2))
    z = x - np.average(x, axis=0, weights=root**2)
    folds = [np.array([3]), np.array([0, 7, 9]), np.array([1, 2])]
    ridge = Ridge.of(z, root if weighted else None)
    found = ridge.out_of_fold(y, l2, folds)

    def fitted(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        w = root[rows] ** 2
        mean_z, mean_y = np.average(z[rows], axis=0, weights=w), np.average(y[rows], axis=0, weights=w)
        centred = (z[rows] - mean_z) * root[rows, None]
        gram = centred.T @ centred / features + l2 * np.eye(features)
        weight = np.linalg.solve(gram, centred.T @ ((y[rows] - mean_y) * root[rows, None]) / features)
        return weight, mean_y - mean_z @ weight

    for held in [*folds, np.array([5])]:  # a row in no fold is a fold of its own
        weight, bias = fitted(np.setdiff1d(np.arange(n), held))
        np.testing.assert_allclose(found[held], z[held] @ weight + bias, atol=1e-8)
    parts = (slice(0, 9), slice(9, n))
    sums = sum(ridge_sums(z[some].astype(np.float32), y[some], root[some]).astype(np.float64) for some in parts)
    for (weight, bias), atol in ((ridge.weights(z, y, l2), 1e-8), (ridge_of_sums(np.asarray(sums), l2), 1e-5)):
        expected = fitted(np.arange(n))
        np.testing.assert_allclose(weight, expected[0], atol=atol)
        np.testing.assert_allclose(bias, expected[1], atol=atol)
