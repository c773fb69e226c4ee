"""Targets with their weights: what a fit gets of training data, and what a calibration gets."""

from dataclasses import replace

import numpy as np
import pytest

from gatewise.data import Labelled
from gatewise.losses import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, SQUARED_ERROR, Loss
from gatewise.training import recipe
from gatewise.training.training_data import prepare
from tests.training.targets import targets_of
from tests.training.texts import made_rare


@pytest.mark.parametrize("loss", [CROSS_ENTROPY, BINARY_CROSS_ENTROPY, SQUARED_ERROR])
def test_the_loss_of_a_row_is_the_sum_over_its_outputs_with_its_gradient(loss: Loss) -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, (7, 3))
    targets = targets_of(rng.dirichlet(np.ones(3), 7), loss, rng.uniform(0.2, 4, 7))
    losses, gradient = targets.row_losses(logits)
    step = 1e-6 * rng.standard_normal(logits.shape)
    change = targets.row_losses(logits + step)[0] - losses
    np.testing.assert_allclose(change, (gradient * step).sum(axis=1), rtol=1e-4)
    assert targets.mean(losses) == pytest.approx(float(targets.weight @ losses / targets.weight.sum()))


def test_rows_keep_their_weights() -> None:
    rng = np.random.default_rng(3)
    targets = targets_of(rng.random((6, 2)), weight=rng.uniform(0.2, 4, (6, 2)))
    rows = np.array([4, 0, 5])
    few = targets.take(rows)
    assert len(few) == 3
    np.testing.assert_array_equal(few.values, targets.values[rows])
    np.testing.assert_array_equal(few.weight, targets.weight[rows])
    assert few.normalised.weight.mean() == pytest.approx(1)
    np.testing.assert_allclose(few.normalised.weight / few.normalised.weight[0, 0], few.weight / few.weight[0, 0])
    np.testing.assert_array_equal(few.unweighted.weight, np.ones(3))


def test_a_fit_has_the_class_weights_and_a_calibration_has_not() -> None:
    data = made_rare(200, 21)
    sample_weight = np.random.default_rng(22).uniform(0.5, 3, 200)
    fields = recipe("fast", vocab_size=60, units=4, embedding_dim=4)
    encoded = prepare(replace(data, sample_weight=sample_weight), fields, 1, class_weight={"rare": 7.0})
    rows = encoded.train[::3]
    of_class = np.where(data.labels[rows] == data.classes.index("rare"), 7.0, 1.0)
    fitted = encoded.targets(rows)
    expected = sample_weight[rows] * of_class
    np.testing.assert_allclose(fitted.weight / fitted.weight.mean(), expected / expected.mean(), rtol=1e-6)
    calibrated = encoded.calibration_targets(rows)
    np.testing.assert_allclose(calibrated.weight, sample_weight[rows] / sample_weight[rows].mean())
    np.testing.assert_array_equal(calibrated.values, fitted.values)
    assert encoded.targets(encoded.train).weight.mean() == pytest.approx(1, abs=1e-6)


def test_each_step_has_the_weight_of_its_row() -> None:
    texts = ["a b c", "b", "c a", "b c", "a", "c b a b"] * 9
    labels = [[step.upper() for step in text.split()] for text in texts]
    sample_weight = np.random.default_rng(5).uniform(0.5, 3, 54)
    data = Labelled.of(texts, labels, task="tagging", sample_weight=sample_weight)
    encoded = prepare(data, recipe("tagging", units=4, embedding_dim=4), 1)
    rows = encoded.train
    lengths = [len(texts[row].split()) for row in rows]
    expected = np.repeat(sample_weight[rows], lengths)
    np.testing.assert_allclose(encoded.targets(rows).weight, expected / expected.mean(), rtol=1e-6)
    np.testing.assert_allclose(encoded.calibration_targets(rows).weight, expected / expected.mean())
