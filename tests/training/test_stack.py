"""The stack: the optimum of its loss, priors, few rows, the unit of a regression, and the ensemble that follows."""

from typing import Any

import numpy as np
import pytest

from gatewise.errors import InputError
from gatewise.members.lstm import LSTM
from gatewise.members.ngrams import Ngrams
from gatewise.network.architecture import Architecture, initial_parameters
from gatewise.target import Target
from gatewise.training.stack import FittedMember, Stack, stack
from gatewise.training.training_data import TargetScaling
from gatewise.types import Array


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


def loss(z: Array, targets: Array) -> float:
    if z.shape[1] == 1:
        return float((np.logaddexp(0, z) - targets * z).sum())
    return float((np.log(np.exp(z).sum(axis=1)) - (targets * z).sum(axis=1)).sum())


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
def test_the_fit_is_the_optimum(
    n: int, outputs: int, fields: dict[str, Any], prior: tuple[int, ...], l2: tuple[float, ...], l2_shift: float | None
) -> None:
    """fields: of the second member."""
    one, two, targets = rows(n, outputs, 1)
    found = stack([fitted(one), fitted(two, **fields)], targets)

    def penalised(weights: Array, shift: Array) -> float:
        penalty = np.dot(l2, np.square(weights - prior)) + (l2_shift or 0) * np.square(shift).sum()
        return loss(weights[0] * one + weights[1] * two + shift, targets) + penalty / 2

    best = penalised(found.weights, found.shift)
    rng = np.random.default_rng(2)
    for size in (1e-3, 1e-2, 0.3):
        for step in size * rng.standard_normal((50, 2 + outputs)):
            shift = found.shift + step[2:] if l2_shift else found.shift
            weights = found.weights + step[:2]
            assert penalised(np.maximum(weights, 0) if "others_l2" in fields else weights, shift) >= best
    np.testing.assert_allclose(found.held_out, found.weights[0] * one + found.weights[1] * two + found.shift)


def test_a_weight_is_negative_only_where_no_member_leads() -> None:
    one, two, targets = rows(900, 1, 4)
    assert stack([fitted(-one), fitted(two)], targets).weights[0] < -0.1
    led = stack([fitted(-one), fitted(two, others_l2=2.0)], targets).weights
    assert led[0] == 0
    assert led[1] > 0.1


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
            worse.append((loss(z, truth) - loss(new[0] + new[1], truth)) / 50_000)
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
    found = stack([fitted(one) for one in members], truth, task="regression", mean=True)
    assert found.weights.sum() == pytest.approx(0.95, abs=0.1)
    assert found.weights[0] > 2 * found.weights[1]
    few = stack([fitted(one[:4]) for one in members], truth[:4], task="regression", mean=True)
    np.testing.assert_allclose(few.weights, 0.5, atol=0.3)
    scaling = TargetScaling(np.array([500.0, -3.0]), np.array([20.0, 0.1]))
    unit = [scaling.mean + scaling.scale * one for one in members]
    scaled = stack([fitted(one) for one in unit], truth, task="regression", mean=True, scaling=scaling)
    np.testing.assert_allclose(scaled.weights, found.weights)
    np.testing.assert_allclose(scaled.held_out, scaling.mean + scaling.scale * found.held_out)


def test_the_ensemble_logits_of_training_rows_follow_the_line_of_the_validation_rows() -> None:
    rng = np.random.default_rng(31)
    one, two, targets = rows(60, 2, 4)
    query = rng.standard_normal((9, 2))
    found = stack([fitted(one), fitted(two, held_out_train=query)], targets)
    assert found.held_out_train is not None
    for k in range(2):
        slope, intercept = np.polyfit(two[:, k], found.held_out[:, k], 1)
        np.testing.assert_allclose(found.held_out_train[:, k], slope * query[:, k] + intercept)
    alone = stack([fitted(two, held_out_train=query)], targets)
    np.testing.assert_allclose(alone.held_out_train, alone.weights[0] * query + alone.shift)
    assert stack([fitted(one), fitted(two)], targets).held_out_train is None


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
def test_the_ensemble_predicts_what_the_stack_combines(classes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(4)
    outputs = 1 if len(classes) == 2 else len(classes)
    arch = Architecture.stacked(inputs="tokens", vocab_size=12, embedding_dim=3, units=2, outputs=outputs)
    lstm = LSTM(arch, initial_parameters(arch, rng))
    ngrams = Ngrams(1, np.arange(1, 6), rng.standard_normal((5, outputs)).astype(np.float32))
    members = [FittedMember(lstm, np.zeros(outputs)), FittedMember(ngrams, rng.standard_normal(outputs))]
    texts = [np.array([0, 2]), np.array([4]), np.array([4, 1, 3]), np.array([9])]
    found = Stack(np.array([0.7, 1.3]), rng.standard_normal(outputs), np.zeros((50, outputs)))
    ensemble = found.ensemble(members, Target(classes))
    expected = 0.7 * members[0].logits(texts) + 1.3 * members[1].logits(texts) + found.shift
    np.testing.assert_allclose(ensemble.logits(texts), expected, atol=1e-6)
    assert found.describe(members).startswith("LSTM x 0.70, n-grams x 1.30, shift ")
    assert found.describe(members).endswith(", fitted on 50 validation rows")


def test_refused() -> None:
    with pytest.raises(InputError, match="one shape"):
        stack([fitted(np.zeros((3, 1))), fitted(np.zeros((2, 1)))], np.zeros((3, 1)))
    with pytest.raises(InputError, match="n at least 1"):
        stack([fitted(np.zeros((0, 1)))], np.zeros((0, 1)))
