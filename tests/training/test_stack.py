"""The dense solver: equal to scikit-learn, the optimum of its loss; the stack, which fits weights of members."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge

from gatewise.losses import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, SQUARED_ERROR, Loss
from gatewise.members.ngrams import Ngrams
from gatewise.training.dense_solver import fit_shared_weights, fit_standardised_glm
from gatewise.training.network_data import TargetScaling
from gatewise.training.ridge import Ridge, ridge_of_sums, ridge_sums
from gatewise.training.stack import L2, SMALLEST, FittedMember, HeldOutTargets, stack
from gatewise.types import Array, Task
from tests.refusals import assert_refused
from tests.training.targets import targets_of

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
    targets = targets_of(y, LOSSES[task])
    weight, bias = fit_standardised_glm(x, targets, 4.0, shared_scale=shared_scale)
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
    again = fit_standardised_glm(x, targets, 4.0, shared_scale=shared_scale)
    assert (weight.tobytes(), bias.tobytes()) == (again[0].tobytes(), again[1].tobytes())


def test_constant_features_are_harmless() -> None:
    x = np.zeros((8, 3), dtype=np.float32)
    x[4:, 1] = 1
    weight, bias = fit_standardised_glm(x, targets_of(np.repeat([[0.0], [1.0]], 4, axis=0)), 0.1)
    assert np.isfinite(weight).all()
    assert ((x @ weight.T + bias)[:, 0] > 0).tolist() == [False] * 4 + [True] * 4


@pytest.mark.parametrize("one_shift", [False, True])
@pytest.mark.parametrize(
    ("task", "outputs"), [("classification", 1), ("classification", 3), ("multilabel", 2), ("regression", 2)]
)
def test_shared_weights_are_the_optimum(task: Task, outputs: int, one_shift: bool) -> None:
    """Of weighted rows, with a prior; the last member is misleading, and no weight is below 0."""
    rng = np.random.default_rng(6)
    good, y = features_of(60, outputs, task, 7, outputs)
    x = np.stack([good, good + rng.standard_normal(good.shape), 3 - y + 0.1 * rng.standard_normal(y.shape)], axis=2)
    weight, prior, l2 = rng.uniform(0.2, 3, 60), np.array([1.0, 0.0, 0.5]), 1.7
    targets = targets_of(y, LOSSES[task], weight)
    error = np.square(x @ prior - y).mean(axis=1)
    variance = np.average(error, weights=weight) if task == "regression" else 1.0

    def loss(w: Array, c: Array) -> float:
        penalty = l2 * (np.square(w - prior).sum() + np.square(c).sum())
        return float(weight @ targets.row_losses(x @ w + c)[0] + variance * penalty / 2)

    w, c = fit_shared_weights(x, targets, prior, l2, one_shift=one_shift)
    assert w[2] == 0
    assert c.shape == ((1,) if one_shift else (outputs,))
    assert c.any() == (task != "regression"), "standardised numbers have mean 0"
    best = loss(w, c)
    for size in (1e-3, 1e-2, 0.3):
        for step in size * rng.standard_normal((50, 3 + len(c))):
            moved = c if task == "regression" else c + step[3:]
            assert loss(np.maximum(w + step[:3], 0), moved) >= best


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


@pytest.mark.parametrize(("n", "outputs"), [(900, 1), (700, 3), (12, 1)])
def test_the_prior_is_the_member_with_the_lowest_loss(n: int, outputs: int) -> None:
    poor, good, truth = rows(n, outputs, 1)
    for members, prior in (([poor, good], [0, 1]), ([good, poor], [1, 0]), ([poor, good, good + poor], [0, 1, 0])):
        found = stack([fitted(logits) for logits in members], HeldOutTargets(targets_of(truth)))
        logits = np.stack(members, axis=2)
        weights, shift = fit_shared_weights(logits, targets_of(truth), np.array(prior, dtype=float), L2, one_shift=True)
        np.testing.assert_allclose(found.weights, weights, atol=SMALLEST)
        np.testing.assert_allclose(found.shift, np.repeat(shift, outputs), atol=SMALLEST)
        np.testing.assert_allclose(found.held_out, logits @ found.weights + found.shift)
        assert found.shift.any() == (outputs == 1), "one number for all classes changes nothing"


def test_out_of_fold_logits_of_training_rows_give_the_prior() -> None:
    """Five validation rows, on which another member is the best, tell less than 600 training rows."""
    _, good, truth = rows(605, 1, 12)
    columns = 0.7 * truth + np.random.default_rng(3).normal(0, 0.7, truth.shape)
    sharp = np.where(truth > 0.5, 9.0, -9.0)  # right on the validation rows, and not known of the others
    few, many = slice(0, 5), slice(5, None)
    weight = np.random.default_rng(4).uniform(0.2, 2, 600)
    of_many = targets_of(truth[many], weight=weight)
    targets = HeldOutTargets(targets_of(truth[few]), train=of_many)
    of_train = np.stack([good[many], columns[many]], axis=2)
    expected = stack([fitted(good[many]), fitted(columns[many])], HeldOutTargets(of_many)).weights
    assert (expected > 0.1).all()
    weights = stack(
        [
            fitted(sharp[few]),
            fitted(good[few], held_out_train=of_train[:, :, 0]),
            fitted(columns[few], held_out_train=of_train[:, :, 1]),
        ],
        targets,
    ).weights
    prior = np.append(0.0, expected)
    logits = np.stack([sharp[few], good[few], columns[few]], axis=2)
    np.testing.assert_allclose(
        weights, fit_shared_weights(logits, targets_of(truth[few]), prior, L2, one_shift=True)[0], atol=SMALLEST
    )
    assert weights[1] > weights[0]


def test_a_weight_that_prints_as_0_is_0() -> None:
    poor, good, truth = rows(900, 1, 5)
    weights = stack([fitted(1000 * poor), fitted(good)], HeldOutTargets(targets_of(truth))).weights
    assert weights[0] == 0
    assert weights[1] != 0
    assert 0.005 < stack([fitted(20 * poor), fitted(good)], HeldOutTargets(targets_of(truth))).weights[0] < 0.05


def test_many_rows_calibrate_and_few_do_no_harm() -> None:
    poor, good, truth = rows(20_000, 1, 3)
    alone = stack([fitted(poor)], HeldOutTargets(targets_of(truth)))
    assert abs((1 / (1 + np.exp(-alone.held_out)) - truth).mean()) < 1e-4
    assert alone.weights[0] < 0.5, "the overconfident member is scaled down"
    both = stack([fitted(poor), fitted(good)], HeldOutTargets(targets_of(truth))).weights
    free, _ = fit_shared_weights(np.stack([poor, good], axis=2), targets_of(truth), np.zeros(2), 1e-9)
    np.testing.assert_allclose(both, free, atol=0.02)
    rng = np.random.default_rng(5)

    def complementary(n: int) -> tuple[Array, Array, Array]:
        """Members whose plain sum is the optimum."""
        first, second = rng.normal(0.2, 2, (n, 1)), rng.normal(-0.1, 1.5, (n, 1))
        return first, second, (rng.random((n, 1)) < 1 / (1 + np.exp(-first - second))).astype(float)

    *fresh, labels = complementary(50_000)
    of_fresh = targets_of(labels)
    best_alone = of_fresh.row_losses(fresh[0])[0].mean()
    for n, most in ((100, 0.9), (5, 1.05)):
        losses = []
        for _ in range(30):
            first, second, targets = complementary(n)
            found = stack([fitted(first), fitted(second)], HeldOutTargets(targets_of(targets)))
            combined = found.weights[0] * fresh[0] + found.weights[1] * fresh[1] + found.shift
            losses.append(of_fresh.row_losses(combined)[0].mean())
        assert np.mean(losses) < most * best_alone
    sides = np.array([[-20.0], [30.0]] * 40)
    separable = stack([fitted(sides), fitted(sides)], HeldOutTargets(targets_of((sides > 0).astype(float))))
    assert np.isfinite(separable.held_out).all()


def test_a_member_that_tells_nothing_gets_no_weight() -> None:
    rng = np.random.default_rng(8)
    good, noise = rng.normal(0, 2, (300, 1)), rng.normal(0, 2, (300, 1))
    targets = (rng.random((300, 1)) < 1 / (1 + np.exp(-good))).astype(float)
    for lstm in (noise, -good):
        weights = stack([fitted(lstm), fitted(good)], HeldOutTargets(targets_of(targets))).weights
        assert 0 <= weights[0] < 0.1
        assert 0.8 < weights[1] < 1.2


def test_a_regression_has_the_same_weights_in_any_unit() -> None:
    rng = np.random.default_rng(9)
    truth = rng.normal(0, 1, (400, 2))
    members = [truth + rng.normal(0, 0.4, truth.shape), truth + rng.normal(0, 0.8, truth.shape)]
    targets = HeldOutTargets(targets_of(truth, SQUARED_ERROR))
    found = stack([fitted(values) for values in members], targets)
    assert found.weights.sum() == pytest.approx(0.95, abs=0.1)
    assert found.weights[0] > 2 * found.weights[1]
    few = stack([fitted(values[:4]) for values in members], HeldOutTargets(targets_of(truth[:4], SQUARED_ERROR)))
    np.testing.assert_allclose(few.weights, [1, 0], atol=0.3)
    scaling = TargetScaling(np.array([500.0, -3.0]), np.array([20.0, 0.1]))
    in_unit = [fitted(scaling.mean + scaling.scale * values) for values in members]
    scaled = stack(in_unit, replace(targets, scaling=scaling))
    np.testing.assert_allclose(scaled.weights, found.weights)
    np.testing.assert_allclose(scaled.held_out, scaling.mean + scaling.scale * found.held_out)


def test_the_ensemble_logits_of_training_rows_follow_the_line_of_the_validation_rows() -> None:
    rng = np.random.default_rng(31)
    one, two, targets = rows(200, 2, 4)
    two = two + one
    query = rng.standard_normal((9, 2))
    found = stack([fitted(one), fitted(two, held_out_train=query)], HeldOutTargets(targets_of(targets)))
    assert found.held_out_train is not None
    for k in range(2):
        slope, intercept = np.polyfit(two[:, k], found.held_out[:, k], 1)
        np.testing.assert_allclose(found.held_out_train[:, k], slope * query[:, k] + intercept)
    alone = stack([fitted(two, held_out_train=query)], HeldOutTargets(targets_of(targets)))
    np.testing.assert_allclose(alone.held_out_train, alone.weights[0] * query + alone.shift)
    assert stack([fitted(one), fitted(two)], HeldOutTargets(targets_of(targets))).held_out_train is None


def test_labels_that_all_members_underrate_are_shifted_by_one_number() -> None:
    """As n-grams of rare labels are in texts with n-grams that no training text has."""
    rng = np.random.default_rng(14)
    logits = rng.normal(-2, 1.5, (300, 12))
    targets = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)
    found = stack([fitted(logits - 1.8)], HeldOutTargets(targets_of(targets, BINARY_CROSS_ENTROPY)))
    np.testing.assert_allclose(found.shift, 1.8, atol=0.25)
    assert len(set(found.shift)) == 1
    assert found.weights[0] == pytest.approx(1, abs=0.1)


def test_refused() -> None:
    shapes = [fitted(np.zeros((3, 1))), fitted(np.zeros((2, 1)))]
    assert_refused("one shape", stack, shapes, HeldOutTargets(targets_of(np.zeros((3, 1)))))
    assert_refused("n at least 1", stack, [fitted(np.zeros((0, 1)))], HeldOutTargets(targets_of(np.zeros((0, 1)))))
