"""The dense solver: equal to scikit-learn, the optimum of its loss; the stack, which fits weights of members."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge

from gatewise.losses import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, SQUARED_ERROR, Loss
from gatewise.members.ngrams import Ngrams
from gatewise.training.dense_solver import Ridge, fit_glm, fit_standardised_glm, ridge_of_sums, ridge_sums, row_losses
from gatewise.training.network_data import TargetScaling
from gatewise.training.stack import FittedMember, stack
from gatewise.types import Array, Task
from tests.refusals import assert_refused

LOSSES: dict[Task, Loss] = {
    "classification": CROSS_ENTROPY,
    "multilabel": BINARY_CROSS_ENTROPY,
    "regression": SQUARED_ERROR,
}


def features_of(n: int, outputs: int, task: Task, seed: int, features: int = 9) -> tuple[Array, Array]:
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
    x, y = features_of(70, outputs, task, outputs)
    weight, bias = fit_standardised_glm(x, y, 4.0, loss=LOSSES[task], shared_scale=shared_scale)
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
    again = fit_standardised_glm(x, y, 4.0, loss=LOSSES[task], shared_scale=shared_scale)
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
    good, y = features_of(60, outputs, task, 7, outputs)
    x = np.stack([good, good + rng.standard_normal(good.shape), 3 - y + 0.1 * rng.standard_normal(y.shape)], axis=2)
    weight, prior, l2 = rng.uniform(0.2, 3, 60), np.array([1.0, 0.0, 0.5]), np.array([4.0, 1.0, 0.5])
    error = np.square(x @ prior - y).mean(axis=1)
    variance = np.average(error, weights=weight) if task == "regression" else 1.0

    def loss(w: Array, c: Array) -> float:
        penalty = l2 @ np.square(w - prior) + (l2_shift or 0.0) * np.square(c).sum()
        return float(weight @ row_losses(x @ w + c, y, LOSSES[task])[0] + variance * penalty / 2)

    w, c = fit_glm(x, y, l2, loss=LOSSES[task], prior=prior, l2_shift=l2_shift, lowest=lowest, sample_weight=weight)
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


def fitted(held_out: Array, **fields: Any) -> FittedMember:
    """A member of which the stack reads the held-out logits alone."""
    outputs = held_out.shape[1]
    return FittedMember(
        Ngrams(1, np.arange(1, 2), np.ones((1, outputs), np.float32)), np.zeros(outputs), held_out, **fields
    )


def rows(n: int, outputs: int, seed: int) -> tuple[Array, Array, Array]:
    """Logits of two overconfident members, and targets."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.3, 1.5, (n, outputs))
    one, two = 2.5 * truth + rng.normal(0.4, 2, truth.shape), 0.5 * truth + rng.normal(0, 1, truth.shape)
    if outputs == 1:
        return one, two, (rng.random((n, 1)) < 1 / (1 + np.exp(-truth))).astype(float)
    p = np.exp(truth) / np.exp(truth).sum(axis=1, keepdims=True)
    return one, two, np.eye(outputs)[[rng.choice(outputs, p=row) for row in p]]


@pytest.mark.parametrize(
    ("n", "outputs", "fields", "prior", "l2", "l2_shift"),
    [
        (900, 1, {}, (1, 1), (5, 5), 5),
        (700, 3, {}, (1, 1), (5, 5), 5),
        (12, 1, {}, (1, 1), (5, 5), 5),
        (200, 3, {"l2": 1.0, "others_l2": 20.0}, (0, 1), (20, 1), 1),
        (200, 1, {"l2": 1.0, "others_l2": 2.0, "shifts": False}, (0, 1), (2, 1), None),
    ],
)
def test_the_fit_is_that_of_the_solver(
    n: int, outputs: int, fields: dict[str, Any], prior: tuple[int, ...], l2: tuple[float, ...], l2_shift: float | None
) -> None:
    """fields: of the second member."""
    one, two, targets = rows(n, outputs, 1)
    found = stack([fitted(one), fitted(two, **fields)], targets)
    given: dict[str, Any] = {
        "prior": np.array(prior),
        "l2_shift": l2_shift,
        "lowest": 0 if "others_l2" in fields else None,
    }
    weights, shift = fit_glm(np.stack([one, two], axis=2), targets, np.array(l2), **given)
    np.testing.assert_allclose(found.weights, weights)
    np.testing.assert_allclose(found.shift, shift)
    np.testing.assert_allclose(found.held_out, weights[0] * one + weights[1] * two + shift)


def test_a_weight_that_prints_as_0_is_0() -> None:
    one, two, targets = rows(900, 1, 5)
    weights = stack([fitted(1000 * one), fitted(two)], targets).weights
    assert weights[0] == 0
    assert weights[1] != 0
    assert 0.005 < stack([fitted(20 * one), fitted(two)], targets).weights[0] < 0.05


def test_many_rows_calibrate_and_few_do_no_harm() -> None:
    one, two, targets = rows(20_000, 1, 3)
    alone = stack([fitted(one)], targets)
    assert abs((1 / (1 + np.exp(-alone.held_out)) - targets).mean()) < 1e-4
    assert alone.weights[0] < 0.5, "the overconfident member is scaled down"
    plain = stack([fitted(one)], targets, calibrate=False)
    assert (plain.weights.tolist(), plain.shift.tolist()) == ([1.0], [0.0])
    both, free = (stack([fitted(one, l2=l2), fitted(two, l2=l2)], targets) for l2 in (5.0, 1e-9))
    np.testing.assert_allclose(both.weights, free.weights, atol=0.02)
    rng = np.random.default_rng(5)

    def right(n: int) -> tuple[Array, Array, Array]:
        """Members whose plain sum is the optimum."""
        one, two = rng.normal(0.2, 2, (n, 1)), rng.normal(-0.1, 1.5, (n, 1))
        return one, two, (rng.random((n, 1)) < 1 / (1 + np.exp(-one - two))).astype(float)

    *new, truth = right(50_000)
    for n in (100, 5):
        worse = []
        for _ in range(30):
            one, two, targets = right(n)
            found = stack([fitted(one), fitted(two)], targets)
            z = found.weights[0] * new[0] + found.weights[1] * new[1] + found.shift
            losses = (row_losses(one, truth, CROSS_ENTROPY)[0].mean() for one in (z, new[0] + new[1]))
            worse.append(np.subtract(*losses))
        assert np.mean(worse) < 0.015, "about the expected loss of three free parameters on a hundred rows"
        assert max(worse) < 0.06
    sides = np.array([[-20.0], [30.0]] * 40)
    separable = stack([fitted(sides), fitted(sides)], (sides > 0).astype(float))
    assert np.isfinite(separable.held_out).all()


def test_the_worse_member_beside_a_leader_gets_no_weight() -> None:
    rng = np.random.default_rng(8)
    good, noise = rng.normal(0, 2, (300, 1)), rng.normal(0, 2, (300, 1))
    targets = (rng.random((300, 1)) < 1 / (1 + np.exp(-good))).astype(float)
    for lstm in (noise, -good):
        weights = stack([fitted(lstm), fitted(good, others_l2=20.0)], targets).weights
        assert 0 <= weights[0] < 0.1
        assert 0.8 < weights[1] < 1.2


def test_a_regression_is_drawn_towards_the_mean_in_any_unit() -> None:
    rng = np.random.default_rng(9)
    truth = rng.normal(0, 1, (400, 2))
    members = [truth + rng.normal(0, 0.4, truth.shape), truth + rng.normal(0, 0.8, truth.shape)]
    found = stack([fitted(one) for one in members], truth, loss=SQUARED_ERROR, mean=True)
    assert found.weights.sum() == pytest.approx(0.95, abs=0.1)
    assert found.weights[0] > 2 * found.weights[1]
    few = stack([fitted(one[:4]) for one in members], truth[:4], loss=SQUARED_ERROR, mean=True)
    np.testing.assert_allclose(few.weights, 0.5, atol=0.3)
    scaling = TargetScaling(np.array([500.0, -3.0]), np.array([20.0, 0.1]))
    unit = [scaling.mean + scaling.scale * one for one in members]
    scaled = stack([fitted(one) for one in unit], truth, loss=SQUARED_ERROR, mean=True, scaling=scaling)
    np.testing.assert_allclose(scaled.weights, found.weights)
    np.testing.assert_allclose(scaled.held_out, scaling.mean + scaling.scale * found.held_out)


def test_the_ensemble_logits_of_training_rows_follow_the_line_of_the_validation_rows() -> None:
    rng = np.random.default_rng(31)
    one, two, targets = rows(60, 2, 4)
    query = rng.standard_normal((9, 2))
    found = stack([fitted(one), fitted(two, held_out_train=query)], targets)
    for k in range(2):
        slope, intercept = np.polyfit(two[:, k], found.held_out[:, k], 1)
        np.testing.assert_allclose(found.held_out_train[:, k], slope * query[:, k] + intercept)
    alone = stack([fitted(two, held_out_train=query)], targets)
    np.testing.assert_allclose(alone.held_out_train, alone.weights[0] * query + alone.shift)
    assert stack([fitted(one), fitted(two)], targets).held_out_train is None


def test_refused() -> None:
    assert_refused("one shape", stack, [fitted(np.zeros((3, 1))), fitted(np.zeros((2, 1)))], np.zeros((3, 1)))
    assert_refused("n at least 1", stack, [fitted(np.zeros((0, 1)))], np.zeros((0, 1)))
